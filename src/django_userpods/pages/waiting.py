"""What a person sees whose pod is not up, and what that page asks. Never asks the cluster."""

from __future__ import annotations

import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_not_required
from django.db import router, transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_userpods import tasks
from django_userpods.models import UserPod
from django_userpods.pages.asking import RETRY_AFTER, as_json, expected, for_visitor
from django_userpods.pages.links import beside_page

if TYPE_CHECKING:
    from django_userpods.access.authenticators import Visitor

#: Pages that poll have the cluster asked about a pod no more often than this, all processes and
#: browsers together.
_LOOK_EVERY = datetime.timedelta(seconds=2)


@csrf_exempt
@login_not_required
@never_cache
@expected
def waiting(request: HttpRequest) -> HttpResponse:
    """Answer in the place of a pod that is not up: a page for people, JSON for machines.

    A person who comes here (a navigation, not a script's request) wakes a stopped pod. The status
    is 503 with ``Retry-After`` (RFC 9110, section 10.2.3).
    """

    def answer(_visitor: Visitor, pod: UserPod) -> HttpResponse:
        if not _is_navigation(request):
            return as_json(_status_of(pod), status=503)
        _wake(pod)
        return page({"pod": pod})

    def page(context: dict[str, Any]) -> HttpResponse:
        context["status_url"] = beside_page(request, "status")
        response = render(request, "userpods/waiting.html", context, status=503)
        response["Retry-After"] = str(RETRY_AFTER)
        return response

    found = for_visitor(request, answer)
    undecided = found.status_code == 503 and isinstance(found, JsonResponse)
    # The page asks again, and a person sees no JSON meanwhile.
    return page({}) if undecided and _is_navigation(request) else found


@csrf_exempt
@login_not_required
@never_cache
@expected
def status(request: HttpRequest) -> HttpResponse:
    """Answer how the asking user's pod is doing: JSON ``{"state", "message", "service"}``."""

    def answer(_visitor: Visitor, pod: UserPod) -> HttpResponse:
        if UserPod.State(pod.state).is_coming:
            _look(pod)
        return JsonResponse(_status_of(pod))

    return for_visitor(request, answer)


@csrf_exempt
@login_not_required
@never_cache
@require_POST
@expected
def wake(request: HttpRequest) -> HttpResponse:
    """Start the asking user's pod if it is stopped.

    Needs no CSRF token: it can only start what is the user's own.
    """

    def answer(_visitor: Visitor, pod: UserPod) -> HttpResponse:
        _wake(pod)
        return as_json(_status_of(pod), status=202)

    return for_visitor(request, answer)


def _wake(pod: UserPod) -> None:
    if pod.wanted == UserPod.Wanted.STOPPED:
        stopped = UserPod.objects.filter(pk=pod.pk, wanted=UserPod.Wanted.STOPPED)
        stopped.update(wanted=UserPod.Wanted.RUNNING, state=UserPod.State.PENDING, message="")
        _ask_after_commit(pod)
        pod.refresh_from_db()
    else:
        _look(pod)


def _look(pod: UserPod) -> None:
    """Ask for a look at the pod, unless there was one a moment ago.

    ``looked_at`` tells, which a look writes that finds something new. One that finds nothing new
    does not, so it is written here, in the statement that compares it: of two who come at once only
    one asks.
    """
    now = timezone.now()
    not_lately = Q(looked_at=None) | Q(looked_at__lt=now - _LOOK_EVERY)
    if UserPod.objects.filter(not_lately, pk=pod.pk).update(looked_at=now):
        _ask_after_commit(pod)
    pod.refresh_from_db()


def _ask_after_commit(pod: UserPod) -> None:
    """Ask for a reconcile when it will find what was written (``ATOMIC_REQUESTS``)."""
    using = router.db_for_write(UserPod)
    transaction.on_commit(partial(tasks.ask_for_pods, [pod.pk]), using=using, robust=True)


def _status_of(pod: UserPod) -> dict[str, str | None]:
    return {"state": pod.state, "message": pod.message, "service": pod.name}


def _is_navigation(request: HttpRequest) -> bool:
    """Tell whether a person's browser opens a page (Fetch Metadata, else the Accept header)."""
    mode = request.headers.get("Sec-Fetch-Mode")
    html = "text/html" in request.headers.get("Accept", "")
    return html and mode in (None, "navigate")
