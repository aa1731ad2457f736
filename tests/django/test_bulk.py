"""Bulk runs: what was asked of many at once, how far it has come, what failed, and that again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods import lifecycle
from django_userpods.exceptions import ClusterUnavailable, Invalid
from django_userpods.lifecycle import bulk
from django_userpods.models import BulkRun, Transition, UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import MemoryCluster
from tests.django import support
from tests.django.support import deployment, end_pause

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True)

Outcome = Transition.Outcome


@pytest.fixture(autouse=True)
def _cluster(memory: MemoryCluster) -> Iterator[None]:
    end_pause()
    yield
    end_pause()


def pods(number: int, prefix: str = "bulk") -> list[UserPod]:
    """So many users with a pod each, which nobody has looked at for long."""
    support.bulk(number, prefix=prefix)
    reconcile()
    UserPod.objects.update(looked_at=None)
    Transition.objects.all().delete()
    return list(UserPod.objects.order_by("name"))


def follow(result: lifecycle.OperationResult) -> BulkRun:
    assert result.run is not None
    return result.run


def numbers(run: BulkRun) -> tuple[int, int, int, int, int]:
    found = bulk.progress_of(run)
    return found.done, found.failed, found.replaced, found.waiting, found.unknown


def refuse(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have the cluster refuse what is asked for these pods."""
    real = MemoryCluster.apply

    def apply(self: MemoryCluster, manifest: Any, **more: Any) -> Any:
        if manifest["metadata"]["name"] in names:
            message = "ImagePullBackOff: no such image <b>"
            raise Invalid(message)
        return real(self, manifest, **more)

    monkeypatch.setattr(MemoryCluster, "apply", apply)


def crash(memory: MemoryCluster, name: str) -> None:
    """Have a pod's Deployment say that nothing of it runs."""
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "CrashLoopBackOff"}
    deployment(memory, name)["status"] |= {"readyReplicas": 0, "conditions": [failure]}


@pytest.mark.parametrize("operation", list(lifecycle.OPERATIONS))
def test_what_is_asked_of_several_is_followed_to_its_end(operation: lifecycle.Operation) -> None:
    pods(3)
    if operation == lifecycle.Operation.START:
        lifecycle.stop(UserPod.objects.all())
    result = lifecycle.OPERATIONS[operation](UserPod.objects.all(), actor="boss", followed=True)
    reconcile()  # to recreate takes two looks
    run = follow(result)
    assert (run.operation, run.actor, run.number) == (operation, "boss", 3)
    assert numbers(run) == (3, 0, 0, 0, 0)
    progress = bulk.progress_of(run)
    assert progress.settled == 3
    assert progress.settled_at is not None
    assert progress.settled_at >= run.at
    assert set(run.lines.values_list("actor", "operation")) == {("boss", operation.value)}
    assert not UserPod.objects.filter(to_sync=True).exists()


def test_what_is_asked_of_one_or_not_followed_is_no_bulk_run() -> None:
    pods(2)
    assert lifecycle.stop(UserPod.objects.all()[:1], followed=True).run is None
    assert lifecycle.sync(UserPod.objects.all()).run is None
    assert not BulkRun.objects.exists()


def test_one_bad_pod_fails_alone_and_is_asked_for_again_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods(4)
    with monkeypatch.context() as during:
        refuse(during, "user-bulk001", "user-bulk002")
        run = follow(lifecycle.restart(UserPod.objects.all(), followed=True))
        assert numbers(run) == (0, 2, 0, 2, 0)
        reconcile()
    assert numbers(run) == (2, 2, 0, 0, 0)
    failures = bulk.failures_of(run, limit=10)
    assert [failure.pod.name for failure in failures] == ["user-bulk001", "user-bulk002"]
    assert all("no such image" in failure.message for failure in failures)
    assert len(bulk.failures_of(run, limit=1)) == 1

    UserPod.objects.filter(name="user-bulk002").update(state="running")  # well again by itself
    assert bulk.progress_of(run).to_retry == 1
    again = bulk.retry(run, actor="boss")
    assert [pod.name for pod in again.pods] == ["user-bulk001"]
    assert again.done == 1
    assert bulk.progress_of(run).to_retry == 0
    assert numbers(run) == (2, 2, 0, 0, 0), "what came of the first stays as it was"


def test_what_fails_for_all_of_them_is_no_wait_without_end(settings: Any) -> None:
    pods(2)
    settings.USERPODS_TEMPLATE = "/no/such/file.yaml"
    run = follow(lifecycle.restart(UserPod.objects.all(), followed=True))
    assert numbers(run) == (0, 2, 0, 0, 0)
    assert "file.yaml" in bulk.failures_of(run, limit=1)[0].message


def test_a_cluster_that_is_away_leaves_it_to_the_next_sync(memory: MemoryCluster) -> None:
    pods(2)
    memory.fail_with(ClusterUnavailable("no route to host"))
    run = follow(lifecycle.stop(UserPod.objects.all(), followed=True))
    assert numbers(run) == (0, 0, 0, 2, 0)
    assert [str(pod) for pod in bulk.waiting_of(run, limit=1)] == ["user-bulk000"]
    memory.heal()
    reconcile()
    assert numbers(run) == (2, 0, 0, 0, 0)


