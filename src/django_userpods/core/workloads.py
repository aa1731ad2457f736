"""How any of a pod's workloads is doing by its own status.

Sources: Kubernetes API, ``StatefulSetStatus``, ``DaemonSetStatus``, ``JobStatus``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from django_userpods.core.health import Health, of_deployment, of_update
from django_userpods.core.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from django_userpods.core.objects import Manifest


def health_of(workload: Manifest) -> Health | None:
    """Return how a workload is doing; None for an object that is not a workload."""
    judge = _JUDGES.get(workload["kind"])
    return judge(workload) if judge is not None else None


def update_of(workload: Manifest) -> Health | None:
    """Return how the last update of a workload is doing; None for an object that is not one.

    It runs once no earlier pod is left: one that still answers says nothing of the update.
    """
    if workload["kind"] == "Deployment":
        return of_update(workload)
    found = health_of(workload)
    if found is None or found.state != State.RUNNING or _is_updated(workload):
        return found
    return Health(State.STARTING)


def pods_by_workload(
    pods: Iterable[Manifest], others: Collection[tuple[str, str]]
) -> dict[tuple[str, str] | None, list[Manifest]]:
    """Return pods by whose they are: a workload's are called after it, the rest (None) the main's.

    ``others`` are kinds and names.
    """
    found: dict[tuple[str, str] | None, list[Manifest]] = defaultdict(list)
    for pod in pods:
        name = pod["metadata"]["name"]
        called = [key for key in others if name.startswith(f"{key[1]}-")]
        found[max(called, key=lambda key: len(key[1])) if called else None].append(pod)
    return found


def _is_updated(found: Manifest) -> bool:
    """Tell whether all pods of a StatefulSet or a DaemonSet are those of its last update.

    Where it replaces none by itself there is nothing to wait for.
    """
    spec, status = found.get("spec", {}), found.get("status", {})
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return True
    if found["kind"] == "StatefulSet":
        partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
        wanted = spec.get("replicas", 1) - partition
        return bool(status.get("updatedReplicas", 0) >= wanted)
    if found["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(status.get("updatedNumberScheduled", 0) >= wanted)
    return True


def together(main: Health | None, others: Mapping[str, Health]) -> Health | None:
    """Return how the main workload and the others are doing together.

    ``others`` are named for people. What fails says more than what has not begun; a stopped pod
    has nothing to wait for.
    """
    if main is None or main.state == State.STOPPED:
        return main
    for state in (State.FAILED, State.STARTING):
        if main.state == state:
            return main
        for name in sorted(others):
            if others[name].state == state:
                return Health(state, f"{name}: {others[name].message or 'is not ready'}")
    return main


def _of_stateful_set(found: Manifest) -> Health:
    status, wanted = found.get("status", {}), found.get("spec", {}).get("replicas", 1)
    if wanted == 0:
        return Health(State.STOPPED)
    return _ready(found, status.get("readyReplicas", 0) >= wanted)


def _of_daemon_set(found: Manifest) -> Health:
    status = found.get("status", {})
    return _ready(found, status.get("numberReady", 0) >= status.get("desiredNumberScheduled", 1))


def _of_job(found: Manifest) -> Health:
    status = found.get("status", {})
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            said = (condition.get("reason"), condition.get("message"))
            return Health(State.FAILED, ": ".join(filter(None, said)) or "failed")
    ended = status.get("completionTime") or found.get("spec", {}).get("suspend")
    works = status.get("ready") or status.get("succeeded")
    return Health(State.RUNNING if ended or works else State.STARTING)


def _ready(found: Manifest, is_ready: bool) -> Health:
    seen = found.get("status", {}).get("observedGeneration", 0)
    is_current = seen >= found["metadata"].get("generation", 0)
    return Health(State.RUNNING if is_current and is_ready else State.STARTING)


_JUDGES: dict[str, Callable[[Manifest], Health]] = {
    "Deployment": of_deployment,
    "StatefulSet": _of_stateful_set,
    "DaemonSet": _of_daemon_set,
    "Job": _of_job,
}
