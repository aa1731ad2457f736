"""Restarts of containers: which looks of a leader count them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import UserPod
from tests.controller.steps import work
from tests.controller.test_term import term
from tests.django.test_restarts import put_pod
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.controller.term import Term
    from django_userpods.testing import MemoryCluster

__all__ = ["term"]

pytestmark = pytest.mark.django_db(transaction=True)


def restarts() -> list[int]:
    return [*UserPod.objects.order_by("name").values_list("restarts", flat=True)]


def test_restarts_of_a_pod_that_runs_are_counted_once_a_watch_tells_of_it(
    term: Term, memory: MemoryCluster
) -> None:
    UserFactory(username="alice"), UserFactory(username="bob")
    work(term, rounds=2)
    pods = {pod.name: pod.pk for pod in UserPod.objects.all()}
    for name in ("user-alice", "user-bob"):
        put_pod(memory, name, 1)
    memory.calls.clear()
    term.notice(pods["user-alice"])
    work(term)
    assert (restarts(), [c for c in memory.calls if c.kind.kind == "Pod"]) == ([0, 0], [])
    term.notice_restarts(pods["user-alice"])
    work(term)
    assert restarts() == [1, 0]
    # Told once, asked once.
    memory.calls.clear()
    term.notice(pods["user-alice"])
    work(term)
    assert not [call for call in memory.calls if call.kind.kind == "Pod"]
    # Where a watch may have missed something, all are counted.
    term.look_at_everything()
    work(term)
    assert restarts() == [1, 0]
    term.look_at_all_restarts()
    work(term)
    assert restarts() == [1, 1]


@pytest.mark.parametrize("of_all", [True, False], ids=["all", "one"])
def test_restarts_are_counted_though_the_cluster_did_not_answer_at_first(
    term: Term, memory: MemoryCluster, of_all: bool
) -> None:
    UserFactory(username="alice")
    work(term, rounds=2)
    put_pod(memory, "user-alice", 1)
    memory.fail_with(ClusterUnavailable("down"), kind="Pod", times=1)
    if of_all:
        term.look_at_all_restarts()
    else:
        term.notice_restarts(UserPod.objects.get().pk)
    work(term)
    assert restarts() == [0]
    work(term)
    assert restarts() == [1]
