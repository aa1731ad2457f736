"""When a pod took each step on its way up: what a row keeps of that, as text.

Of images the status of a pod says nothing but that a container was made of one; when the image was
there only an event tells, and those are not asked for by looks. So an image counts as fetched once
the container runs that is made of it. (Kubernetes, "Pod Lifecycle"; the kubelet fetches, makes and
starts a container in one go, and says of a container that it is ``started`` when its startup probe
and its postStart hook are through.)
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django_userpods.core.objects import Manifest

#: Characters of the longest text: four times and the spaces between.
LONGEST = 128
#: In place of a time: the step was taken, and nobody says when.
UNKNOWN = "-"
#: A process of this machine that was started: there was no place to be found and no image to fetch.
OF_PROCESS = " ".join([UNKNOWN] * 3)


def of_pods(pods: Iterable[Manifest]) -> str | None:
    """Return when the newest pod was made, placed, had its images and was started; None without.

    Separated by spaces, as far as it has come.
    """
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
    if newest is None or not (made := newest["metadata"].get("creationTimestamp")):
        return None
    return " ".join([made, *_steps(newest)])[:LONGEST]


def _steps(pod: Manifest) -> Iterator[str]:
    if (placed := _placed(pod)) is None:
        return
    yield placed
    wanted = pod.get("spec", {}).get("containers") or ()
    containers = pod.get("status", {}).get("containerStatuses") or ()
    if len(containers) < len(wanted) or not all(map(_was_made, containers)):
        return
    ran = _ran(containers)
    yield ran
    if all(map(_is_started, containers)):
        yield UNKNOWN if any(map(_takes_time, wanted)) else ran


def _placed(pod: Manifest) -> str | None:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "True":
            return condition.get("lastTransitionTime") or UNKNOWN
    return None


def _was_made(container: dict[str, Any]) -> bool:
    """Tell whether a container was made, so its image was there."""
    state = {*(container.get("state") or {}), *(container.get("lastState") or {})}
    return bool(container.get("imageID") or state & {"running", "terminated"})


def _ran(containers: Iterable[dict[str, Any]]) -> str:
    """Return when the last of them began to run; of one that was started anew nobody says it."""
    times = [
        None
        if one.get("restartCount")
        else (one.get("state") or {}).get("running", {}).get("startedAt")
        for one in containers
    ]
    return max(map(str, times)) if times and all(times) else UNKNOWN


def _is_started(container: dict[str, Any]) -> bool:
    """Tell whether it runs, and its startup probe and its hook are through, if it has them."""
    return "running" in (container.get("state") or {}) and container.get("started") is not False


def _takes_time(container: dict[str, Any]) -> bool:
    """Tell whether it is not started as soon as it runs; when it is, its status does not say."""
    hooks = container.get("lifecycle") or {}
    return bool(container.get("startupProbe") or hooks.get("postStart"))


def read(text: str) -> list[datetime.datetime | None]:
    """Return the times of a text, None for one that is not known."""
    try:
        found = [
            None if part == UNKNOWN else datetime.datetime.fromisoformat(part)
            for part in text.split()
        ]
    except ValueError:
        return []
    # What has no time zone is not from a cluster.
    return [] if any(time and time.tzinfo is None for time in found) else found
