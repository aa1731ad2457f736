"""Access tokens: one's own, and with permissions everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.debug import sensitive_variables

from django_userpods import times
from django_userpods.exceptions import RequestRefused
from django_userpods.models import AccessToken
from django_userpods.pages.api.calling import (
    Caller,
    body_of,
    endpoint,
    text_in,
    wants_all,
)
from django_userpods.pages.api.listing import page

if TYPE_CHECKING:
    import datetime

    from django.db.models import QuerySet

#: Maximum number of tokens of one user that work at a time.
MOST = 50


def plain(token: AccessToken, *, inside: bool) -> dict[str, Any]:
    """Return a token without its text, which nobody has any more."""
    found = {
        "id": token.pk,
        "label": token.label,
        "scope": token.scope,
        "valid": token.is_valid,
        "created_at": token.created_at.isoformat(),
        **{
            name: value.isoformat() if (value := getattr(token, name)) is not None else None
            for name in ("expires_at", "revoked_at", "last_used_at")
        },
    }
    return {**found, "user": token.user.get_username()} if inside else found


def _own(caller: Caller) -> QuerySet[AccessToken]:
    return AccessToken.objects.filter(user=caller.user.pk)


def _list(request: HttpRequest, caller: Caller) -> HttpResponse:
    every = wants_all(request, caller, "view_accesstoken")
    rows = AccessToken.objects.select_related("user") if every else _own(caller)
    return page(request, rows, lambda token: plain(token, inside=every), key=int)


@sensitive_variables("text")
def _issue(request: HttpRequest, caller: Caller) -> HttpResponse:
    if caller.by_token:
        # One that leaked would outlive its revocation.
        raise RequestRefused(403, "tokens are made by whoever is signed in at the site")
    caller.require_self_service("tokens")
    body = body_of(request, known=["label", "scope", "expires_at"])
    label = text_in(body, "label", most=100).strip()
    scope = text_in(body, "scope", most=16, default=AccessToken.Scope.REACH)
    if not label:
        raise RequestRefused(400, "label has to say what the token is for")
    if scope not in AccessToken.Scope.values:
        raise RequestRefused(400, f"scope has to be one of {', '.join(AccessToken.Scope.values)}")
    valid = _own(caller).filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
    if valid.filter(revoked_at=None).count() >= MOST:
        raise RequestRefused(409, f"there are {MOST} tokens already: revoke one first")
    token, text = AccessToken.objects.issue(
        caller.user, label=label, scope=scope, expires_at=end_in(body)
    )
    return JsonResponse({**plain(token, inside=False), "text": text}, status=201)


def end_in(body: dict[str, Any]) -> datetime.datetime | None:
    """Return the time to come that a body says in ``expires_at``, None for none; 400 for others."""
    given = body.get("expires_at")
    if given is None:
        return None
    try:
        found = parse_datetime(given) if isinstance(given, str) else None
    except ValueError:
        found = None
    if (
        found is None
        or timezone.is_naive(found)
        or not times.aware(timezone.now()) < found <= AccessToken.LATEST_END
    ):
        raise RequestRefused(400, "expires_at has to be a time to come, as in 2030-01-31T12:00:00Z")
    return found


def _revoke(_request: HttpRequest, caller: Caller, pk: int) -> HttpResponse:
    rows = _own(caller).filter(pk=pk)
    if not rows.exists():
        rows = AccessToken.objects.filter(pk=pk)
        if not caller.may("view_accesstoken") or not rows.exists():
            raise RequestRefused(404, "there is no such token")
        caller.require("change_accesstoken")
    AccessToken.objects.filter(pk=pk).revoke()
    return HttpResponse(status=204)


whole = endpoint(get=_list, post=_issue)
one = endpoint(delete=_revoke)
