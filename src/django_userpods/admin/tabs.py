"""The pages on one pod, each of which leads to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.admin.utils import quote
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_userpods.admin.actions import page_context

if TYPE_CHECKING:
    from django.contrib import admin
    from django.http import HttpRequest
    from django.utils.functional import _StrOrPromise

    from django_userpods.models import UserPod

#: The names of the pages' URLs and what they are called, in the order in which they are shown.
_PAGES: dict[str, _StrOrPromise] = {
    "change": _("Overview"),
    "events": _("Events"),
    "logs": _("Logs"),
    "comparison": _("Should be / is"),
    "history": _("History"),
}
#: Those that show what a pod wrote, or was told.
_EVIDENCE = frozenset({"events", "logs"})


class Tab(NamedTuple):
    """A page on a pod, as the others name it."""

    label: _StrOrPromise
    url: str
    is_current: bool


def may_see_logs(request: HttpRequest) -> bool:
    """Tell whether a person may see what pods write."""
    return request.user.has_perm("userpods.view_userpod_logs")


def tabs(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, pod: UserPod, current: str
) -> list[Tab]:
    """Return the pages on a pod that a person may open."""
    found = []
    for page, label in _PAGES.items():
        if page in _EVIDENCE and not may_see_logs(request):
            continue
        name = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_{page}"
        try:
            url = reverse(name, args=(quote(pod.pk),), current_app=model_admin.admin_site.name)
        except NoReverseMatch:  # a project's subclass may leave pages out
            continue
        found.append(Tab(label, url, page == current))
    return found


def tab_context(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, pod: UserPod, current: str
) -> dict[str, Any]:
    """Return what such a page needs beside what it shows."""
    return {
        **page_context(model_admin, request),
        "original": pod,
        "tabs": tabs(model_admin, request, pod, current),
        "title": gettext("%(pod)s: %(page)s") % {"pod": pod, "page": _PAGES[current]},
    }
