"""Pods: one's own, and with permissions everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.core.operations import FOR_USERS, Operation
from django_userpods.exceptions import PodNotAllowed, ProfileNotAllowed, RequestRefused
from django_userpods.models import UserPod
from django_userpods.pages.api.calling import (
    Caller,
    body_of,
    endpoint,
    text_in,
    wants_all,
)
from django_userpods.pages.api.listing import page

if TYPE_CHECKING:
    import datetime

    from django.db.models import QuerySet

#: What may be asked of a pod, with the permission that staff needs for another's.
OPERATIONS = {
    Operation.START: "start_userpod",
    Operation.STOP: "stop_userpod",
    Operation.RESTART: "restart_userpod",
    Operation.SYNC: "sync_userpod",
    Operation.RECREATE: "recreate_userpod",
}


def _own(caller: Caller) -> QuerySet[UserPod]:
    return UserPod.objects.filter(owner=caller.user.pk).exclude(wanted=UserPod.Wanted.ABSENT)


def _time(value: datetime.datetime | None) -> str | None:
    return value.isoformat() if value is not None else None


def plain(pod: UserPod, *, inside: bool) -> dict[str, Any]:
    """Return a pod as its user sees it; with ``inside`` also what is for staff."""
    found: dict[str, Any] = {
        "name": pod.name,
        "slot": pod.slot,
        "profile": pod.profile,
        "wanted": pod.wanted,
        "state": pod.state,
        "message": pod.plain_message,
        "restarts": pod.restarts,
        "url": pod.url or None,
        "created_at": _time(pod.created_at),
        "last_activity": _time(pod.last_activity),
    }
    if inside:
        found["staff"] = {
            "owner": pod.owner.get_username() if pod.owner is not None else None,
            "owner_pk": pod.owner_pk,
            "namespace": pod.namespace,
            "image": pod.image,
            "details": pod.message,
        }
    return found


def _list(request: HttpRequest, caller: Caller) -> HttpResponse:
    every = wants_all(request, caller, "view_userpod")
    rows = UserPod.objects.select_related("owner") if every else _own(caller)
    state = request.GET.get("state")
    if state is not None:
        if state not in list(UserPod.State):
            raise RequestRefused(400, f"state has to be one of {', '.join(UserPod.State)}")
        rows = rows.filter(state=state)
    return page(request, rows, lambda pod: plain(pod, inside=every))


def _add(request: HttpRequest, caller: Caller) -> HttpResponse:
    caller.require_self_service("add")
    body = body_of(request, known=["slot", "profile"])
    slot = text_in(body, "slot", most=200)
    profile = text_in(body, "profile", most=63)
    if profile:
        caller.require_self_service("profile")
    if not naming.is_valid_slot(slot):
        text = f"slot has to be at most {naming.MAX_SLOT} of a-z, 0-9 and single dashes between"
        raise RequestRefused(400, text)
    from django_userpods import lifecycle

    try:
        pod = lifecycle.add_pod(caller.user, slot, profile=profile)
    except ProfileNotAllowed as error:
        raise refused_profile(error) from error
    except PodNotAllowed as error:
        # Its text says of itself which limit or name stands against it.
        raise RequestRefused(409, "taken, or as many pods as there may be") from error
    pod.refresh_from_db()
    response = JsonResponse(plain(pod, inside=False), status=201)
    if pod.name is not None:
        where = request.resolver_match.namespace if request.resolver_match else "userpods"
        response["Location"] = reverse(f"{where}:api-pod", kwargs={"name": pod.name})
    return response


def refused_profile(error: ProfileNotAllowed) -> RequestRefused:
    """Return the answer to somebody whose pod cannot be of a profile."""
    if error.why == "full":
        return RequestRefused(409, "as many pods of this profile run as may run at once")
    if error.why == "name":
        return RequestRefused(409, "the pod's name is too long for this profile")
    return RequestRefused(403, "this profile is not offered to the pod's user")


def find(caller: Caller, name: str, permission: str) -> tuple[UserPod, bool]:
    """Return the pod, and whether it is another's; what may not be seen is not there."""
    pod = _own(caller).filter(name=name).first()
    if pod is not None:
        return pod, False
    if caller.may("view_userpod"):
        pod = UserPod.objects.select_related("owner").filter(name=name).first()
        if pod is not None:
            caller.require(permission)
            return pod, True
    raise RequestRefused(404, "there is no such pod")


def _show(_request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    pod, _another = find(caller, name, "view_userpod")
    return JsonResponse(plain(pod, inside=caller.may("view_userpod")))


def _remove(_request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    pod, another = find(caller, name, "delete_userpod")
    if not another:
        caller.require_self_service("delete")
    from django_userpods import lifecycle

    try:
        lifecycle.remove_pod(pod)
    except PodNotAllowed as error:
        raise RequestRefused(409, "a main pod goes with its user; stop it instead") from error
    return HttpResponse(status=204)


def _operate(request: HttpRequest, caller: Caller, name: str, operation: str) -> HttpResponse:
    body_of(request, known=[])
    if operation not in list(Operation):
        raise RequestRefused(404, "there is no such operation")
    asked = Operation(operation)
    pod, another = find(caller, name, OPERATIONS[asked])
    if not another and not caller.may(OPERATIONS[asked]):
        if asked not in FOR_USERS:
            raise RequestRefused(403, f"this needs the permission userpods.{OPERATIONS[asked]}")
        caller.require_self_service(operation)
    rows = UserPod.objects.filter(pk=pod.pk)
    from django_userpods import lifecycle

    result = lifecycle.OPERATIONS[asked](rows, actor=caller.user.get_username())
    for refused in result.refused.values():
        raise refused_profile(refused)
    pod = UserPod.objects.select_related("owner").filter(pk=pod.pk).first() or pod
    inside = caller.may("view_userpod")
    found = {"changed": bool(result.pods), "pod": plain(pod, inside=inside)}
    return JsonResponse(found, status=202)


def _limits(_request: HttpRequest, caller: Caller) -> HttpResponse:
    rows = list(_own(caller).values_list("state", flat=True))
    found = {
        "user": caller.user.get_username(),
        "by": "token" if caller.by_token else "session",
        "pods": len(rows),
        "max_pods": conf.max_pods_of(caller.user),
    }
    return JsonResponse(found)


whole = endpoint(get=_list, post=_add)
one = endpoint(get=_show, delete=_remove)
operation = endpoint(post=_operate)
me = endpoint(get=_limits)
