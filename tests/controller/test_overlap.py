"""A look at everything beside workers: what they have at hand is theirs to make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.cluster import another_cluster
from django_userpods.controller import term as terms
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.term import Options, Term
from django_userpods.models import UserPod
from django_userpods.reconcile import observe
from tests.django.support import deployment, names, pairs, writes
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def term(settings: Any, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> Term:
    settings.USERPODS_CONTROLLER = True
    for name in ("_SETTLE", "_WAITING", "_GATHER", "_PAUSE"):
        monkeypatch.setattr(terms, name, 0.0)
    return Term(Options(), Metrics(), another_cluster())


def work(term: Term) -> None:
    """Poll and do what is due, as the workers do."""
    term.changes.poll()
    while keys := term.pods.take(terms.BATCH):
        term.do(keys)


def test_a_look_at_everything_leaves_new_pods_to_the_workers_that_have_them(
    term: Term, memory: MemoryCluster
) -> None:
    """Else each of many saves at once is done twice, and once in vain."""
    for name in ("alice", "bob", "carol"):
        UserFactory(username=name)
    term.changes.poll()
    (at_work,) = term.pods.take(1)
    term.do_everything()
    assert writes(memory) == []
    assert term.everything.backlog().later == 1
    term.do([at_work])
    work(term)
    assert pairs(memory) == ["user-alice", "user-bob", "user-carol"]
    assert len(writes(memory)) == 6
    assert set(UserPod.objects.values_list("state", "asked_at")) == {("running", None)}


def test_a_look_at_everything_makes_nothing_that_a_worker_has_made_since_it_looked(
    term: Term, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    term.changes.poll()
    keys = term.pods.take(1)
    # As after its last try failed: not due for a while, so everybody's look is welcome to it.
    (other,) = term.pods.take(1)
    term.pods.put_back([other], 1000)
    real = observe.observe

    def meanwhile(*arguments: Any) -> Any:
        found = real(*arguments)
        monkeypatch.setattr("django_userpods.reconcile.run.observe", real)
        term.do(keys)
        return found

    monkeypatch.setattr("django_userpods.reconcile.run.observe", meanwhile)
    term.do_everything()
    assert pairs(memory) == ["user-alice", "user-bob"]
    assert len(writes(memory)) == 4, "each object once"


def test_a_look_at_everything_does_all_else_of_pods_that_are_due(
    term: Term, memory: MemoryCluster, settings: Any
) -> None:
    alice = UserFactory(username="alice")
    UserFactory(username="bob")
    work(term)
    settings.USERPODS_IMAGE = "example.org/app:2"
    alice.delete()
    for pk in UserPod.objects.values_list("pk", flat=True):
        term.notice(pk)
    term.do_everything()
    assert names(memory) == ["user-bob"]
    spec = deployment(memory, "user-bob")["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == "example.org/app:2"
