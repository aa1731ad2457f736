"""Several who give turns at once keep to one limit, and one that dies loses none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile, rollout
from django_userpods.reconcile import run as runs
from tests.django.rollouts import five_pods, ready, turns, unready, with_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(memory: MemoryCluster, settings: Any) -> MemoryCluster:
    """Five pods that run, and then another image."""
    five_pods(memory, settings)
    return memory


def pod(name: str) -> UserPod:
    return UserPod.objects.get(name=name)


def test_two_syncs_side_by_side_keep_to_one_limit(
    site: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has read all rows and all objects before the first gives a turn to anybody."""
    give_turns = rollout.give_turns
    inner: list[Any] = []

    def give_turns_late(*arguments: Any) -> Any:
        monkeypatch.setattr(rollout, "give_turns", give_turns)
        inner.append(reconcile())
        unready(site, *with_image(site))
        return give_turns(*arguments)

    monkeypatch.setattr(rollout, "give_turns", give_turns_late)
    outer = reconcile()
    assert len(with_image(site)) == 2
    assert inner[0].counts()["updated"] == 2
    assert outer.counts()["updated"] == 0
    assert turns() == {"waiting": 3, "updating": 2}


def test_pods_that_are_looked_at_one_by_one_keep_to_the_limit(site: MemoryCluster) -> None:
    for row in UserPod.objects.all():
        reconcile(pods=[row.pk])
        unready(site, *with_image(site))
    assert len(with_image(site)) == 2
    assert turns() == {"waiting": 3, "updating": 2}


def test_who_was_given_a_turn_by_a_run_that_died_keeps_it(
    site: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(runs, "carry_out", killed)
        with pytest.raises(Killed):
            reconcile()
    had = list(UserPod.objects.filter(turn="updating").order_by("name").values_list("name"))
    assert len(had) == 2
    reconcile()
    assert [(name,) for name in with_image(site)] == had


def due() -> Sequence[str]:
    return rollout.due()


def test_the_next_one_is_due_once_there_is_room(site: MemoryCluster, settings: Any) -> None:
    assert due() == []
    reconcile()
    unready(site, *with_image(site))
    reconcile()
    assert due() == []
    ready(site, with_image(site)[0])
    reconcile(pods=[pod(with_image(site)[0]).pk])
    (next_one,) = due()
    assert UserPod.objects.get(pk=next_one).turn == "waiting"
    Installation.objects.update(rollout_stopped_at="2026-01-01T00:00Z")
    assert due() == []
    settings.USERPODS_ROLLOUT = None
    assert due() == []
