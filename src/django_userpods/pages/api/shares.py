"""Sharing: one's own pods with others, and which others' one may reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from django_userpods import sharing
from django_userpods.exceptions import RequestRefused, SettingError, ShareRefused
from django_userpods.models import Share
from django_userpods.pages.api.calling import Caller, body_of, endpoint, text_in
from django_userpods.pages.api.listing import page
from django_userpods.pages.api.pods import find
from django_userpods.pages.api.tokens import end_in
from django_userpods.pages.own_shares import MOST, found_by_name
from django_userpods.pages.shared import may_share, pods_shared_with

if TYPE_CHECKING:
    from django_userpods.models import UserPod

#: Maximum number of characters of a name.
_LONGEST = 254


def plain(share: Share) -> dict[str, Any]:
    """Return a share as its owner sees it."""
    user, group = share.user, share.group
    return {
        "id": share.pk,
        "user": user.get_username() if user is not None else None,
        "group": group.name if group is not None else None,
        "created_at": share.created_at.isoformat(),
        "expires_at": share.expires_at.isoformat() if share.expires_at is not None else None,
    }


def _list(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    pod, _another = find(caller, name, "share_userpod")
    rows = Share.objects.valid().filter(pod=pod.pk).select_related("user", "group")
    return page(request, rows, plain, key=int)


def _share(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    pod, another = find(caller, name, "share_userpod")
    if caller.by_token:
        # What one that leaked made would outlive its revocation.
        raise RequestRefused(403, "pods are shared by whoever is signed in at the site")
    if not another and not may_share(caller.user):
        raise RequestRefused(403, "this needs the permission userpods.share_userpod")
    body = body_of(request, known=["user", "group", "expires_at"])
    kinds = [kind for kind in ("user", "group") if body.get(kind) is not None]
    if len(kinds) != 1:
        raise RequestRefused(400, "name one of user and group")
    found = found_by_name(kinds[0], text_in(body, kinds[0], most=_LONGEST))
    until = end_in(body)
    if found is None:
        raise RequestRefused(400, "there is no user or group with exactly this name to share with")
    if Share.objects.filter(pod=pod.pk).count() >= MOST:
        raise RequestRefused(409, f"there are {MOST} shares already: end one first")
    try:
        share = sharing.share(pod, with_=found, until=until, by=caller.user.get_username())
    except (ShareRefused, SettingError) as error:
        raise RequestRefused(409, "this pod cannot be shared, or not with its owner") from error
    return JsonResponse(plain(share), status=201)


def _unshare(_request: HttpRequest, caller: Caller, name: str, pk: int) -> HttpResponse:
    pod, _another = find(caller, name, "share_userpod")
    if not sharing.end(Share.objects.filter(pod=pod.pk, pk=pk)):
        raise RequestRefused(404, "there is no such share")
    return HttpResponse(status=204)


def _plain_of_another(pod: UserPod) -> dict[str, Any]:
    owner = pod.owner.get_username() if pod.owner is not None else None
    return {"name": pod.name, "owner": owner, "state": pod.state, "url": pod.url}


def _shared(_request: HttpRequest, caller: Caller) -> HttpResponse:
    found = [_plain_of_another(pod) for pod in pods_shared_with(caller.user)]
    return JsonResponse({"items": found, "next": None})


whole = endpoint(get=_list, post=_share)
one = endpoint(delete=_unshare)
shared = endpoint(get=_shared)
