"""How pods are doing now, for pages that stay open: some rows as JSON, and what is marked for it.

``static/userpods/live.js`` asks, and writes the answers where the marks are. Without it a page
shows what was so when it was opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import NoReverseMatch, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.timesince import timesince
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_safe

from django_userpods.core.operations import Operation
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.contrib import admin
    from django.utils.safestring import SafeString

#: Maximum number of pods that are told of at once: of a page that shows all, the first.
MOST = 200
#: Maximum number of characters of a message in a list.
_MESSAGE = 120
#: States in which a pod is on its way to another.
_MOVING = frozenset({UserPod.State.PENDING, UserPod.State.STARTING, UserPod.State.DELETING})


def state(site: admin.AdminSite, pod: UserPod) -> SafeString:
    """Return the state in words and in colour, as what is asked for again."""
    return format_html(
        '<span class="userpods-state userpods-{}" data-userpods-shows="state"'
        ' data-userpods-pod="{}" data-userpods-url="{}">{}</span>',
        pod.state,
        pod.pk,
        _url(site),
        pod.get_state_display(),
    )


def reason(pod: UserPod) -> SafeString:
    """Return in one line why the state is so; all of that on pointing at it."""
    return format_html(
        '<span class="userpods-reason" data-userpods-shows="reason" data-userpods-pod="{}"'
        ' title="{}">{}</span>',
        pod.pk,
        pod.message,
        _in_one_line(pod),
    )


def message(pod: UserPod) -> SafeString:
    """Return all of the message."""
    return format_html(
        '<span data-userpods-shows="message" data-userpods-pod="{}">{}</span>', pod.pk, pod.message
    )


def restarts(pod: UserPod) -> SafeString:
    """Return how often its containers were started again."""
    return format_html(
        '<span data-userpods-shows="restarts" data-userpods-pod="{}">{}</span>',
        pod.pk,
        number_format(pod.restarts),
    )


def restarted(pod: UserPod) -> SafeString:
    """Return the same in words, nothing where it never was."""
    return format_html(
        '<span class="userpods-restarted" data-userpods-shows="restarted"'
        ' data-userpods-pod="{}">{}</span>',
        pod.pk,
        _restarted(pod),
    )


def seen(pod: UserPod, otherwise: str) -> SafeString:
    """Return how long ago its user was there, or what else to say where nobody was."""
    return format_html(
        '<time data-userpods-shows="seen" data-userpods-pod="{}" datetime="{}">{}</time>',
        pod.pk,
        pod.last_activity.isoformat() if pod.last_activity else "",
        _ago(pod) or otherwise,
    )


def answer(model_admin: admin.ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Return how some pods (``?pod=``, again and again) are doing. A few queries, for any number.

    Where it is one alone that is on its way, or failed, it is looked at, as its page does. Of more
    some are, beside the request: what is found of them is told whoever asks next.
    """
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    return _answer(request, model_admin)


@require_safe
def _answer(request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> HttpResponse:
    from django_userpods import lifecycle

    # What cannot be an id is no row's, and not every database takes every text.
    asked = [pk for pk in dict.fromkeys(request.GET.getlist("pod")) if pk.isalnum()][:MOST]
    found: dict[str, UserPod] = {}
    if asked:
        found = {pod.pk: pod for pod in model_admin.get_queryset(request).filter(pk__in=asked)}
    may = [
        pod
        for pod in found.values()
        if pod.wanted != UserPod.Wanted.ABSENT and UserPod.State(pod.state).may_change
    ]
    if len(asked) == 1:
        for pod in may:
            lifecycle.look(pod)
    else:
        lifecycle.look_at_all(may, beside=True)
    return JsonResponse(
        {
            "pods": {pk: _told(found.get(pk)) for pk in asked},
            "moving": any(pod.state in _MOVING for pod in found.values()),
        }
    )


def _told(pod: UserPod | None) -> dict[str, Any]:
    from django_userpods import lifecycle

    if pod is None:
        return {
            "state": "gone",
            "label": gettext("gone"),
            "reason": "",
            "message": "",
            "restarts": "",
            "restarted": "",
        }
    return {
        "state": pod.state,
        "label": pod.get_state_display(),
        "reason": _in_one_line(pod),
        "message": pod.message,
        "restarts": number_format(pod.restarts),
        "restarted": _restarted(pod),
        "seen": _ago(pod),
        "actions": [verb.value for verb in Operation if lifecycle.applies(verb, pod)],
    }


def _in_one_line(pod: UserPod) -> str:
    return Truncator(" ".join(pod.message.split())).chars(_MESSAGE)


def _restarted(pod: UserPod) -> str:
    if not pod.restarts:
        return ""
    found = ngettext("restarted once", "restarted %(number)s times", pod.restarts)
    return found % {"number": number_format(pod.restarts)}


def _ago(pod: UserPod) -> str:
    if pod.last_activity is None:
        return ""
    return gettext("%(time)s ago") % {"time": timesince(pod.last_activity, depth=1)}


def _url(site: admin.AdminSite) -> str:
    """Return where is told how pods are doing; "" where the site has no list of pods."""
    meta = UserPod._meta  # noqa: SLF001 - Django's documented name
    try:
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_states", current_app=site.name)
    except NoReverseMatch:
        return ""
