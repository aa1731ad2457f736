"""What pods say that ran out of memory, were evicted, or whose node or volume is not there.

They are as the API server has them (Kubernetes 1.36), but for fields that nobody reads.
"""

from __future__ import annotations

from typing import Any

import pytest

from django_userpods.core.health import Health, explained, explained_update, of_pods
from django_userpods.core.reasons import Reason, reason_of
from django_userpods.core.states import State

STARTING = Health(State.STARTING)
LATE = Health(State.FAILED, "ProgressDeadlineExceeded: has timed out progressing.")
#: When a pod was made and had to go, when the one in its place was made, and a day later.
MADE = "2026-01-21T09:00:00Z"
WENT, REPLACED, LATER = "2026-01-21T12:00:00Z", "2026-01-21T12:00:01Z", "2026-01-22T12:00:00Z"


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    said = {"reason": reason, "message": message}
    return {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": WENT,
        **{name: text for name, text in said.items() if text},
    }


def pod(
    *conditions: dict[str, Any], made: str = MADE, leaves: bool = False, **status: Any
) -> dict[str, Any]:
    leaving = {"deletionTimestamp": "2026-01-21T12:00:30Z", "deletionGracePeriodSeconds": 30}
    return {
        "metadata": {"name": "p", "creationTimestamp": made, **(leaving if leaves else {})},
        "spec": {"nodeName": "worker-2", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "conditions": list(conditions), **status},
    }


def new(made: str = REPLACED, **status: Any) -> dict[str, Any]:
    """Return a pod that has a place and whose image is being fetched."""
    container = {"name": "app", "ready": False, "state": {"waiting": {"reason": "PodInitializing"}}}
    fetching = {"phase": "Pending", "containerStatuses": [container]}
    return pod(condition("PodScheduled", "True"), made=made, **(fetching | status))


OUT_OF_MEMORY = {
    "exitCode": 137,
    "reason": "OOMKilled",
    "startedAt": MADE,
    "finishedAt": WENT,
    "containerID": "containerd://0123",
}


