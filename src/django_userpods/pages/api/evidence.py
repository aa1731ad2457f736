"""A pod's events and the last lines of its logs: one's own where that is allowed, or staff's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse, JsonResponse

from django_userpods.pages.api.calling import Caller, endpoint
from django_userpods.pages.api.pods import find

if TYPE_CHECKING:
    from typing import Any

    from django_userpods.clusters.base import PodEvent, PodLog

#: What staff needs for another's pod, and for their own where users may not see theirs.
PERMISSION = "view_userpod_logs"


def _event(event: PodEvent) -> dict[str, Any]:
    found = event._asdict()
    return found | {"at": event.at.isoformat() if event.at is not None else None}


def _log(log: PodLog) -> dict[str, Any]:
    return {
        "pod": log.pod,
        "container": log.container,
        "previous": log.is_previous,
        "cut": log.is_cut,
        "text": log.text,
    }


def _show(_request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    pod, another = find(caller, name, PERMISSION)
    if not another and not caller.may(PERMISSION):
        caller.require_self_service("logs")
    from django_userpods import evidence

    found = evidence.of(pod)
    return JsonResponse(
        {
            "events": [_event(event) for event in found.events],
            "logs": [_log(log) for log in found.logs],
            "problems": found.problems,
        }
    )


logs = endpoint(get=_show)
