"""What stands for a user, in their own hands: tokens made and revoked, sessions ended."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpResponseRedirect
from django.shortcuts import get_object_or_404, render, resolve_url
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from django_userpods.access import site_sessions, tickets
from django_userpods.conf import conf
from django_userpods.models import AccessToken, PodSession
from django_userpods.pages import assets
from django_userpods.pages.asking import is_storable
from django_userpods.pages.home import back, for_user, page
from django_userpods.pages.links import to_view

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

#: The days that a token may be good for; 0 is for good.
DAYS = (7, 30, 90, 365, 0)
#: Maximum number of tokens of one user that work at a time.
_MOST = 50


@for_user
@require_POST
@sensitive_variables("text")
def make_token(request: HttpRequest) -> HttpResponse:
    """Make a token for the user and show its text: in this answer, and nowhere else."""
    user: Any = request.user
    label = request.POST.get("label", "").strip()
    days, scope = request.POST.get("days", ""), request.POST.get("scope", "")
    if "tokens" not in conf.USERPODS_SELF_SERVICE:
        return page(request, error=gettext("This is not allowed here."), status=403)
    wrong = ""
    valid = AccessToken.objects.filter(user=user, revoked_at=None).exclude(
        expires_at__lte=timezone.now()
    )
    most = AccessToken._meta.get_field("label").max_length  # noqa: SLF001 - Django's documented name
    if not 0 < len(label) <= (most or 0) or not is_storable(label):
        error, wrong = gettext("Say in a few words what the token is for."), "label"
    elif days not in map(str, DAYS) or scope not in AccessToken.Scope.values:
        error = gettext("Choose how long the token is valid for, and what it may do.")
        wrong = "scope" if days in map(str, DAYS) else "days"
    elif valid.count() >= _MOST:
        error = gettext("You have reached the limit on tokens. Revoke one first.")
    else:
        expires_at = timezone.now() + datetime.timedelta(days=int(days)) if int(days) else None
        token, text = AccessToken.objects.issue(
            user, label=label, expires_at=expires_at, scope=scope
        )
        return _shown_once(request, token, text)
    return page(request, error=error, status=400, wrong=wrong)


@sensitive_variables("text")
def _shown_once(request: HttpRequest, token: AccessToken, text: str) -> HttpResponse:
    context = {
        **assets.context(request),
        "title": gettext("Copy the token now"),
        "token": token,
        "text": text,
        "home_url": to_view(request, "home"),
    }
    return render(request, "userpods/token.html", context)


@for_user
@require_POST
def revoke_token(request: HttpRequest, pk: str) -> HttpResponse:
    """Revoke one of the user's own tokens, which is always allowed."""
    own = AccessToken.objects.filter(user=request.user.pk)
    get_object_or_404(own, pk=pk)
    own.filter(pk=pk).revoke()
    return back(request)


@for_user
@require_POST
def end_session(request: HttpRequest, pk: str) -> HttpResponse:
    """End one of the user's own sessions on pods' hosts."""
    get_object_or_404(PodSession, user=request.user.pk, pk=pk).delete()
    return back(request)


@for_user
@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End all sessions of the user: on pods' hosts, and at the site in whichever browser.

    Where the site's session engine keeps no list of sessions (a cache, cookies) that is this one
    alone; those on pods' hosts end all the same. Tokens stay.
    """
    user: Any = request.user
    tickets.end_all_of(user)
    site_sessions.end_all_of(user)
    # Last, since whoami and the routers forget then what they know of the user.
    logout(request)
    return HttpResponseRedirect(
        resolve_url(settings.LOGOUT_REDIRECT_URL or conf.USERPODS_LOGIN_URL)
    )