def test_a_pod_that_crashes_right_after_a_restart_was_not_restarted(memory: MemoryCluster) -> None:
    pods(3)
    run = follow(lifecycle.restart(UserPod.objects.all(), followed=True))
    reconcile()
    assert numbers(run) == (3, 0, 0, 0, 0)
    crash(memory, "user-bulk001")
    reconcile()
    assert numbers(run) == (2, 1, 0, 0, 0)
    assert bulk.failures_of(run, limit=5)[0].message == "CrashLoopBackOff"


def test_one_that_crashes_long_after_it_was_restarted(memory: MemoryCluster) -> None:
    pods(2)
    run = follow(lifecycle.restart(UserPod.objects.all(), followed=True))
    reconcile()
    Transition.objects.filter(run=run).update(settled_at=run.at.replace(year=2001))
    crash(memory, "user-bulk001")
    reconcile()
    assert numbers(run) == (2, 0, 0, 0, 0)


def test_who_crashes_at_once_is_not_said_to_be_done(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods(3)
    real = MemoryCluster.apply

    def apply(self: MemoryCluster, manifest: Any, **more: Any) -> Any:
        found = real(self, manifest, **more)
        if manifest["kind"] == "Deployment" and manifest["metadata"]["name"] == "user-bulk000":
            crash(memory, "user-bulk000")
            return deployment(memory, "user-bulk000")
        return found

    monkeypatch.setattr(MemoryCluster, "apply", apply)
    result = lifecycle.restart(UserPod.objects.all(), followed=True)
    assert (result.done, result.under_way) == (2, 2)
    assert result.failures == ["user-bulk000: CrashLoopBackOff"]
    assert numbers(follow(result)) == (0, 1, 0, 2, 0)


def test_a_sync_says_what_it_found_and_takes_nothing_from_what_was_asked(
    memory: MemoryCluster, settings: Any
) -> None:
    pods(3)
    crash(memory, "user-bulk002")
    reconcile()
    settings.USERPODS_INLINE_TIMEOUT = 0
    stopped = follow(lifecycle.stop(UserPod.objects.filter(name__lt="user-bulk002"), followed=True))
    synced = follow(lifecycle.sync(UserPod.objects.all(), followed=True))
    assert numbers(synced) == (0, 0, 0, 3, 0)
    assert numbers(stopped) == (0, 0, 0, 2, 0)
    reconcile()
    assert numbers(stopped) == (2, 0, 0, 0, 0)
    assert numbers(synced) == (2, 1, 0, 0, 0), "one is as it was: failed"


def test_what_is_asked_for_meanwhile_and_pods_that_go_are_counted(settings: Any) -> None:
    first, second, _ = pods(3)
    settings.USERPODS_INLINE_TIMEOUT = 0
    run = follow(lifecycle.stop(UserPod.objects.all(), followed=True))
    lifecycle.start(UserPod.objects.filter(pk=first.pk))
    assert second.owner is not None
    second.owner.delete()
    reconcile()
    assert numbers(run) == (1, 0, 1, 0, 1)


def test_the_oldest_runs_are_dropped_and_histories_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BulkRun, "KEPT", 2)
    pods(2)
    runs = [follow(lifecycle.sync(UserPod.objects.all(), followed=True)) for _ in range(3)]
    assert set(BulkRun.objects.all()) == set(runs[1:])
    assert Transition.objects.filter(operation="sync", run=None).count() == 2


def test_whoever_waits_has_the_next_few_done(settings: Any) -> None:
    pods(120)
    run = follow(lifecycle.stop(UserPod.objects.all(), followed=True))
    assert numbers(run) == (50, 0, 0, 70, 0)
    settings.USERPODS_CONTROLLER = True
    bulk.go_on(run)
    assert numbers(run)[3] == 70, "the controller does it"
    assert not UserPod.objects.exclude(asked_at=None).exists()
    settings.USERPODS_CONTROLLER = False
    bulk.go_on(run)
    assert numbers(run) == (100, 0, 0, 20, 0)
    bulk.go_on(run)
    assert numbers(run) == (120, 0, 0, 0, 0)


def test_two_who_wait_ask_once(settings: Any, memory: MemoryCluster) -> None:
    pods(3)
    memory.fail_with(ClusterUnavailable("no route to host"))
    run = follow(lifecycle.stop(UserPod.objects.all(), followed=True))
    end_pause()
    memory.calls.clear()
    bulk.go_on(run)
    assert memory.calls
    end_pause()
    memory.calls.clear()
    bulk.go_on(run)
    assert not memory.calls


def test_progress_of_many_takes_as_many_queries_as_of_few(settings: Any) -> None:
    settings.USERPODS_CONTROLLER = True
    counts = []
    for number in (5, 60):
        pods(number, prefix=f"u{number}x")
        these = UserPod.objects.filter(name__startswith=f"user-u{number}x")
        run = follow(lifecycle.restart(these, followed=True))
        half = Transition.objects.filter(run=run).order_by("pk")[: number // 2]
        Transition.objects.filter(pk__in=list(half.values_list("pk", flat=True))).update(
            outcome=Outcome.FAILED, settled_at=run.at
        )
        with CaptureQueriesContext(connection) as queries:
            bulk.go_on(run)
            assert bulk.progress_of(run).failed == number // 2
            assert len(bulk.failures_of(run, limit=100)) == number // 2
            bulk.waiting_of(run, limit=5)
        counts.append(len(queries))
    assert counts == [3, 3]
