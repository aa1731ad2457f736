"""What a leader does with what is due, step by step and without threads."""

from __future__ import annotations

import datetime
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.utils import timezone

from django_userpods import lifecycle
from django_userpods.cluster import another_cluster
from django_userpods.controller import changes, idle
from django_userpods.controller import term as terms
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.queue import KeyedQueue
from django_userpods.controller.term import EVERYTHING, Options, Term
from django_userpods.exceptions import ClusterUnavailable, Invalid, NotLeading
from django_userpods.models import UserPod
from django_userpods.reconcile import observe, reconcile
from tests.controller.steps import work
from tests.django.support import deployment, names, pairs, writes
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def term(settings: Any, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> Term:
    settings.USERPODS_CONTROLLER = True
    # What has failed, or waits, is due again at once: nobody sleeps here.
    for name in ("_SETTLE", "_WAITING", "_GATHER", "_PAUSE", "_LONGER_PAUSE"):
        monkeypatch.setattr(terms, name, 0.0)
    # However long it took to count the users, they are counted at the next poll.
    monkeypatch.setattr(changes, "_SHARE", math.inf)
    made = Term(Options(), Metrics(), another_cluster())
    made.pods._first = made.everything._first = 0.0
    return made


def state(username: str) -> str:
    return str(UserPod.objects.get(owner__username=username).state)


def marked() -> int:
    return UserPod.objects.exclude(asked_at=None).count()


def test_who_is_saved_has_a_pod_and_no_mark(term: Term, memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    assert pairs(memory) == []
    work(term)
    assert pairs(memory) == ["user-alice"]
    assert (state("alice"), marked()) == ("running", 0)


def test_who_is_deleted_or_stopped_has_it_done(term: Term, memory: MemoryCluster) -> None:
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    work(term)
    alice.delete()
    lifecycle.stop(UserPod.objects.filter(owner=bob))
    work(term)
    assert pairs(memory) == ["user-bob"]
    assert deployment(memory, "user-bob")["spec"]["replicas"] == 0
    assert (state("bob"), marked()) == ("stopped", 0)


def test_a_pod_that_is_too_old_is_stopped(
    term: Term, memory: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "_POLL", 0.0)
    settings.USERPODS_MAX_AGE = 3600
    UserFactory(username="alice")
    work(term)
    hour = datetime.timedelta(hours=1)
    UserPod.objects.update(started_at=timezone.now() - hour)
    ticks: list[datetime.datetime] = []

    def tick(now: datetime.datetime) -> None:
        ticks.append(now)
        if len(ticks) == 1:
            message = "the database is away"
            raise OperationalError(message)
        term.stopping.set()
        real_tick(now)

    real_tick = idle.tick
    monkeypatch.setattr(idle, "tick", tick)
    term._stop_idle()
    assert len(ticks) == 2, "it goes on after a failure"
    assert marked() == 1
    work(term)
    assert (state("alice"), marked()) == ("stopped", 0)
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 0


def test_a_pod_that_is_noticed_is_put_back(term: Term, memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    work(term)
    deployment(memory, "user-alice")["spec"]["replicas"] = 7
    term.notice(UserPod.objects.get().pk)
    work(term)
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 1


def test_a_pod_of_nobody_is_no_trouble(term: Term, memory: MemoryCluster) -> None:
    term.notice("0123456789abcdef")
    work(term)
    assert term.pods.backlog().due == 0
    assert writes(memory) == []


def test_many_take_few_lists(term: Term, memory: MemoryCluster) -> None:
    get_user_model().objects.bulk_create([UserFactory.build(username=f"u{n}") for n in range(50)])
    term.look_at_everything()
    work(term)
    memory.calls.clear()
    for pod in UserPod.objects.all():
        term.notice(pod.pk)
    work(term)
    assert len(memory.calls) <= 3


def test_one_that_fails_is_tried_again_alone_and_keeps_its_mark(
    term: Term, memory: MemoryCluster
) -> None:
    memory.fail_with(
        Invalid("no such thing", status=422), verb="create", kind="Deployment", times=1
    )
    for name in ("alice", "bob", "carol"):
        UserFactory(username=name)
    work(term)
    assert len(names(memory)) == 2
    assert (UserPod.objects.filter(state="failed").count(), marked()) == (1, 1)
    work(term)
    assert len(pairs(memory)) == 3
    assert (UserPod.objects.filter(state="running").count(), marked()) == (3, 0)


def test_a_cluster_that_is_down_is_nobodys_failure(
    term: Term, memory: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("down"))
    work(term, rounds=3)
    pod = UserPod.objects.get()
    assert (pod.state, pod.message) == ("pending", "down")
    assert term.pods.failures(pod.pk) == 0
    memory.heal()
    work(term)
    assert (pairs(memory), marked()) == (["user-alice"], 0)


def test_who_does_not_lead_writes_nothing_and_takes_no_mark(
    term: Term, memory: MemoryCluster
) -> None:
    UserFactory(username="alice")

    def refuse() -> None:
        raise NotLeading("another leads")

    term._leads = refuse
    work(term, rounds=2)
    assert not memory.objects
    assert marked() == 1
    term._leads = lambda: None
    work(term)
    assert (pairs(memory), marked()) == (["user-alice"], 0)


def test_a_database_that_is_away_is_waited_for(
    term: Term, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    UserFactory(username="alice")
    term.changes.poll()
    calls: list[Any] = []

    def lost(**arguments: Any) -> Any:
        calls.append(arguments)
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(terms, "reconcile", lost)
        term.do(term.pods.take(5))
        assert len(calls) == 1
    work(term)
    assert pairs(memory) == ["user-alice"]


def test_an_error_that_nobody_thought_of_is_one_pods_own(
    term: Term, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = UserFactory(username="bad").userpods.get().pk
    UserFactory(username="alice")
    UserFactory(username="bob")

    def sometimes(*, pods: Any, **arguments: Any) -> Any:
        if bad in pods:
            raise ZeroDivisionError("a bug")
        return reconcile(pods=pods, **arguments)

    monkeypatch.setattr(terms, "reconcile", sometimes)
    work(term)
    assert pairs(memory) == ["user-alice", "user-bob"]
    assert term.pods.failures(bad) == 1


def test_a_user_who_vanished_is_left_to_a_look_at_everything(
    term: Term, memory: MemoryCluster
) -> None:
    """Deployments change all the time: an empty user table must not delete them one by one."""
    for number in range(4):
        UserFactory(username=f"u{number}")
    work(term)
    get_user_model().objects.all()._raw_delete("default")
    for pod in UserPod.objects.all():
        term.notice(pod.pk)
    term.do(term.pods.take(50))
    assert len(pairs(memory)) == 4
    assert term.everything.backlog().due == 1
    work(term)
    assert len(pairs(memory)) == 4
    assert not UserPod.objects.filter(wanted="absent").exists()


def test_a_look_at_everything_comes_again_and_is_in_sync(term: Term) -> None:
    term.look_at_everything()
    work(term)
    assert term.is_synced
    assert term.everything.backlog().later == 1
    assert term.everything.failures(EVERYTHING) == 0


def test_who_is_deactivated_by_sql_is_found_at_the_next_resync(
    term: Term, memory: MemoryCluster
) -> None:
    """SQL sets no mark, and as many users are there as before: nothing else tells of it."""
    now = 1000.0
    term._options = Options(resync=30.0)
    term.everything = KeyedQueue(clock=lambda: now)
    for name in ("alice", "bob", "carol"):
        UserFactory(username=name)
    term.look_at_everything()
    work(term)
    get_user_model().objects.filter(username="bob").update(is_active=False)
    assert marked() == 0
    now += 29
    work(term)
    assert pairs(memory) == ["user-alice", "user-bob", "user-carol"]
    now += 2
    work(term)
    assert pairs(memory) == ["user-alice", "user-carol"]
    assert state("bob") == "stopped"


def test_what_waits_for_a_name_gets_it_once_that_is_free(term: Term, memory: MemoryCluster) -> None:
    alice = UserFactory(username="alice")
    work(term)
    alice.delete()
    UserFactory(username="alice")
    work(term, rounds=4)
    assert pairs(memory) == ["user-alice"]
    assert (state("alice"), marked()) == ("running", 0)


def test_what_a_look_at_everything_saw_before_a_worker_does_not_stay(
    term: Term, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took its list, the pod became ready, a worker said so, and then it wrote what it knew."""
    UserFactory(username="alice")
    work(term)
    pod = UserPod.objects.get().pk
    status = deployment(memory, "user-alice")["status"]
    ready, status["readyReplicas"] = status["readyReplicas"], 0
    term.notice(pod)
    work(term)
    assert state("alice") == "starting"
    UserPod.objects.update(state="pending")
    real = observe.observe

    def slowly(*arguments: Any) -> Any:
        found = real(*arguments)
        monkeypatch.setattr("django_userpods.reconcile.run.observe", real)
        status["readyReplicas"] = ready
        term.notice(pod)
        term.do(term.pods.take(terms.BATCH))
        assert state("alice") == "running"
        # Nor does it help that the row is as it was when it was read.
        UserPod.objects.update(state="pending")
        return found

    monkeypatch.setattr("django_userpods.reconcile.run.observe", slowly)
    term.do_everything()
    work(term)
    assert state("alice") == "running"


def test_a_pod_at_work_when_a_look_at_everything_begins_is_looked_at_once_more(
    term: Term, memory: MemoryCluster
) -> None:
    UserFactory(username="alice")
    work(term)
    pod = UserPod.objects.get().pk
    term.notice(pod)
    assert term.pods.take(terms.BATCH) == [pod]
    term.do_everything()
    assert term.pods.take(terms.BATCH) == []
    term.pods.done(pod)
    assert term.pods.take(terms.BATCH) == [pod]


def test_a_term_that_was_lost_writes_neither_objects_nor_rows(
    term: Term, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where its leader leads anew: another term does that."""
    UserFactory(username="alice")
    work(term)
    deployment(memory, "user-alice")["status"]["readyReplicas"] = 0
    term.notice(UserPod.objects.get().pk)
    term.is_lost = True
    work(term)
    assert state("alice") == "running"
    term.is_lost = False
    work(term)
    assert state("alice") == "starting"


def test_changes_are_logged_with_their_reason(
    term: Term, memory: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django_userpods.controller")
    UserFactory(username="alice")
    work(term)
    deployment(memory, "user-alice")["spec"]["replicas"] = 7
    term.notice(UserPod.objects.get().pk)
    work(term)
    said = [vars(record) for record in caplog.records if hasattr(record, "verb")]
    assert [(item["verb"], item["kind"], item["name_of_object"]) for item in said] == [
        ("create", "Deployment", "user-alice"),
        ("create", "Service", "user-alice"),
        ("update", "Deployment", "user-alice"),
    ]
    assert "replicas" in said[-1]["reason"]


def test_time_from_asked_to_settled_is_counted(term: Term) -> None:
    UserFactory(username="alice")
    work(term)
    found = term._metrics.exposition()
    assert found is not None
    assert b'userpods_asked_to_settled_seconds_count{state="running"} 1.0' in found[0]
