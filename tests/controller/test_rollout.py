"""A rollout by the controller: the next have their turn once there is room, and it is counted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods.cluster import another_cluster
from django_userpods.controller import term as terms
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.term import Options, Term
from django_userpods.models import UserPod
from tests.django.support import bulk, deployment, names

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def term(settings: Any, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> Term:
    """A leader that has looked at four pods, and is to give them another image, one by one."""
    settings.USERPODS_CONTROLLER = True
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1, "MAX_FAILURES": 1}
    for name in ("_SETTLE", "_WAITING", "_GATHER", "_PAUSE"):
        monkeypatch.setattr(terms, name, 0.0)
    made = Term(Options(), Metrics(), another_cluster())
    bulk(4)
    made.do_everything()
    settings.USERPODS_IMAGE = "example.org/app:2"
    made.do_everything()
    return made


def updated(memory: MemoryCluster) -> list[str]:
    specs = {name: deployment(memory, name)["spec"]["template"]["spec"] for name in names(memory)}
    return [
        name for name, spec in specs.items() if spec["containers"][0]["image"].endswith("app:2")
    ]


def look(term: Term, memory: MemoryCluster) -> None:
    """Do as the threads do: the watch tells of pods that were updated, the poll of those due."""
    found = UserPod.objects.filter(name__in=updated(memory))
    for pk in found.values_list("pk", flat=True):
        term.notice(pk)
    term.give_turns()
    while keys := term.pods.take(terms.BATCH):
        term.do(keys)


def test_each_has_its_turn_once_the_one_before_is_ready(term: Term, memory: MemoryCluster) -> None:
    assert len(updated(memory)) == 1
    numbers = []
    for _ in range(8):
        look(term, memory)
        numbers.append(len(updated(memory)))
        assert not UserPod.objects.filter(turn="failed").exists()
    assert numbers == sorted(numbers)
    assert max(after - before for before, after in pairwise(numbers)) == 1
    assert numbers[-1] == 4
    assert not UserPod.objects.exclude(turn="").exists()


def test_as_long_as_one_is_not_ready_nobody_else_has_a_turn(
    term: Term, memory: MemoryCluster
) -> None:
    (first,) = updated(memory)
    deployment(memory, first)["status"]["readyReplicas"] = 0
    for _ in range(3):
        look(term, memory)
    assert updated(memory) == [first]


def test_one_that_waits_is_no_failure_and_not_looked_at_again_and_again(
    term: Term, memory: MemoryCluster
) -> None:
    (first,) = updated(memory)
    deployment(memory, first)["status"]["readyReplicas"] = 0
    look(term, memory)
    backlog = term.pods.backlog()
    assert (backlog.due, backlog.later, backlog.running) == (0, 0, 0)


def test_the_metrics_tell_how_far_it_is_and_that_it_was_stopped(
    term: Term, memory: MemoryCluster
) -> None:
    found = term._metrics.exposition()
    assert found is not None
    text = found[0].decode()
    for line in ('{turn="waiting"} 3.0', '{turn="updating"} 1.0', '{turn="failed"} 0.0'):
        assert f"userpods_rollout_pods{line}" in text
    assert "userpods_rollout_stopped 0.0" in text
    (first,) = updated(memory)
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    deployment(memory, first)["status"] |= {"readyReplicas": 0, "conditions": [condition]}
    for _ in range(3):
        look(term, memory)
    assert updated(memory) == [first]
    term._metrics.rollout._when = float("-inf")
    found = term._metrics.exposition()
    assert found is not None
    assert "userpods_rollout_stopped 1.0" in found[0].decode()


def cost_of_a_turn(term: Term, memory: MemoryCluster, settings: Any, image: str) -> list[int]:
    """How many statements and calls one pod's turn takes, from being due to running."""
    settings.USERPODS_IMAGE = image
    term.do_everything()
    before = len([row for row in UserPod.objects.all() if row.turn == "waiting"])
    assert before
    term.pods.take(1000)  # whoever was noticed
    memory.calls.clear()
    with CaptureQueriesContext(connection) as statements:
        UserPod.objects.filter(turn="updating").update(turn="")
        term.give_turns()
        term.do(term.pods.take(terms.BATCH))
    assert UserPod.objects.filter(turn="waiting").count() == before - 1
    return [len(statements), len(memory.calls)]


def test_a_turn_costs_the_same_however_many_wait(
    term: Term, memory: MemoryCluster, settings: Any
) -> None:
    few = cost_of_a_turn(term, memory, settings, "example.org/app:3")
    bulk(120, prefix="more")
    del settings.USERPODS_ROLLOUT
    term.do_everything()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1, "MAX_FAILURES": 1}
    assert cost_of_a_turn(term, memory, settings, "example.org/app:4") == few
