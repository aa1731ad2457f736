"""``sync_userpods --wait``: it waits, and tells the truth at the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import SLEEP, deployment, pairs, sync
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def test_wait_ends_when_all_is_up(memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    UserFactory(username="alice")
    sync()
    live = deployment(memory, "user-alice")
    live["status"]["readyReplicas"] = 0

    def sleep(_: float) -> None:
        live["status"]["readyReplicas"] = 1

    monkeypatch.setattr(SLEEP, sleep)
    assert sync("--wait", "60")[0] == 0
    assert UserPod.objects.get().state == UserPod.State.RUNNING


def test_a_pod_that_does_not_come_up_in_time_is_named(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    sync()
    deployment(memory, "user-alice")["status"]["readyReplicas"] = 0
    assert sync()[0] == 0
    status, _, err = sync("--wait", "0.05")
    assert status == 1
    assert "user-alice" in err
    assert "not up within the time to wait" in err


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let something happen between two looks, each of which is made at once."""

    def at_each(*steps: Any) -> None:
        left = list(steps)
        monkeypatch.setattr(SLEEP, lambda _: left.pop(0)() if left else None)

    return at_each


def test_waiting_goes_on_where_the_cluster_does_not_answer_for_a_moment(
    memory: MemoryCluster, later: Any
) -> None:
    UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("down"))
    later(lambda: None, memory.heal)
    status, out, _ = sync("--wait", "60")
    assert status == 0, out
    assert UserPod.objects.get().state == UserPod.State.RUNNING
    live = deployment(memory, "user-alice")
    live["status"]["readyReplicas"] = 0
    reconcile()
    later(
        lambda: memory.fail_with(ClusterUnavailable("down")),
        lambda: live["status"].update(readyReplicas=1),
        memory.heal,
    )
    status, out, _ = sync("--wait", "60")
    assert status == 0, out


def test_waiting_tries_those_again_whom_the_cluster_failed_for_a_moment(
    memory: MemoryCluster, later: Any
) -> None:
    UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("503"), verb="create", kind="Service")
    later(memory.heal)
    status, _, err = sync("--wait", "60")
    assert (status, err) == (0, "")
    assert pairs(memory) == ["user-alice"]


def test_a_pod_that_crashes_is_no_success(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    sync()
    live = deployment(memory, "user-alice")
    live["status"]["readyReplicas"] = 0
    live["status"]["conditions"] = [
        {"type": "Progressing", "status": "False", "reason": "CrashLoopBackOff"}
    ]
    status, out, err = sync()
    assert status == 0
    assert "all as they should be" not in out
    assert "1 of their pods do not run" in out
    assert "Not running: user-alice: CrashLoopBackOff" in err
    status, out, err = sync("--wait", "1")
    assert status == 1
    assert "Failed user-alice: CrashLoopBackOff" in err
    assert "all as they should be" not in out
    assert json.loads(sync("--format", "json")[1])["unwell"][0]["name"] == "user-alice"
