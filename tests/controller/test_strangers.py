"""Objects of a pod that there is no row of: everything is looked at, and not without an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model

from django_userpods.cluster import another_cluster
from django_userpods.controller import strangers
from django_userpods.controller import term as terms
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.queue import KeyedQueue
from django_userpods.controller.term import Options, Term
from django_userpods.core import naming
from django_userpods.exceptions import Invalid
from django_userpods.models import UserPod
from tests.controller.steps import work
from tests.django.support import deployment, names, pairs
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def term(settings: Any, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> Term:
    settings.USERPODS_CONTROLLER = True
    for name in ("_SETTLE", "_WAITING", "_GATHER"):
        monkeypatch.setattr(terms, name, 0.0)
    made = Term(Options(), Metrics(), another_cluster())
    made.pods._first = 0.0
    return made


def test_an_object_that_names_a_pod_of_nobody_has_everything_looked_at(
    term: Term, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "FIRST_PAUSE", 0.0)
    UserFactory(username="alice")
    work(term)
    label = UserPod.objects.get().pk
    deployment(memory, "user-alice")["metadata"]["labels"][naming.POD_LABEL] = "nobodys"
    term.notice("nobodys")
    work(term, rounds=4)
    assert pairs(memory) == ["user-alice"]
    assert deployment(memory, "user-alice")["metadata"]["labels"][naming.POD_LABEL] == label
    assert UserPod.objects.get().state == "running"


@pytest.mark.parametrize("why", ["refused", "kept", "cannot be deleted"])
def test_what_stays_of_pods_of_nobody_has_everything_looked_at_less_and_less(
    term: Term, memory: MemoryCluster, settings: Any, why: str
) -> None:
    """It has something to say every few seconds, as an object may whose pod crashes."""
    now = 1000.0
    term.everything = KeyedQueue(clock=lambda: now)
    for number in range(4):
        UserFactory(username=f"u{number}")
    if why == "kept":
        settings.USERPODS_RETAIN = ["Deployment", "Service"]
    work(term)
    [nobodys, *others] = UserPod.objects.values_list("pk", flat=True)
    gone = [nobodys, *others] if why == "refused" else [nobodys]
    get_user_model().objects.filter(userpods__in=gone)._raw_delete("default")
    UserPod.objects.filter(pk__in=gone)._raw_delete("default")
    if why == "cannot be deleted":
        memory.fail_with(Invalid("a webhook says no", status=422), verb="delete")
    looks: list[float] = []
    for _ in range(60):
        now += 3
        term.notice(nobodys)
        term.do(term.pods.take(terms.BATCH))
        if term.everything.take(1):
            looks.append(now)
            term.do_everything()
    assert len(names(memory)) == 4
    assert len(looks) <= 6
    # Another that nobody knows is looked for as soon as ever.
    term.notice("nobodys")
    term.do(term.pods.take(terms.BATCH))
    now += 3
    assert term.everything.take(1)
