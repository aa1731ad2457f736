"""Giving pods a profile, from the list of pods: which one is asked on a page first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_userpods import profiles
from django_userpods.admin import entries, wording
from django_userpods.admin.actions import (
    back,
    log,
    may,
    number_context,
    page_context,
    selects_across,
)
from django_userpods.exceptions import SettingError, UserpodsError
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from collections.abc import Collection

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    from django_userpods.admin.actions import PodActionsMixin
    from django_userpods.lifecycle import OperationResult


def may_choose(request: HttpRequest) -> bool:
    """Tell whether a person may give pods a profile; there have to be some."""
    try:
        return may(request, "choose_profile") and bool(profiles.known())
    except SettingError:
        return False


@admin.action(permissions=["userpods_choose_profile"], description=_("Choose a profile"))
def choose_profile(
    model_admin: PodActionsMixin, request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse | None:
    """Ask which profile some pods are to be of, and have them be of it."""
    from django_userpods import lifecycle

    rows, _without = model_admin.rows_for(queryset)
    if "profile" not in request.POST or not model_admin.is_agreed(request, rows):
        return _page(model_admin, request, queryset, rows)
    chosen = request.POST["profile"]
    try:
        result = lifecycle.choose_profile(rows, chosen, actor=request.user.get_username())
    except UserpodsError as error:
        model_admin.message_user(request, str(error), messages.ERROR)
        return back(request)
    named = [UserPod(pk=pod.pk, name=pod.name, owner_pk=pod.owner_pk) for pod in result.pods]
    log(request, named, entries.PROFILE % {"profile": chosen or "-"})
    for level, text in _said(result, chosen):
        model_admin.message_user(request, text, level)
    return back(request)


def _said(result: OperationResult, chosen: str) -> list[tuple[int, str]]:
    count = len(result.pods)
    if not count:
        return wording.said(result)
    if chosen:
        text = ngettext(
            "%(count)s pod now has the profile %(profile)s.",
            "%(count)s pods now have the profile %(profile)s.",
            count,
        )
    else:
        text = ngettext(
            "%(count)s pod now has no profile.", "%(count)s pods now have no profile.", count
        )
    done = text % {"count": wording.number(count), "profile": chosen}
    return [(messages.SUCCESS, done), *wording.said(result)]


def _page(
    model_admin: PodActionsMixin,
    request: HttpRequest,
    queryset: QuerySet[Any],
    rows: QuerySet[UserPod],
) -> HttpResponse:
    count, across = rows.count(), selects_across(request)
    first = rows.select_related("owner").order_by("name")[: wording.NAMED]
    # One box has to be ticked for Django to take the form; the filters are in its address.
    selected: Collection[Any] = queryset.values_list("pk", flat=True)[: 1 if across else None]
    title = ngettext(
        "Choose a profile for %(count)s pod", "Choose a profile for %(count)s pods", count
    )
    context = {
        **page_context(model_admin, request),
        "title": title % {"count": wording.number(count)},
        "names": wording.listed([wording.called(pod) for pod in first], total=count),
        "profiles": [profile for profile in profiles.known().values() if profile.enabled],
        "chosen": request.POST.get("profile", ""),
        **number_context(request, count),
        "action": "choose_profile",
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
        "selected": list(selected),
        "select_across": across,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/userpods/choose_profile.html", context)
