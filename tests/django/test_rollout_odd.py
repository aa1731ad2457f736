"""One bad row in a rollout: what is refused, or cannot be made, is nobody else's trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.exceptions import Invalid
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile, rollout
from django_userpods.status import status
from tests.django.rollouts import (
    NEW,
    OLD,
    WAVES,
    failing,
    five_pods,
    ready,
    turns,
    unready,
    with_image,
)
from tests.django.support import CONFIG, SLEEP, bulk, deployment, sync, template_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.core.objects import Manifest
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(memory: MemoryCluster, settings: Any) -> MemoryCluster:
    """Five pods that run, and then another image."""
    five_pods(memory, settings)
    return memory


def refuse(site: MemoryCluster, monkeypatch: pytest.MonkeyPatch, *pods: str | None) -> list[str]:
    """Have the cluster refuse every update of some pods; return of whom it has, as it grows."""
    refused: list[str] = []
    apply = type(site).apply

    def refuse_some(self: MemoryCluster, manifest: Manifest, **named: Any) -> Manifest:
        if (name := manifest["metadata"]["name"]) in pods:
            refused.append(name)
            raise Invalid("no", status=422)
        return apply(self, manifest, **named)

    monkeypatch.setattr(type(site), "apply", refuse_some)
    return refused


def look_as_a_controller_does() -> None:
    """Look at those whose turn it is, and at those that were updated."""
    under_way = UserPod.objects.filter(turn="updating").values_list("pk", flat=True)
    for pk in [*rollout.due(), *under_way]:
        reconcile(pods=[pk])


def test_one_that_is_refused_holds_up_nobody(
    site: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1, "MAX_FAILURES": 3}
    first = UserPod.objects.order_by("pk")[0].name
    refused = refuse(site, monkeypatch, first)
    reconcile()
    for _ in range(10):
        look_as_a_controller_does()
    assert len(with_image(site)) == 4
    assert rollout.stopped() is None
    assert turns() == {"refused": 1}
    assert refused == [first]


def test_one_that_is_refused_again_and_again_is_one_failure(
    site: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = refuse(site, monkeypatch, "user-bulk000")
    for _ in range(8):
        reconcile()
    assert len(refused) > 3
    assert Installation.objects.get().rollout_failures <= 1
    assert rollout.stopped() is None
    # Whoever waits for it to be done is told that it is not.
    status, _, err = sync("--wait", "5")
    assert status == 1
    assert "user-bulk000: no" in err


def test_one_that_was_refused_has_it_once_that_is_over(
    site: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuse(site, patch, "user-bulk000")
        for _ in range(4):
            reconcile()
        assert turns() == {"refused": 1}
    reconcile()
    reconcile()
    assert len(with_image(site)) == 5
    assert turns() == {}


def test_several_that_are_refused_stop_it_and_it_goes_on_with_them(
    site: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuse(site, patch, *(f"user-bulk00{number}" for number in range(5)))
        for _ in range(3):
            reconcile()
        assert rollout.stopped() is not None
        assert turns() == {"waiting": 1, "refused": 4}
        # Of those that wait it is said by a sync that waits, too.
        status, out, _ = sync("--wait", "5")
        assert status == 1
        assert "Waiting for their turn (USERPODS_ROLLOUT): 5" in out
    assert sync("--resume-rollout", "--wait", "60")[0] == 0
    assert len(with_image(site)) == 5


def test_another_object_that_is_refused_leaves_those_who_wait_running(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1, "MAX_FAILURES": 1}
    bulk(3)
    reconcile()
    changed = template_with(CONFIG)
    changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = NEW
    settings.USERPODS_TEMPLATE = changed
    memory.fail_with(Invalid("no", status=422), kind="ConfigMap", verb="create")
    report = reconcile()
    assert len(report.failed) == 3
    assert UserPod.objects.filter(state="running").count() == 2
    assert rollout.stopped() is not None


def test_one_whose_template_cannot_be_made_keeps_its_place(
    memory: MemoryCluster, settings: Any
) -> None:
    image, trouble = [OLD], [False]

    def template(_user: Any) -> list[Manifest]:
        if trouble[-1]:
            raise RuntimeError
        found = template_with()
        found[0]["spec"]["template"]["spec"]["containers"][0]["image"] = image[-1]
        return found

    settings.USERPODS_TEMPLATE = template
    settings.USERPODS_ROLLOUT = WAVES
    bulk(5)
    reconcile()
    image.append(NEW)
    reconcile()
    unready(memory, *with_image(memory))
    for is_trouble in (True, False, False):
        trouble.append(is_trouble)
        reconcile()
    assert len(with_image(memory)) == 2
    assert turns() == {"waiting": 3, "updating": 2}


def test_waiting_for_one_user_waits_until_others_have_had_their_turn(
    site: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1, "MAX_FAILURES": 3}
    reconcile()
    under_way = UserPod.objects.get(turn="updating")
    assert under_way.name is not None
    unready(site, under_way.name)
    reconcile()
    last = UserPod.objects.filter(turn="waiting").order_by("-pk")[0]
    looks: list[str] = []

    def sleep(_: float) -> None:
        assert under_way.name is not None
        looks.append(under_way.name)
        ready(site, under_way.name)
        reconcile(pods=[under_way.pk])

    monkeypatch.setattr(SLEEP, sleep)
    assert last.owner is not None
    assert sync("--user", last.owner.get_username(), "--wait", "60")[0] == 0
    assert looks
    assert sorted(with_image(site)) == sorted([under_way.name, last.name or ""])


def test_a_dry_run_knows_that_a_stop_in_which_nobody_is_left_is_over(
    site: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    for _ in range(3):
        reconcile()
        failing(site, *with_image(site))
    assert rollout.stopped() is not None
    UserPod.objects.update(turn="")
    assert reconcile(dry_run=True).counts()["updated"] == 2
    assert deployment(site, "user-bulk004")["status"]["readyReplicas"] == 1


@pytest.mark.parametrize("asks", [reconcile, rollout.due], ids=["sync", "controller"])
def test_where_fewer_may_be_unready_than_have_failed_it_is_stopped_and_says_so(
    memory: MemoryCluster, settings: Any, asks: Callable[[], Any]
) -> None:
    five_pods(memory, settings, {"MAX_UNREADY": 3, "MAX_FAILURES": None})
    reconcile()
    one, other, third = with_image(memory)
    failing(memory, one, other)
    unready(memory, third)
    reconcile()
    assert turns() == {"failed": 2, "updating": 1, "waiting": 2}
    assert rollout.stopped() is None
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": None}
    asks()
    assert turns() == {"failed": 2, "updating": 1, "waiting": 2}
    told = status(ask_cluster=False).rollout_stopped
    assert told is not None
    assert told[0] == 2
    assert "ProgressDeadlineExceeded" in told[1]
    # One has room beside the one that is being updated, once those are left alone.
    assert rollout.resume()
    assert len(rollout.due()) == 1
    reconcile()
    assert turns() == {"updating": 2, "waiting": 1}
    assert rollout.stopped() is None


def test_who_failed_with_the_template_before_stops_none_for_the_next(
    memory: MemoryCluster, settings: Any
) -> None:
    five_pods(memory, settings, {"MAX_UNREADY": 3, "MAX_FAILURES": None})
    reconcile()
    given = with_image(memory)
    failing(memory, *given[:2])
    unready(memory, given[2])
    reconcile()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": None}
    settings.USERPODS_IMAGE = "example.org/app:3"
    waits = UserPod.objects.filter(turn="waiting").first()
    assert waits is not None
    # Only of this one it is known yet that there is another.
    reconcile(pods=[waits.pk])
    rollout.due()
    assert rollout.stopped() is None
    reconcile()
    assert rollout.stopped() is None
    assert set(given[:2]) <= set(with_image(memory, "example.org/app:3"))


def test_a_corrected_template_with_less_room_is_stopped_at_no_moment(
    memory: MemoryCluster, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Both deployed at once, and turns are asked for before anybody has looked at a pod."""
    five_pods(memory, settings, {"MAX_UNREADY": 3, "MAX_FAILURES": None})
    reconcile()
    given = with_image(memory)
    failing(memory, *given[:2])
    unready(memory, given[2])
    reconcile()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": None}
    settings.USERPODS_IMAGE = "example.org/app:3"
    assert rollout.due() == []
    assert rollout.stopped() is None
    assert "the rollout was stopped" not in caplog.text
    reconcile()
    assert rollout.stopped() is None
    assert set(given[:2]) <= set(with_image(memory, "example.org/app:3"))


def test_a_template_that_makes_no_sense_stops_none(memory: MemoryCluster, settings: Any) -> None:
    five_pods(memory, settings, {"MAX_UNREADY": 3, "MAX_FAILURES": None})
    reconcile()
    given = with_image(memory)
    failing(memory, *given[:2])
    unready(memory, given[2])
    reconcile()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": None}
    settings.USERPODS_TEMPLATE = "no/such/file.yaml"
    assert rollout.due() == []
    assert rollout.stopped() is None
