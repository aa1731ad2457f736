"""Profiles: those that the caller may choose, and choosing one for a pod that is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse, JsonResponse

from django_userpods import profiles
from django_userpods.exceptions import RequestRefused
from django_userpods.models import UserPod
from django_userpods.pages.api.calling import Caller, body_of, endpoint, text_in
from django_userpods.pages.api.pods import find, plain, refused_profile

if TYPE_CHECKING:
    from django_userpods.core.profile import Profile

#: The permission that staff needs for another's pod.
PERMISSION = "choose_profile_userpod"


def _plain(profile: Profile) -> dict[str, str]:
    return {
        "slug": profile.slug,
        "name": profile.name,
        "description": profile.description,
    }


def _offered(_request: HttpRequest, caller: Caller) -> HttpResponse:
    found = profiles.offered_to(caller.user, profiles.known())
    return JsonResponse({"items": [_plain(profile) for profile in found]})


def _choose(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    body = body_of(request, known=["profile"])
    if "profile" not in body:
        raise RequestRefused(400, 'profile is missing; "" is for none')
    chosen = text_in(body, "profile", most=63)
    pod, another = find(caller, name, PERMISSION)
    if not another and not caller.may(PERMISSION):
        caller.require_self_service("profile")
    if pod.wanted != UserPod.Wanted.STOPPED:
        raise RequestRefused(409, "stop it first: it gets another profile while it is stopped")
    from django_userpods import lifecycle

    rows = UserPod.objects.filter(pk=pod.pk, wanted=UserPod.Wanted.STOPPED)
    result = lifecycle.choose_profile(rows, chosen, actor=caller.user.get_username())
    for refused in result.refused.values():
        raise refused_profile(refused)
    pod = UserPod.objects.select_related("owner").filter(pk=pod.pk).first() or pod
    inside = caller.may("view_userpod")
    found = {"changed": bool(result.pods), "pod": plain(pod, inside=inside)}
    return JsonResponse(found, status=202)


offered = endpoint(get=_offered)
choose = endpoint(post=_choose)
