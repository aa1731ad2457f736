"""What a Deployment and its pods say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from django_userpods.core.health import Health, of_deployment, of_pods, of_update
from django_userpods.core.states import State


def deployment(
    *, replicas: int = 1, generation: int = 2, observed: int = 2, **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": observed, **status},
    }


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_a_ready_deployment_is_running() -> None:
    found = deployment(readyReplicas=1, updatedReplicas=1)
    assert of_deployment(found) == Health(State.RUNNING)


def test_no_replicas_are_stopped() -> None:
    assert of_deployment(deployment(replicas=0)) == Health(State.STOPPED)


@pytest.mark.parametrize(
    "found",
    [
        deployment(),
        deployment(observed=1, readyReplicas=1, updatedReplicas=1),
        deployment(readyReplicas=1, updatedReplicas=0),
        deployment(replicas=2, readyReplicas=1, updatedReplicas=2),
        {"metadata": {"generation": 1}, "spec": {}},
        deployment(conditions=None),
        deployment(observed=1, conditions=[condition("Progressing", "False", "Old")]),
    ],
)
def test_a_deployment_that_is_not_up_yet_is_starting(found: dict[str, Any]) -> None:
    assert of_deployment(found) == Health(State.STARTING)


def test_an_update_is_through_once_no_earlier_pod_is_left() -> None:
    status = {"readyReplicas": 1, "updatedReplicas": 1}
    beside = deployment(replicas=1, **status)
    beside["status"]["replicas"] = 2
    assert of_deployment(beside).state == State.RUNNING
    assert of_update(beside).state == State.STARTING
    beside["status"]["replicas"] = 1
    assert of_update(beside).state == State.RUNNING


def test_a_quota_that_is_used_up_is_a_failure() -> None:
    text = 'pods "x" is forbidden: exceeded quota: small'
    found = deployment(conditions=[condition("ReplicaFailure", "True", "FailedCreate", text)])
    assert of_deployment(found) == Health(State.FAILED, f"FailedCreate: {text}")


def test_a_deadline_that_has_passed_is_a_failure() -> None:
    bad = condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")
    assert of_deployment(deployment(conditions=[bad])) == Health(
        State.FAILED, "ProgressDeadlineExceeded: timed out"
    )


def pod(*waiting: dict[str, Any], init: bool = False, **status: Any) -> dict[str, Any]:
    statuses = [{"state": {"waiting": item}} for item in waiting]
    return {
        "status": {("initContainerStatuses" if init else "containerStatuses"): statuses, **status}
    }


@pytest.mark.parametrize("init", [False, True])
@pytest.mark.parametrize(
    "reason",
    ["ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError"],
)
def test_a_container_that_is_stuck_is_a_failure_with_its_reason(reason: str, init: bool) -> None:
    found = of_pods([pod({"reason": reason, "message": "because"}, init=init)])
    assert found == Health(State.FAILED, f"{reason}: because")


def test_a_crash_loop_names_the_exit_code() -> None:
    crashed = pod({"reason": "CrashLoopBackOff", "message": "back-off 5m0s"})
    crashed["status"]["containerStatuses"][0]["lastState"] = {
        "terminated": {"exitCode": 137, "reason": "OOMKilled"}
    }
    assert of_pods([crashed]) == Health(
        State.FAILED, "CrashLoopBackOff: back-off 5m0s (last exit code 137, OOMKilled)"
    )


def test_a_pod_that_fits_nowhere_is_starting_and_says_why() -> None:
    unschedulable = condition("PodScheduled", "False", "Unschedulable", "0/3 nodes: no memory")
    assert of_pods([pod(conditions=[unschedulable])]) == Health(
        State.STARTING, "Unschedulable: 0/3 nodes: no memory"
    )


def test_what_fails_outweighs_what_waits() -> None:
    waits = pod(conditions=[condition("PodScheduled", "False", "Unschedulable")])
    found = of_pods([waits, pod({"reason": "ImagePullBackOff"})])
    assert found == Health(State.FAILED, "ImagePullBackOff")


@pytest.mark.parametrize(
    "pods", [[], [{}], [pod()], [pod({"reason": "ContainerCreating"})], [{"status": {}}]]
)
def test_pods_of_which_nothing_is_known_say_nothing(pods: list[dict[str, Any]]) -> None:
    assert of_pods(pods) is None


def test_a_message_is_cut() -> None:
    found = of_pods([pod({"reason": "ImagePullBackOff", "message": "x" * 2000})])
    assert found is not None
    assert len(found.message) == 500
