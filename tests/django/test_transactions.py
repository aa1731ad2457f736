"""What one transaction does to users is looked after once, after its commit."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from django.db import transaction

from django_userpods import tasks
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import MemoryCluster
from tests.django.support import pairs, users
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_what_one_transaction_saves_gets_one_try(
    memory: MemoryCluster, commit: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    # On a slow machine the usual two seconds are not enough for fifty.
    settings.USERPODS_INLINE_TIMEOUT = 60.0
    tries: list[list[str]] = []
    original = tasks._inline

    def inline(keys: Any, *args: Any) -> None:
        tries.append(list(keys))
        original(keys, *args)

    monkeypatch.setattr(tasks, "_inline", inline)
    with commit():
        made = [UserFactory(username=f"many{number:02}") for number in range(60)]
        made[0].delete()
    assert [len(keys) for keys in tries] == [60]
    assert len(pairs(memory)) == 49
    assert len([call for call in memory.calls if call.verb == "list"]) <= 4
    assert reconcile().ok
    assert len(pairs(memory)) == 59


def test_six_saves_of_a_user_in_one_transaction_are_one_task(
    memory: MemoryCluster, commit: Any, settings: Any
) -> None:
    enqueued: list[Any] = []
    settings.USERPODS_QUEUE = lambda user_pks, pods: enqueued.append(user_pks)
    with commit():
        user = UserFactory(username="alice")
        for _ in range(5):
            user.save()
    assert enqueued == [[str(user.pk)]]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_asked_for_with_what_is_not(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(tasks, "_inline", lambda keys, *_: asked.append(list(keys)))
    with transaction.atomic():
        kept = UserFactory(username="kept")
        with contextlib.suppress(ValueError), transaction.atomic():
            UserFactory(username="undone")
            raise ValueError
        last = UserFactory(username="last")
    assert asked == [[str(kept.pk), str(last.pk)]]


@pytest.mark.django_db(transaction=True)
def test_many_saves_or_deletions_on_a_slow_cluster_hold_a_request_no_longer_than_one(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.USERPODS_INLINE_TIMEOUT = 0.5
    original: Any = MemoryCluster._called

    def slow(self: MemoryCluster, call: Any) -> Any:
        time.sleep(0.05)
        return original(self, call)

    monkeypatch.setattr(MemoryCluster, "_called", slow)
    with transaction.atomic():
        for number in range(60):
            UserFactory(username=f"many{number:02}")
        # Nothing before the commit, which alone is measured: how long 60 saves take is Django's.
        assert not memory.calls
        started = time.monotonic()
    assert time.monotonic() - started < 2.5
    assert UserPod.objects.count() == 60
    with monkeypatch.context() as quick:
        quick.setattr(MemoryCluster, "_called", original)
        assert reconcile().ok
    assert len(pairs(memory)) == 60
    for some in (users().filter(username="many07"), users().all()):
        started = time.monotonic()
        with transaction.atomic():
            some.delete()
        assert time.monotonic() - started < 2.5
    monkeypatch.setattr(MemoryCluster, "_called", original)
    assert reconcile(allow_mass_delete=True).ok
    assert pairs(memory) == []
