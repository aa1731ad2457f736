"""Profiles in the hands of users: another one for a pod of theirs that is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from django_userpods import sentences
from django_userpods.conf import conf
from django_userpods.models import UserPod
from django_userpods.pages.home import back, for_user, own_pods, page

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@for_user
@require_POST
def choose(request: HttpRequest, name: str) -> HttpResponse:
    """Have one of the user's own pods, which is stopped, be of the profile that they chose."""
    from django_userpods import lifecycle

    pod = get_object_or_404(own_pods(request), name=name)
    if "profile" not in conf.USERPODS_SELF_SERVICE:
        return page(request, error=gettext("This is not allowed here."), status=403, pod=pod)
    if pod.wanted != UserPod.Wanted.STOPPED:
        error = gettext("Stop it first: its profile can only be changed while it is stopped.")
        return page(request, error=error, status=409, pod=pod)
    if "profile" not in request.POST:  # where none is chosen, not where "none" is
        error = gettext("Choose a profile")
        return page(request, error=error, status=400, pod=pod, wrong="profile")
    user: Any = request.user
    rows = own_pods(request).filter(pk=pod.pk, wanted=UserPod.Wanted.STOPPED)
    asked = lifecycle.choose_profile(
        rows, request.POST.get("profile", ""), actor=user.get_username()
    )
    for refused in asked.refused.values():
        error, status = sentences.of_refused_profile(refused.why)
        return page(request, error=error, status=status, pod=pod, wrong="profile")
    return back(request)
