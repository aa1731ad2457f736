"""What an API server tells of pods to people: their events, and the end of their logs.

Nobody's work needs it, so it is imported by who asks. The pods are found by their labels first: the
names in an event or a log's address are theirs, and nobody else's.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from django_userpods.clusters.base import PodEvent, PodLog
from django_userpods.clusters.kubernetes.jsontext import split_list
from django_userpods.clusters.kubernetes.request import ApiCall
from django_userpods.core.objects import POD, Kind
from django_userpods.exceptions import (
    BadAnswer,
    ClusterUnavailable,
    Invalid,
    NodeUnavailable,
    NotFound,
    UnknownKind,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from django_userpods.clusters.kubernetes.discovery import Resources
    from django_userpods.clusters.kubernetes.retry import Deadline
    from django_userpods.core.objects import Manifest

EVENT = Kind("v1", "Event")
#: Maximum number of pods that are looked at, the newest; and of the events of one object that are
#: asked for: they are kept for an hour, and repetitions are counted.
PODS, EVENTS = 3, 500
#: Maximum number of containers of a pod whose logs are asked for.
CONTAINERS = 8
#: How much more than the last bytes is asked for: the kubelet counts bytes from the first line on.
_MORE = 8


class Place(NamedTuple):
    """Some pods of a namespace, and how to ask for what there is of them."""

    call: Callable[[ApiCall, Deadline], bytes]
    resources: Resources
    namespace: str
    pods: list[Manifest]
    deadline: Deadline


def newest(pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the newest few."""
    made = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    return made[: -PODS - 1 : -1]


def events(place: Place, *, limit: int) -> list[PodEvent]:
    """Return the newest events of pods and of what made them, without those of others."""
    found: list[PodEvent] = []
    path = place.resources.find(EVENT, place.deadline).collection(place.namespace)
    for uid in _uids(place.pods):
        query = urlencode({"fieldSelector": f"involvedObject.uid={uid}", "limit": EVENTS})
        what = "list the events of a pod"
        body = place.call(ApiCall("GET", f"{path}?{query}", what), place.deadline)
        try:
            items = list(split_list(body)[1])
            found.extend(_event(item) for item in items)
        except (ValueError, AttributeError, TypeError) as error:
            raise BadAnswer(f"{what}: the answer is not a list of events") from error
    found.sort(key=lambda event: event.at or _LONG_AGO, reverse=True)
    return found[:limit]


def logs(place: Place, *, lines: int, size: int) -> Iterator[PodLog]:
    """Yield what there is of each container, the one before its restart too."""
    resource = place.resources.find(POD, place.deadline)
    for pod in place.pods:
        name = pod["metadata"]["name"]
        path = resource.item(place.namespace, name)
        for container, is_previous in _written(pod):
            query = {"container": container} | ({"previous": "true"} if is_previous else {})
            try:
                body = _tail(place, f"{path}/log", query, lines=lines, most=size * _MORE)
            except UnknownKind:
                raise
            except (Invalid, NotFound):
                continue  # it has not begun, its log is gone, or it went meanwhile
            except ClusterUnavailable as error:
                # The pods were just listed: it is their node's kubelet that does not answer.
                if error.status == 500:
                    raise NodeUnavailable(str(error), status=error.status) from error
                raise
            text, is_cut = last_of(body, lines=lines, size=size)
            if text:
                yield PodLog(name, container, text, is_previous, is_cut)


def _tail(place: Place, path: str, query: Mapping[str, str], *, lines: int, most: int) -> bytes:
    """Return the last lines, one more than asked for; fewer where they are very long.

    Of more bytes than may be asked for the first would come, and what was written last would not.
    """
    body = b""
    for number in (lines + 1, lines // 20 + 1, 2, 1):
        asked = urlencode({**query, "tailLines": number, "limitBytes": most})
        request = ApiCall(
            "GET",
            f"{path}?{asked}",
            f"read the log of {path.rpartition('/')[0].rpartition('/')[2]}",
            accept="text/plain, application/json",
            is_text=True,
        )
        body = place.call(request, place.deadline)
        if len(body) < most:
            break
    return body


def last_of(body: bytes, *, lines: int, size: int) -> tuple[str, bool]:
    """Return the last lines, of at most ``size`` bytes, as text; and whether any were left out."""
    rest = body[-size:] if len(body) > size else body
    every = rest.decode(errors="replace").splitlines()
    is_cut = len(rest) < len(body) or len(every) > lines
    return "\n".join(every[-lines:]), is_cut


_LONG_AGO = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _uids(pods: Iterable[Manifest]) -> list[str]:
    """Return the UIDs of the pods, and of the ReplicaSets (or the like) that made them."""
    found: dict[str, None] = {}
    for pod in pods:
        found[pod["metadata"]["uid"]] = None
        for owner in pod["metadata"].get("ownerReferences") or ():
            if owner.get("controller"):
                found[owner["uid"]] = None
    return list(found)


def _event(item: Mapping[str, Any]) -> PodEvent:
    about, series = item.get("involvedObject") or {}, item.get("series") or {}
    said = (
        *(series.get("lastObservedTime"), item.get("lastTimestamp")),
        *(item.get("eventTime"), item.get("firstTimestamp")),
    )
    return PodEvent(
        at=_time(next(filter(None, said), "")),
        type=str(item.get("type") or ""),
        reason=str(item.get("reason") or ""),
        message=str(item.get("message") or ""),
        times=int(series.get("count") or item.get("count") or 1),
        about=f"{about.get('kind', '')} {about.get('name', '')}".strip(),
    )


def _time(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except ValueError:
        return None


def _written(pod: Manifest) -> Iterator[tuple[str, bool]]:
    """Yield the containers that may have written something, and whether before their restart."""
    status = pod.get("status") or {}
    every = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    for container in every[:CONTAINERS]:
        if "terminated" in (container.get("lastState") or {}):
            yield container["name"], True
        if {"running", "terminated"} & set(container.get("state") or {}):
            yield container["name"], False
