"""How a user's pod is doing, in words a person can act on.

Sources: Kubernetes, "Deployments" (status, conditions), "Pod Lifecycle" (container states),
"Node-pressure Eviction", "Disruptions" (pod disruption conditions).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django_userpods.core.reasons import Reason, reason_of
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

#: A workload replaces a pod that had to go at once; of two clocks, and with many to replace, later.
_REPLACED_WITHIN = timedelta(minutes=2)


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
    """Return what keeps a user's pods from starting, or None where nothing is known to.

    What fails outweighs what waits; then the newest pod is heard first. One that has ended, or is
    being deleted, says nothing but why it went, and that only until the one in its place runs.
    """
    newest_first = sorted(pods, key=made, reverse=True)
    here = [pod for pod in newest_first if not is_over(pod)]
    for pod in here:
        for container in _containers(pod):
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") in _STUCK:
                return Health(State.FAILED, _said(waiting) + _last_exit(container))
    for pod in here:
        if (why := _waits_for(pod)) is not None:
            return Health(State.STARTING, why)
    for pod in newest_first:
        if is_over(pod) and (not here or _is_in_place_of(here[0], pod)):
            why = _went_because(pod)
            if why is not None:
                return Health(State.STARTING, why)
    return None


def explained(found: Health, pods: Iterable[Manifest]) -> Health:
    """Return how a workload is doing, with what its pods say where it does not run.

    What it calls a failure stays one, whatever its pods wait for, but for room: that may come.
    """
    if not found.state.may_explain:
        return found
    why = of_pods(pods)
    if why is None:
        return found
    if why.state == found.state or reason_of(why.message) is Reason.ROOM:
        return why
    if found.state == State.FAILED:
        return replace(found, message="; ".join(filter(None, (found.message, why.message))))
    return why


def explained_update(found: Health, pods: Iterable[Manifest]) -> Health:
    """Return the same of an update: what has taken too long has failed, whatever it waits for."""
    why = explained(found, pods)
    return replace(why, state=State.FAILED) if found.state == State.FAILED else why


def made(pod: Manifest) -> str:
    """Return when a pod was made, "" where that is not known yet."""
    return str(pod.get("metadata", {}).get("creationTimestamp", ""))


def is_over(pod: Manifest) -> bool:
    """Tell whether a pod has ended or is being deleted."""
    is_leaving = "deletionTimestamp" in pod.get("metadata", {})
    return is_leaving or pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}


def _containers(pod: Manifest) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    return [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]


def _conditions(pod: Manifest) -> dict[str, dict[str, Any]]:
    return {c.get("type", ""): c for c in pod.get("status", {}).get("conditions") or ()}


def _waits_for(pod: Manifest) -> str | None:
    for container in _containers(pod):
        if (why := _out_of_memory(container)) is not None:
            return why
    placed = _conditions(pod).get("PodScheduled", {})
    return _said(placed) if placed.get("status") == "False" else _cut_off(pod)


def _out_of_memory(container: dict[str, Any]) -> str | None:
    """Say that a container ran out of memory: now, or before it was started anew."""
    ended = container.get("state", {}).get("terminated")
    if ended is None and not container.get("ready"):
        ended = container.get("lastState", {}).get("terminated")
    if ended is None or ended.get("reason") != "OOMKilled":
        return None
    return f"OOMKilled: container {container.get('name')}, exit code {ended.get('exitCode')}"


def _cut_off(pod: Manifest) -> str | None:
    """Say that a pod's node does not answer.

    The node's controller then takes Ready from its pods, and leaves what the containers said and
    the condition's reason as they were; a kubelet that takes it says why.
    """
    conditions = _conditions(pod)
    ready, containers = conditions.get("Ready", {}), conditions.get("ContainersReady", {})
    if (ready.get("status"), containers.get("status")) != ("False", "True"):
        return None
    if ready.get("reason", "") not in {"", "NodeNotReady"}:
        return None
    return f"NodeNotReady: node {pod.get('spec', {}).get('nodeName')} does not answer"


def _went_because(pod: Manifest) -> str | None:
    """Say why a pod that is over had to go; None of one that was just deleted, or is done."""
    status, disruption = pod.get("status", {}), _conditions(pod).get("DisruptionTarget", {})
    if status.get("reason") in {"Evicted", "NodeLost"}:
        return _said(status)
    if disruption.get("status") == "True":
        return _said(disruption)
    if status.get("phase") == "Failed":
        return next(filter(None, map(_out_of_memory, _containers(pod))), None)
    return _cut_off(pod)


def _is_in_place_of(pod: Manifest, gone: Manifest) -> bool:
    """Tell whether a pod is still on its way that was made when another had to go.

    What was evicted stays for long, and says nothing of pods that were started long after it.
    """
    times = [condition.get("lastTransitionTime") for condition in _conditions(gone).values()]
    times.append(gone.get("metadata", {}).get("deletionTimestamp"))
    went = max(filter(None, times), default=None)
    if pod.get("status", {}).get("phase") != "Pending" or went is None or not made(pod):
        return False
    return datetime.fromisoformat(made(pod)) - datetime.fromisoformat(went) < _REPLACED_WITHIN


def _said(condition: dict[str, Any]) -> str:
    reason, message = condition.get("reason", ""), condition.get("message", "")
    return ": ".join(part for part in (reason, message) if part)[:500]


def _last_exit(container: dict[str, Any]) -> str:
    ended = container.get("lastState", {}).get("terminated", {})
    if "exitCode" not in ended:
        return ""
    reason = f", {ended['reason']}" if "reason" in ended else ""
    return f" (last exit code {ended['exitCode']}{reason})"
