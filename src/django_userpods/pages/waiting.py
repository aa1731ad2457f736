"""What a person sees whose pod is not up, and what that page asks. Never asks the cluster."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_userpods.conf import conf
from django_userpods.core.addresses import Way
from django_userpods.models import UserPod
from django_userpods.pages import assets
from django_userpods.pages.asking import (
    RETRY_AFTER,
    Refusal,
    as_json,
    expected,
    for_visitor,
    is_navigation,
)
from django_userpods.pages.events import may_see_events
from django_userpods.pages.happenings import happenings_of
from django_userpods.pages.links import beside_page, came_from, to_view
from django_userpods.pages.refusals import for_browsers, page_of, sign_out, site_url
from django_userpods.pages.standing import standing_of
from django_userpods.pages.steps import steps_of
from django_userpods.pages.stream import can_stream
from django_userpods.pages.wording import is_stuck, label_of, title_of

if TYPE_CHECKING:
    from django_userpods.access.authenticators import Visitor

#: A person's "try again" is a new pod no more often than this.
_TRY_EVERY = datetime.timedelta(seconds=20)


@csrf_exempt
@login_not_required
@never_cache
@expected
def waiting(request: HttpRequest) -> HttpResponse:
    """Answer in place of a pod that is not up: a page for people, JSON for machines.

    A person who comes here (a navigation) wakes a stopped pod, and so does a script's request that
    the router says may (``X-Userpods-Wake``). The status is 503 with ``Retry-After`` (RFC 9110,
    section 10.2.3); ``X-Userpods-State`` tells the router whether there is anything to wait for.
    """
    if not is_navigation(request):

        def say(visitor: Visitor, pod: UserPod) -> HttpResponse:
            if request.headers.get("X-Userpods-Wake") == "1":
                _wake(visitor, pod)
            response = as_json(_status_of(visitor, pod), status=503)
            response["X-Userpods-State"] = pod.standing
            return response

        return for_visitor(request, say)

    def answer(visitor: Visitor, pod: UserPod) -> HttpResponse:
        _wake(visitor, pod)
        return _page(request, _words_of(visitor, pod))

    def refuse(refusal: Refusal) -> HttpResponse:
        # Where nobody can tell yet, the page asks again.
        if refusal.status == 503:
            return _page(request, {"title": gettext("One moment, please"), "state": "starting"})
        return page_of(request, refusal)

    return for_visitor(request, answer, refuse=refuse)


@csrf_exempt
@login_not_required
@never_cache
@expected
def status(request: HttpRequest) -> HttpResponse:
    """Answer how the asking user's pod is doing: JSON ``{"state", "message", "service"}``.

    The message is a sentence for its user; staff get what was really said, too (``details``).
    """

    def answer(visitor: Visitor, pod: UserPod) -> HttpResponse:
        if UserPod.State(pod.state).may_change:
            _look(pod)
        return JsonResponse(_status_of(visitor, pod))

    return for_visitor(request, answer)


@csrf_exempt
@login_not_required
@never_cache
@expected
@require_POST
def wake(request: HttpRequest) -> HttpResponse:
    """Start the asking user's pod if it is stopped, or again if it failed.

    Of a pod that is shared with them it can only be started. Needs no CSRF token: it can only start
    what the user may reach and does not run. A person's browser is led back to the page that it
    came from.
    """

    def answer(visitor: Visitor, pod: UserPod) -> HttpResponse:
        is_failed = pod.wanted == UserPod.Wanted.RUNNING and pod.state == UserPod.State.FAILED
        if is_failed and not visitor.is_guest:
            _try_again(visitor, pod)
        else:
            _wake(visitor, pod)
        if is_navigation(request):
            response = HttpResponseRedirect(came_from(request, pod.path))
            response.status_code = 303
            return response
        return as_json(_status_of(visitor, pod), status=202)

    return for_visitor(request, answer, refuse=for_browsers(request))


def _page(request: HttpRequest, words: dict[str, Any]) -> HttpResponse:
    pod, where = words.get("pod"), conf.USERPODS_URL
    is_path = pod is not None and where is not None and where.way is Way.PATHS
    # What the page asks is asked of the site's own paths.
    at = f"?{urlencode({'at': pod.path})}" if is_path and pod else ""
    context = {
        **assets.context(request),
        **sign_out(request),
        **words,
        "status_url": beside_page(request, "status") + at,
        "stream_url": beside_page(request, "stream") + at if can_stream(request) else "",
        "wake_url": beside_page(request, "wake") + at,
        "events_url": beside_page(request, "events") + at if words.get("shows_events") else "",
        "home_url": f"{site_url()}{to_view(request, 'home')}",
    }
    response = render(request, "userpods/waiting.html", context, status=503)
    response["Retry-After"] = str(RETRY_AFTER)
    # Its buttons say where they came from.
    response["Referrer-Policy"] = "same-origin"
    return response


def _words_of(visitor: Visitor, pod: UserPod) -> dict[str, Any]:
    is_failed = pod.state == UserPod.State.FAILED
    return {
        "pod": pod,
        "state": pod.state,
        "is_stuck": is_stuck(pod),
        "title": title_of(pod),
        "message": pod.plain_message,
        "details": pod.message if visitor.is_staff else "",
        "steps": steps_of(pod),
        "since": pod.started_at,
        # Who comes as a guest is not told what its owner did.
        "happenings": happenings_of(pod) if is_failed and not visitor.is_guest else (),
        "shows_events": is_failed and may_see_events(visitor),
        "is_guest": visitor.is_guest,
        # A query for a guest alone: whoever else is here owns it.
        "label": label_of(pod),
    }


def _look(pod: UserPod) -> None:
    from django_userpods import lifecycle

    lifecycle.look(pod)


def _wake(visitor: Visitor, pod: UserPod) -> None:
    from django_userpods import lifecycle

    if pod.wanted == UserPod.Wanted.STOPPED:
        lifecycle.wake(pod, actor=visitor.user.get_username())
    else:
        lifecycle.look(pod)


def _try_again(visitor: Visitor, pod: UserPod) -> None:
    """Have a pod that failed replaced by a new one; one that has just been is looked at alone."""
    from django_userpods import lifecycle

    now = timezone.now()
    if pod.restarted_at is not None and now - pod.restarted_at < _TRY_EVERY:
        lifecycle.look(pod)
        return
    failed = UserPod.objects.filter(pk=pod.pk, state=UserPod.State.FAILED)
    lifecycle.restart(failed, actor=visitor.user.get_username())
    pod.refresh_from_db()


def _status_of(visitor: Visitor, pod: UserPod) -> dict[str, object]:
    found = standing_of(visitor, pod)
    if (stops_at := pod.stops_at) is not None:
        found["stops_at"] = stops_at.isoformat()
    return found
