"""Rollouts where pods have profiles: no place is held for ever, and a stop says what it was for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods import UserPod
from django_userpods.reconcile import reconcile, rollout
from tests.django.rollouts import NEW, OLD, failing, five_pods, ready, turns, unready, with_image
from tests.django.support import bulk

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def two_profiles(a: str, b: str) -> dict[str, Any]:
    return {"a": {"NAME": "A", "IMAGE": a}, "b": {"NAME": "B", "IMAGE": b}}


def test_who_failed_by_one_profile_holds_up_no_change_of_another(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_IMAGE = OLD
    settings.USERPODS_PROFILES = two_profiles("a:1", "b:1")
    bulk(4)
    reconcile()
    for profile, names in (("a", ("user-bulk000", "user-bulk001")), ("b", ("user-bulk002",))):
        UserPod.objects.filter(name__in=names).update(profile=profile)
    reconcile()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1, "MAX_FAILURES": 1}
    settings.USERPODS_PROFILES = two_profiles("a:2", "b:1")
    reconcile()
    failing(memory, *with_image(memory, "a:2"))
    reconcile()
    assert rollout.stopped() is not None
    settings.USERPODS_PROFILES = two_profiles("a:2", "b:2")
    for _ in range(6):
        reconcile()
    assert with_image(memory, "b:2") == ["user-bulk002"]


def test_who_is_given_a_turn_and_loses_the_template_does_not_keep_it(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_IMAGE = OLD
    settings.USERPODS_PROFILES = {"gpu": {"NAME": "GPU", "ENV": {"A": "1"}}}
    bulk(3)
    reconcile()
    UserPod.objects.filter(name="user-bulk000").update(profile="gpu")
    reconcile()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1, "MAX_FAILURES": 1}
    settings.USERPODS_IMAGE = NEW
    reconcile()
    assert UserPod.objects.get(turn="updating").name == "user-bulk000"
    unready(memory, "user-bulk000")
    reconcile()
    settings.USERPODS_PROFILES = {}
    for _ in range(3):
        reconcile()
    assert rollout.stopped() is not None
    assert rollout.resume()
    for _ in range(6):
        reconcile()
    assert set(with_image(memory)) >= {"user-bulk001", "user-bulk002"}


def test_a_stop_says_what_it_was_for_whatever_comes_up_later(
    memory: MemoryCluster, settings: Any
) -> None:
    five_pods(memory, settings, {"MAX_UNREADY": 3, "MAX_FAILURES": 1})
    reconcile()
    new = with_image(memory)
    unready(memory, *new)
    reconcile()
    failing(memory, new[0])
    reconcile()
    before = rollout.stopped()
    assert before is not None
    ready(memory, *new[1:])
    reconcile()
    assert rollout.stopped() == before
    assert turns()["failed"] == 1