def container(
    state: dict[str, Any], last: dict[str, Any] | None = None, *, ready: bool = False
) -> dict[str, Any]:
    return {
        "name": "app",
        "ready": ready,
        "restartCount": 1,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


RUNS: dict[str, Any] = {"running": {"startedAt": REPLACED}}
SAID = "OOMKilled: container app, exit code 137"


@pytest.mark.parametrize("init", [False, True])
@pytest.mark.parametrize(
    "found",
    [
        container({"terminated": OUT_OF_MEMORY}),
        container(RUNS, OUT_OF_MEMORY),
        container({"waiting": {"reason": "PodInitializing"}}, OUT_OF_MEMORY),
    ],
)
def test_a_container_that_ran_out_of_memory_says_so(found: dict[str, Any], init: bool) -> None:
    statuses: dict[str, Any] = {"initContainerStatuses" if init else "containerStatuses": [found]}
    assert explained(STARTING, [pod(**statuses)]) == Health(State.STARTING, SAID)
    assert reason_of(SAID) is Reason.MEMORY


def test_a_crash_loop_for_want_of_memory_has_failed() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    health = of_pods([pod(containerStatuses=[container(waiting, OUT_OF_MEMORY)])])
    assert health is not None
    assert (health.state, reason_of(health.message)) == (State.FAILED, Reason.MEMORY)


@pytest.mark.parametrize(
    "found",
    [
        container(RUNS, OUT_OF_MEMORY, ready=True),
        container(RUNS, {"exitCode": 0, "reason": "Completed"}),
        # What an init container did in the end counts.
        container({"terminated": {"exitCode": 0, "reason": "Completed"}}, OUT_OF_MEMORY),
    ],
)
def test_memory_is_not_blamed_for_anything_else(found: dict[str, Any]) -> None:
    assert of_pods([pod(containerStatuses=[found])]) is None


EVICTED = pod(
    condition(
        "DisruptionTarget",
        "True",
        "TerminationByKubelet",
        "The node was low on resource: memory.",
    ),
    condition("Ready", "False", "PodFailed"),
    phase="Failed",
    reason="Evicted",
    message="The node was low on resource: memory.",
    containerStatuses=[container({"terminated": {**OUT_OF_MEMORY, "reason": "Error"}})],
)
DRAINED = pod(
    condition("DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting"),
    leaves=True,
)
PREEMPTED = pod(
    condition("DisruptionTarget", "True", "PreemptionByScheduler", "default-scheduler: preempting"),
    leaves=True,
)
TAINTED = pod(
    condition(
        "DisruptionTarget",
        "True",
        "DeletionByTaintManager",
        "Taint manager: deleting due to NoExecute taint",
    ),
    leaves=True,
)
NODE_DELETED = pod(
    condition("DisruptionTarget", "True", "DeletionByPodGC", "PodGC: node no longer exists"),
    phase="Failed",
)
NODE_LOST = pod(
    condition("Ready", "False"),
    leaves=True,
    reason="NodeLost",
    message="Node worker-2 which was running pod p is unresponsive",
)
GONE = [
    (EVICTED, "Evicted: The node was low on resource: memory.", Reason.EVICTED),
    (DRAINED, "EvictionByEvictionAPI: Eviction API: evicting", Reason.EVICTED),
    (PREEMPTED, "PreemptionByScheduler: default-scheduler: preempting", Reason.EVICTED),
    (TAINTED, "DeletionByTaintManager: Taint manager: deleting due to", Reason.NODE),
    (NODE_DELETED, "DeletionByPodGC: PodGC: node no longer exists", Reason.NODE),
    (NODE_LOST, "NodeLost: Node worker-2 which was running pod p is", Reason.NODE),
]


@pytest.mark.parametrize(("gone", "said", "reason"), GONE)
def test_a_pod_that_had_to_go_says_why_until_another_runs(
    gone: dict[str, Any], said: str, reason: Reason
) -> None:
    for pods in ([gone], [gone, new()], [new(), gone]):
        health = explained(STARTING, pods)
        assert health.state == State.STARTING
        assert health.message.startswith(said)
        assert reason_of(health.message) is reason


@pytest.mark.parametrize("gone", [gone for gone, _, _ in GONE])
def test_a_pod_that_had_to_go_says_nothing_of_one_that_runs(gone: dict[str, Any]) -> None:
    runs = new(phase="Running", containerStatuses=[container(RUNS, ready=True)])
    assert explained(Health(State.RUNNING), [gone, runs]) == Health(State.RUNNING)
    assert explained_update(STARTING, [gone, runs]) == STARTING
    # As of one that was stopped meanwhile, and started long after.
    assert explained(STARTING, [gone, new(LATER)]) == STARTING
    assert explained(STARTING, [new(LATER), gone]) == STARTING


def test_what_is_left_of_an_evicted_pod_is_no_failure_of_another() -> None:
    stuck = container({"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}})
    left = {**EVICTED, "status": {**EVICTED["status"], "containerStatuses": [stuck]}}
    assert explained(STARTING, [left, new(LATER)]) == STARTING
    quota = Health(State.FAILED, "FailedCreate: pods is forbidden: exceeded quota: small")
    health = explained(quota, [left])
    assert (health.state, reason_of(health.message)) == (State.FAILED, Reason.QUOTA)


def test_the_pod_in_its_place_is_heard_first() -> None:
    stuck = container({"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}})
    failed = Health(State.FAILED, "ImagePullBackOff: back-off")
    assert of_pods([EVICTED, new(containerStatuses=[stuck])]) == failed
    full = condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available")
    waits = pod(full, made=REPLACED, phase="Pending")
    assert of_pods([EVICTED, waits]) == Health(
        State.STARTING, "Unschedulable: 0/1 nodes are available"
    )


def test_a_pod_that_was_just_deleted_says_nothing() -> None:
    stuck = container({"waiting": {"reason": "ImagePullBackOff"}})
    left = pod(condition("Ready", "True"), leaves=True, containerStatuses=[stuck])
    assert of_pods([left, new()]) is None
    done = pod(condition("Ready", "False", "PodCompleted"), phase="Succeeded")
    assert of_pods([done]) is None


def test_a_pod_of_a_job_that_ran_out_of_memory_says_so() -> None:
    ended = pod(phase="Failed", containerStatuses=[container({"terminated": OUT_OF_MEMORY})])
    late = Health(State.FAILED, "BackoffLimitExceeded")
    assert explained(late, [ended]) == Health(State.FAILED, f"BackoffLimitExceeded; {SAID}")


def test_a_node_that_does_not_answer_is_said_of_its_pod() -> None:
    """The node's controller takes Ready, and gives no reason."""
    healthy: dict[str, Any] = {"containerStatuses": [container(RUNS, ready=True)]}
    found = pod(condition("Ready", "False"), condition("ContainersReady", "True"), **healthy)
    said = "NodeNotReady: node worker-2 does not answer"
    assert explained(STARTING, [found]) == Health(State.STARTING, said)
    assert reason_of(said) is Reason.NODE


@pytest.mark.parametrize(
    ("ready", "containers"),
    [
        (condition("Ready", "False", "ContainersNotReady"), "False"),
        (condition("Ready", "False", "ReadinessGatesNotReady"), "True"),
        (condition("Ready", "True"), "True"),
    ],
)
def test_a_pod_that_is_not_ready_by_itself_blames_no_node(
    ready: dict[str, Any], containers: str
) -> None:
    assert of_pods([pod(ready, condition("ContainersReady", containers))]) is None


UNBOUND = (
    "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found. "
    "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)
PROVISIONING = (
    'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "home"'
)


@pytest.mark.parametrize(
    ("reason", "message"), [("Unschedulable", UNBOUND), ("SchedulerError", PROVISIONING)]
)
def test_a_volume_that_is_being_made_is_waited_for_as_long_as_starts_may_take(
    reason: str, message: str
) -> None:
    waits = pod(condition("PodScheduled", "False", reason, message), phase="Pending")
    health = explained(STARTING, [waits])
    assert health == Health(State.STARTING, f"{reason}: {message}")
    assert reason_of(health.message) is Reason.VOLUME
    late = explained(LATE, [waits])
    assert (late.state, reason_of(late.message)) == (State.FAILED, Reason.VOLUME)


def test_room_may_come_after_the_deadline() -> None:
    full = condition("PodScheduled", "False", "Unschedulable", "0/3 nodes are available")
    health = explained(LATE, [pod(full, phase="Pending")])
    assert health == Health(State.STARTING, "Unschedulable: 0/3 nodes are available")
