"""When a pod took each step on its way up: what a row keeps of that, as text."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django_userpods.core.objects import Manifest

#: Characters of the longest text: three times and the spaces between.
LONGEST = 64


def of_pods(pods: Iterable[Manifest]) -> str | None:
    """Return the times at which the newest pod was made, placed and started; None without pods.

    Separated by spaces, as far as it has come. A container that was started again was started at a
    time that is not the pod's, so then the last is left out.
    """
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
    if newest is None or not (made := newest["metadata"].get("creationTimestamp")):
        return None
    times = [made, _placed(newest), _started(newest)]
    return " ".join(times[: times.index(None)] if None in times else times)[:LONGEST]


def _placed(pod: Manifest) -> str | None:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "True":
            at: str | None = condition.get("lastTransitionTime")
            return at
    return None


def _started(pod: Manifest) -> str | None:
    """Return when the last of its containers was started, None where one was not or anew."""
    containers = pod.get("status", {}).get("containerStatuses") or ()
    if len(containers) < len(pod.get("spec", {}).get("containers") or ()):
        return None
    if any(one.get("restartCount") for one in containers):
        return None
    times = [one.get("state", {}).get("running", {}).get("startedAt") for one in containers]
    return max((str(time) for time in times), default=None) if all(times) else None


def read(text: str) -> list[datetime.datetime]:
    """Return the times of a text."""
    try:
        found = [datetime.datetime.fromisoformat(part) for part in text.split()]
    except ValueError:
        return []
    return [time for time in found if time.tzinfo is not None]
