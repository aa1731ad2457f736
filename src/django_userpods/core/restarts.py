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
#: Labels that pods of one template of one workload share: a Deployment's, and of the other kinds.
_OF_TEMPLATE = ("pod-template-hash", "controller-revision-hash")


def of_pods(pods: Iterable[Manifest], others: Collection[tuple[str, str]]) -> int:
    """Return the restarts of all containers in the present pods of each workload.

    Those are the newest which has neither ended nor is being deleted, and all such of the same
    template: the other replicas, but none that an update replaces. ``others`` are the kinds and
    names of the workloads beside the main one.
    """
    total = 0
    for own in pods_by_workload(pods, others).values():
        newest = max(own, key=lambda pod: (not is_over(pod), made(pod)))
        template = _template(newest)
        total += _of_pod(newest)
        total += sum(
            _of_pod(pod)
            for pod in own
            if pod is not newest and template and _template(pod) == template and not is_over(pod)
        )
    return min(total, MOST)


def _of_pod(pod: Manifest) -> int:
    status = pod.get("status", {})
    return sum(
        one.get("restartCount", 0) for name in _OF_CONTAINERS for one in status.get(name) or ()
    )


def _template(pod: Manifest) -> dict[str, str]:
    """Return what says of which template of its workload a pod is; nothing where nothing does."""
    labels = pod["metadata"].get("labels") or {}
    return {name: labels[name] for name in _OF_TEMPLATE if name in labels}


def in_brief(pod: Manifest) -> Manifest:
    """Return what ``of_pods`` asks of a pod, for runs that read very many."""
    kept = ("name", "creationTimestamp", "deletionTimestamp")
    status = pod.get("status", {})
    brief: dict[str, Any] = {"phase": status.get("phase")}
    for name in _OF_CONTAINERS:
        brief[name] = [{"restartCount": c.get("restartCount", 0)} for c in status.get(name) or ()]
    metadata = {key: pod["metadata"][key] for key in kept if key in pod["metadata"]}
    return {"metadata": {**metadata, "labels": _template(pod)}, "status": brief}
