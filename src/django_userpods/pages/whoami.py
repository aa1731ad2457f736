"""``whoami``: what the router asks before it lets a request through. Never asks the cluster.

nginx's ``auth_request`` lets 2xx pass and takes 401 and 403 as "no"; everything else is an error
to it. So ``whoami`` answers 200 if and only if it names somebody, and never redirects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from django_userpods.access.cache import CachedAnswer, WhoamiAnswer
from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.exceptions import PodNotAllowed
from django_userpods.pages.asking import as_json, expected, for_visitor, or_unavailable
from django_userpods.reconcile.users import username_of

if TYPE_CHECKING:
    from django_userpods.access.authenticators import Visitor
    from django_userpods.models import UserPod


@csrf_exempt
@login_not_required
@never_cache
@expected
def whoami(request: HttpRequest) -> HttpResponse:
    """Answer who is asking, and which Service is theirs.

    200 with JSON ``{"user", "service"}`` and the headers ``X-Target-Service``,
    ``X-Target-Address`` (``host:port`` inside the cluster), ``X-Target-Peer`` (the Service's own
    ``ip:port``, left out while it has none), ``X-Userpods-State`` (*failed* too where it cannot
    start as things are), ``X-Userpods-Activity`` (what counts as use, where its template says so),
    ``X-Userpods-User`` (percent-encoded) and ``X-Userpods-User-Id``; to a guest also
    ``X-Userpods-Guest: 1``, ``X-Userpods-Owner-Id`` and, where the share ends, in how many seconds
    (``X-Userpods-Seconds``). 401 without credentials; 403
    for credentials that are not valid, and where the pod that is asked about
    (``access.addresses``) is not theirs to reach; 503 while the user's name is still held by
    somebody whose pod is going, and while the database (or ``USERPODS_SELECT``) cannot tell.
    """
    return or_unavailable(lambda: _whoami(request))


def _whoami(request: HttpRequest) -> HttpResponse:
    cached = CachedAnswer(request)
    known = cached.get()
    if known is not None:
        return _response(known)

    def answer(visitor: Visitor, pod: UserPod) -> HttpResponse:
        if not pod.name:
            return as_json({"error": "not ready", "message": pod.plain_message}, status=503)
        try:
            username = username_of(visitor.user)
        except PodNotAllowed as error:
            return as_json({"error": "not ready", "message": str(error)}, status=503)
        found = WhoamiAnswer(
            user_pk=str(visitor.user.pk),
            username=username,
            name=pod.name,
            namespace=pod.namespace,
            address=pod.address,
            state=pod.standing,
            activity=pod.activity,
            owner_pk=pod.owner_pk if visitor.is_guest else "",
            until=visitor.until.timestamp() if visitor.until else None,
        )
        cached.set(found, decided=visitor.decided)
        return _response(found)

    return for_visitor(request, answer)


def _response(found: WhoamiAnswer) -> HttpResponse:
    peer = found.address
    port = int(peer.rpartition(":")[2]) if peer else conf.USERPODS_PORT
    response = JsonResponse({"user": found.username, "service": found.name})
    response["X-Target-Service"] = found.name
    response["X-Target-Address"] = get_cluster().address(
        namespace=found.namespace, name=found.name, port=port, peer=peer
    )
    if peer:
        response["X-Target-Peer"] = peer
    response["X-Userpods-State"] = found.state
    if found.activity:
        response["X-Userpods-Activity"] = found.activity
    response["X-Userpods-User"] = quote(found.username, safe="@+")
    response["X-Userpods-User-Id"] = quote(found.user_pk, safe="@+")
    if found.owner_pk:
        response["X-Userpods-Guest"] = "1"
        response["X-Userpods-Owner-Id"] = quote(found.owner_pk, safe="@+")
    if (left := found.seconds_left) is not None:
        response["X-Userpods-Seconds"] = f"{max(left, 0):.3f}"
    return response
