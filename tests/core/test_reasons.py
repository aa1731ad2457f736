"""What a message comes down to."""

from __future__ import annotations

import pytest

from django_userpods.core.health import _STUCK
from django_userpods.core.reasons import Reason, reason_of


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("CrashLoopBackOff: back-off 10s (last exit code 1, Error)", Reason.CRASHES),
        ("CrashLoopBackOff: back-off 10s (last exit code 137, OOMKilled)", Reason.MEMORY),
        ("ImagePullBackOff: Back-off pulling image", Reason.IMAGE),
        ("CreateContainerConfigError: secret not found", Reason.SETTINGS),
        ("CommandNotFound: no program 'x'", Reason.SETTINGS),
        ("Unschedulable: 0/1 nodes are available", Reason.ROOM),
        ("Unschedulable: 0/1: pod has unbound immediate PersistentVolumeClaims", Reason.VOLUME),
        ("Unschedulable: 0/1: 1 pod has unbound immediate PersistentVolumeClaims", Reason.VOLUME),
        ("waiting for first consumer to be created before binding", Reason.VOLUME),
        ("Unschedulable: 1 node(s) had volume node affinity conflict", Reason.ROOM),
        ("Evicted: The node was low on resource: memory.", Reason.EVICTED),
        ("NodeLost: Node a which was running pod b is unresponsive", Reason.NODE),
        ("FailedCreate: pods is forbidden: exceeded quota: q", Reason.QUOTA),
        ("ProgressDeadlineExceeded: has timed out progressing", Reason.SLOW),
        ("Waiting until the objects of the previous user-a are gone.", Reason.PREVIOUS),
        ("ProfileNotOffered: the profile 'gpu' is disabled", Reason.PROFILE),
        ("ProfileFull: as many pods of the profile 'gpu' run", Reason.PLACES),
        ("no route to host", Reason.OTHER),
        ("", Reason.OTHER),
    ],
)
def test_a_message_comes_down_to_a_reason(message: str, reason: Reason) -> None:
    assert reason_of(message) is reason


@pytest.mark.parametrize("name", sorted(_STUCK))
def test_every_reason_of_a_container_that_is_stuck_is_known(name: str) -> None:
    assert reason_of(f"{name}: whatever") is not Reason.OTHER
