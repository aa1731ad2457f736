"""One term after another: what is left of one that was lost does nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.controller.loop import Controller
from django_userpods.controller.term import BATCH, Options, Term
from django_userpods.core.objects import Kind
from django_userpods.models import UserPod
from tests.django.support import names, pairs
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


class Steps:
    """A controller whose terms have no threads: a test does what they would."""

    def __init__(self, controller: Controller, started: list[str]) -> None:
        self.controller, self.started = controller, started
        self.now = 1000.0
        controller.leader._clock = lambda: self.now

    def lead(self) -> Term:
        """Get or keep the Lease, and return the term."""
        self.controller.leader.step()
        self.controller.follow_election()
        term = self.controller._term
        assert term is not None
        return term

    def lose(self) -> None:
        """See that the Lease was not renewed in time."""
        self.now += self.controller.leader.terms.renew + 1
        self.controller.follow_election()
        assert self.controller._term is None


@pytest.fixture
def steps(settings: Any, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> Steps:
    settings.USERPODS_CONTROLLER = True
    started: list[str] = []
    monkeypatch.setattr(Term, "run", lambda _, name, __: started.append(name))
    return Steps(Controller(Options(), lease_namespace="default"), started)


@pytest.mark.parametrize("leads_anew", [False, True])
def test_a_worker_that_was_held_up_while_its_term_was_lost_writes_nothing(
    steps: Steps, memory: MemoryCluster, leads_anew: bool
) -> None:
    """It has its keys, and waits for the database; then it goes on, and asks for the cluster."""
    term = steps.lead()
    UserFactory(username="alice")
    term.changes.poll()
    look = term._look_for_strangers

    def slowly(keys: Sequence[str]) -> None:
        look(keys)
        steps.lose()
        if leads_anew:
            assert steps.lead() is not term

    term._look_for_strangers = slowly  # type: ignore[method-assign]
    term.do(term.pods.take(BATCH))
    assert names(memory) == []
    assert UserPod.objects.get().state == "pending"

    now = steps.lead()
    now.changes.poll()
    now.do(now.pods.take(BATCH))
    assert pairs(memory) == ["user-alice"]


def test_those_that_are_looked_at_one_by_one_are_left_to_the_next_term(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    term = steps.lead()
    for name in ("alice", "bob", "carol"):
        UserFactory(username=name)
    term.changes.poll()
    looked: list[int] = []

    def look(keys: Sequence[str]) -> None:
        looked.append(len(keys))
        if len(keys) == 1:
            term.stopping.set()
        message = "a bug"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(term, "_look_for_strangers", look)
    term.do(term.pods.take(BATCH))
    assert looked == [3, 1]


def test_a_late_look_of_a_lost_term_takes_no_watch_from_the_next(steps: Steps) -> None:
    """It finds that there is more to watch by now, and what it begins ends at once."""
    before = steps.lead()
    steps.lose()
    now = steps.lead()
    UserFactory(username="alice")
    UserPod.objects.update(kinds=str(Kind("example.org/v1", "Thing")))
    steps.started.clear()
    before.after_full_look()
    assert steps.started == []
    now.after_full_look()
    assert steps.started == ["watch-thing"]
