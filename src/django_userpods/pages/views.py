"""What the router asks (``whoami``) and what a waiting person sees. Never asks the cluster itself.

nginx's ``auth_request`` lets 2xx pass and takes 401 and 403 as "no"; everything else is an error
to it. So ``whoami`` answers 200 if and only if it names somebody, and never redirects.
"""

from __future__ import annotations

import datetime
import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

from django.contrib.auth.decorators import login_not_required
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_userpods import tasks
from django_userpods.access import cache
from django_userpods.access.authenticators import InvalidCredentials, Undecided, authenticate
from django_userpods.conf import conf, get_cluster
from django_userpods.models import UserPod
from django_userpods.reconcile.pods import ensure_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger("django_userpods")

#: Seconds after which a client may ask again.
RETRY_AFTER = 3
#: A page that polls does not ask the cluster more often than this.
_LOOK_EVERY = datetime.timedelta(seconds=2)


@csrf_exempt
@login_not_required
@never_cache
def whoami(request: HttpRequest) -> JsonResponse:
    """Answer who is asking, and which Service is theirs.

    200 with JSON ``{"user", "service"}`` and the headers ``X-Target-Service``,
    ``X-Target-Address`` (``host:port`` inside the cluster), ``X-Target-Peer`` (the Service's own
    ``ip:port``, left out while it has none), ``X-Userpods-User`` (percent-encoded) and
    ``X-Userpods-User-Id``; 401 without credentials; 403 for credentials that are not valid;
    503 while the user's name is still held by somebody whose pod is going, and while the database
    (or ``USERPODS_SELECT``) cannot tell.
    """
    known = cache.recall(request)
    return _for_user(request, _whoami) if known is None else _answer(known)


def _whoami(request: HttpRequest, user: AbstractBaseUser, pod: UserPod) -> JsonResponse:
    if not pod.name:
        return _json({"error": "not ready", "message": pod.message}, status=503)
    found = cache.Identity(
        user_pk=str(user.pk),
        username=user.get_username(),
        name=pod.name,
        namespace=pod.namespace,
        address=pod.address,
    )
    cache.remember(request, found)
    return _answer(found)


def _answer(found: cache.Identity) -> JsonResponse:
    peer = found.address
    port = int(peer.rpartition(":")[2]) if peer else conf.port
    response = JsonResponse({"user": found.username, "service": found.name})
    response["X-Target-Service"] = found.name
    response["X-Target-Address"] = get_cluster().address(
        namespace=found.namespace, name=found.name, port=port, peer=peer
    )
    if peer:
        response["X-Target-Peer"] = peer
    response["X-Userpods-User"] = quote(found.username, safe="@+")
    response["X-Userpods-User-Id"] = quote(found.user_pk, safe="@+")
    return response


@csrf_exempt
@login_not_required
@never_cache
def waiting(request: HttpRequest) -> HttpResponse:
    """Answer in the place of a pod that is not up: a page for people, JSON for machines.

    A person who comes here (a navigation, not a script's request) wakes a stopped pod. The status
    is 503 with ``Retry-After`` (RFC 9110, section 10.2.3).
    """

    def answer(request: HttpRequest, _user: AbstractBaseUser, pod: UserPod) -> HttpResponse:
        if not _is_navigation(request):
            return _json(_status_of(pod), status=503)
        _wake(pod)
        return page({"pod": pod})

    def page(context: dict[str, UserPod]) -> HttpResponse:
        response = render(request, "userpods/waiting.html", context, status=503)
        response["Retry-After"] = str(RETRY_AFTER)
        return response

    found = _for_user(request, answer)
    undecided = found.status_code == 503 and isinstance(found, JsonResponse)
    # The page asks again, and a person sees no JSON meanwhile.
    return page({}) if undecided and _is_navigation(request) else found


@csrf_exempt
@login_not_required
@never_cache
def status(request: HttpRequest) -> HttpResponse:
    """Answer how the asking user's pod is doing: JSON ``{"state", "message", "service"}``."""

    def answer(_request: HttpRequest, _user: AbstractBaseUser, pod: UserPod) -> HttpResponse:
        if pod.state in (UserPod.State.PENDING, UserPod.State.STARTING):
            _look(pod)
        return JsonResponse(_status_of(pod))

    return _for_user(request, answer)


@csrf_exempt
@login_not_required
@never_cache
@require_POST
def wake(request: HttpRequest) -> HttpResponse:
    """Start the asking user's pod if it is stopped.

    Needs no CSRF token: it can only start what is the user's own.
    """

    def answer(_request: HttpRequest, _user: AbstractBaseUser, pod: UserPod) -> HttpResponse:
        _wake(pod)
        return _json(_status_of(pod), status=202)

    return _for_user(request, answer)


def _for_user(
    request: HttpRequest,
    answer: Callable[[HttpRequest, AbstractBaseUser, UserPod], HttpResponse],
) -> JsonResponse:
    """Answer 401, 403 and 503, or what ``answer`` makes for the user and the row."""
    try:
        return _decide(request, answer)
    except Undecided:
        return _json({"error": "unavailable"}, status=503)
    except Error:  # InterfaceError too: a connection that is gone
        logger.exception("the database could not tell who is asking")
        return _json({"error": "unavailable"}, status=503)


def _decide(
    request: HttpRequest,
    answer: Callable[[HttpRequest, AbstractBaseUser, UserPod], HttpResponse],
) -> JsonResponse:
    try:
        user = authenticate(request)
    except InvalidCredentials:
        return _json({"error": "invalid token"}, status=403)
    if user is None:
        return _json({"error": "no token"}, status=401)
    pod: UserPod | None = getattr(user, "userpod", None)
    if pod is None or pod.wanted == UserPod.Wanted.ABSENT:
        # No signal told us of this user (bulk_create, SQL).
        pod = ensure_row(user)
    if pod is None:
        return _json({"error": "not ready"}, status=503)
    return answer(request, user, pod)  # type: ignore[return-value]


def _wake(pod: UserPod) -> None:
    if pod.wanted == UserPod.Wanted.STOPPED:
        stopped = UserPod.objects.filter(pk=pod.pk, wanted=UserPod.Wanted.STOPPED)
        stopped.update(wanted=UserPod.Wanted.RUNNING, state=UserPod.State.PENDING, message="")
        tasks.ask([pod.user_pk])
        pod.refresh_from_db()
    else:
        _look(pod)


def _look(pod: UserPod) -> None:
    """Ask for a look at the pod, unless somebody did a moment ago."""
    before = timezone.now() - _LOOK_EVERY
    if UserPod.objects.filter(pk=pod.pk, updated_at__lt=before).update(updated_at=timezone.now()):
        tasks.ask([pod.user_pk])
    pod.refresh_from_db()


def _status_of(pod: UserPod) -> dict[str, str | None]:
    return {"state": pod.state, "message": pod.message, "service": pod.name}


def _is_navigation(request: HttpRequest) -> bool:
    """Tell whether a person's browser opens a page (Fetch Metadata, else the Accept header)."""
    mode = request.headers.get("Sec-Fetch-Mode")
    html = "text/html" in request.headers.get("Accept", "")
    return html and mode in (None, "navigate")


def _json(data: dict[str, str | None], *, status: int) -> JsonResponse:
    response = JsonResponse(data, status=status)
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER)
    return response
