"""What a controller says of itself to the probes: ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.cluster import another_cluster
from django_userpods.conf import conf
from django_userpods.controller.loop import Controller
from django_userpods.controller.queue import KeyedQueue
from django_userpods.controller.term import Options, Term
from django_userpods.core.objects import POD
from django_userpods.exceptions import ClusterUnavailable, Forbidden

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


class Clock:
    """Seconds that pass when a test says so, from now on: a machine may have just been started."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def controller(settings: Any, memory: MemoryCluster, clock: Clock) -> Controller:
    """One that has not begun: its election is tried by ``step``, and no thread runs."""
    settings.USERPODS_CONTROLLER = True
    made = Controller(Options(), lease_namespace="default")
    made.leader._clock = clock
    return made


@pytest.fixture
def term(controller: Controller, clock: Clock) -> Term:
    """The term of one that leads and has looked at everything."""
    controller.leader.step()
    assert controller.leader.is_leading
    made = Term(Options(), controller.metrics, another_cluster())
    made.pods = KeyedQueue(clock=clock)
    made.is_synced = True
    controller._term = made
    return made


def test_a_leader_that_has_looked_at_everything_is_ready(
    controller: Controller, term: Term
) -> None:
    assert (controller.healthy(), controller.ready()) == ("", "")
    term.is_synced = False
    assert (controller.healthy(), controller.ready()) == ("", "not everything was looked at yet")


def test_a_leader_without_a_term_is_not_ready(controller: Controller) -> None:
    controller.leader.step()
    assert (controller.healthy(), controller.ready()) == ("", "not everything was looked at yet")


def test_who_stands_by_is_ready_as_long_as_somebody_leads(
    controller: Controller, clock: Clock
) -> None:
    clock.now += 1
    assert (controller.healthy(), controller.ready()) == ("", "nobody leads yet")
    other = Controller(Options(), lease_namespace="default")
    other.leader.step()
    controller.leader.step()
    assert not controller.leader.is_leading
    assert (controller.healthy(), controller.ready()) == ("", "")


def test_an_unreached_cluster_is_no_fault_of_the_process(
    controller: Controller, term: Term, memory: MemoryCluster
) -> None:
    """It leads for some seconds more, but would not do its work: no probe is to restart it."""
    memory.fail_with(ClusterUnavailable("nobody answers"))
    controller.leader.step()
    assert controller.leader.is_leading
    assert (controller.healthy(), controller.ready()) == ("", "the Lease: nobody answers")
    memory.heal()
    controller.leader.step()
    assert controller.ready() == ""


def test_a_pod_that_has_waited_too_long_is_told(
    controller: Controller, term: Term, clock: Clock
) -> None:
    term.pods.add("0123456789abcdef")
    for _ in range(6):
        clock.now += 10
        controller.leader.step()
    assert (controller.healthy(), controller.ready()) == ("", "")
    clock.now += 1
    assert (controller.healthy(), controller.ready()) == ("", "a pod has waited for 61 s")


def test_a_look_at_everything_that_failed_is_told_until_one_does_not(
    controller: Controller, term: Term, memory: MemoryCluster
) -> None:
    """The Lease is another right than the lists."""
    memory.fail_with(Forbidden("deployments is forbidden", status=403), verb="list")
    term.do_everything()
    controller.leader.step()
    said = "the last look at everything: deployments is forbidden"
    assert (controller.healthy(), controller.ready()) == ("", said)
    memory.heal()
    term.do_everything()
    assert controller.ready() == ""


def test_a_kind_that_is_not_watched_is_told(
    controller: Controller, term: Term, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(term, "run", lambda *_: None)
    controller._watch(term)
    assert controller.ready() == "", "they have just begun"
    for watcher in term.watchers:
        watcher._closed_at -= 61
        watcher._is_unknown = watcher._kind != POD
    assert (controller.healthy(), controller.ready()) == (
        "",
        f"Pods in {conf.USERPODS_NAMESPACE}: not watched for 61 s",
    )


def test_a_thread_that_died_is_told(controller: Controller, term: Term) -> None:
    def die() -> None:
        message = "a bug"
        raise ZeroDivisionError(message)

    term.run("pods-7", die).join()
    said = "the thread userpods-pods-7 has ended"
    assert (controller.healthy(), controller.ready()) == (said, said)
    # At the end of a term all of them do.
    term.stopping.set()
    assert controller.healthy() == ""


def test_one_that_may_end_is_not_told(controller: Controller, term: Term) -> None:
    thread = term.run("listen", lambda: None)
    term._may_end.add(thread)
    thread.join()
    assert (controller.healthy(), controller.ready()) == ("", "")


def test_an_election_that_is_stuck_or_dead_is_told(controller: Controller, clock: Clock) -> None:
    controller.leader.step()
    clock.now += 60
    assert controller.healthy() == ""
    clock.now += 1
    said = "the election has not tried for 61 s"
    assert (controller.healthy(), controller.ready()) == (said, said)
    controller.leader.step()
    assert controller.healthy() == ""
    controller._election = threading.Thread(target=lambda: None)
    assert controller.healthy() == "", "it has not begun"
    controller._election.start()
    controller._election.join()
    assert controller.healthy() == "the election has ended"
