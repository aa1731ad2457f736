"""How a user's pod is doing, in words a person can act on.

Sources: Kubernetes, "Deployments" (status, conditions), "Pod Lifecycle" (container states).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django_userpods.core.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django_userpods.core.objects import Manifest


@dataclass(frozen=True, slots=True)
class Health:
    """A state, and what there is to say about it."""

    state: State
    message: str = ""


# Reasons why a container waits that do not go away by waiting.
_STUCK = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)


def of_deployment(deployment: Manifest) -> Health:
    """Return how a Deployment is doing by its own status."""
    return _of_deployment(deployment, old_ones_count=True)


def of_update(deployment: Manifest) -> Health:
    """Return how the last update of a Deployment is doing: it runs once no earlier pod is left."""
    return _of_deployment(deployment, old_ones_count=False)


def _of_deployment(deployment: Manifest, *, old_ones_count: bool) -> Health:
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    wanted = spec.get("replicas", 1)
    if wanted == 0:
        return Health(State.STOPPED)
    conditions = {c.get("type"): c for c in status.get("conditions") or ()}
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    updated = status.get("updatedReplicas", 0)
    ready = min(status.get("readyReplicas", 0), updated)
    all_updated = old_ones_count or status.get("replicas", 0) <= updated
    if current and ready >= wanted and all_updated:
        return Health(State.RUNNING)
    failure = conditions.get("ReplicaFailure", {})
    if failure.get("status") == "True":
        return Health(State.FAILED, _said(failure))
    progress = conditions.get("Progressing", {})
    if current and progress.get("status") == "False":
        return Health(State.FAILED, _said(progress))
    return Health(State.STARTING)


def of_pods(pods: Iterable[Manifest]) -> Health | None:
    """Return what keeps a user's pods from starting, or None where nothing is known to."""
    worst = None
    for pod in pods:
        status = pod.get("status", {})
        statuses = (status.get("initContainerStatuses") or []) + (
            status.get("containerStatuses") or []
        )
        for container in statuses:
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") in _STUCK:
                return Health(State.FAILED, _said(waiting) + _last_exit(container))
        for condition in status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                worst = Health(State.STARTING, _said(condition))
    return worst


def explained(found: Health, pods: Iterable[Manifest]) -> Health:
    """Return how a workload is doing, with what its pods say where it does not run."""
    if not found.state.may_explain:
        return found
    return of_pods(pods) or found


def explained_update(found: Health, pods: Iterable[Manifest]) -> Health:
    """Return the same of an update: what has taken too long has failed, whatever it waits for."""
    why = explained(found, pods)
    return replace(why, state=State.FAILED) if found.state == State.FAILED else why


def _said(condition: dict[str, Any]) -> str:
    reason, message = condition.get("reason", ""), condition.get("message", "")
    return ": ".join(part for part in (reason, message) if part)[:500]


def _last_exit(container: dict[str, Any]) -> str:
    ended = container.get("lastState", {}).get("terminated", {})
    if "exitCode" not in ended:
        return ""
    reason = f", {ended['reason']}" if "reason" in ended else ""
    return f" (last exit code {ended['exitCode']}{reason})"
