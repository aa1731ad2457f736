"""How often the containers of a user's pods were started again, as Kubernetes counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_userpods.core.health import is_over, made
from django_userpods.core.workloads import pods_by_workload

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from django_userpods.core.objects import Manifest

#: The greatest number that a row takes on every database; with pauses of five minutes, 113 days.
MOST = 32767
_OF_CONTAINERS = ("initContainerStatuses", "containerStatuses")


def of_pods(pods: Iterable[Manifest], others: Collection[tuple[str, str]]) -> int:
    """Return the restarts of all containers in the present pod of each workload.

    That is the newest which has neither ended nor is being deleted. ``others`` are the kinds and
    names of the workloads beside the main one.
    """
    total = 0
    for own in pods_by_workload(pods, others).values():
        present = max(own, key=lambda pod: (not is_over(pod), made(pod)))
        status = present.get("status", {})
        for name in _OF_CONTAINERS:
            total += sum(one.get("restartCount", 0) for one in status.get(name) or ())
    return min(total, MOST)


def in_brief(pod: Manifest) -> Manifest:
    """Return what ``of_pods`` asks of a pod, for runs that read very many."""
    kept = ("name", "creationTimestamp", "deletionTimestamp")
    status = pod.get("status", {})
    brief: dict[str, Any] = {"phase": status.get("phase")}
    for name in _OF_CONTAINERS:
        brief[name] = [{"restartCount": c.get("restartCount", 0)} for c in status.get(name) or ()]
    metadata = pod["metadata"]
    return {"metadata": {key: metadata[key] for key in kept if key in metadata}, "status": brief}
