"""What stays when a user goes, and what we tell the project of it all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods import signals
from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import (
    PVC,
    VOLUME,
    bulk,
    deployment,
    names,
    row,
    template_with,
    users,
)
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


# --- what is retained


def test_a_deleted_users_volume_stays_and_is_left_alone(
    memory: MemoryCluster, settings: Any, heard: list[Any]
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    UserFactory(username="alice")
    bob = UserFactory(username="bob")
    reconcile()
    bob.delete()
    assert reconcile().ok
    assert names(memory) == ["user-alice"]
    assert names(memory, PVC) == ["user-alice--data", "user-bob--data"]
    assert UserPod.objects.count() == 1
    memory.calls.clear()
    heard.clear()
    report = reconcile()
    assert report.ok
    assert not report.done
    assert heard == []
    assert {call.verb for call in memory.calls} == {"list"}
    assert len(memory.calls) == 3


def test_a_deactivated_users_volume_stays_and_the_row_is_at_rest(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    user = UserFactory(username="alice")
    reconcile()
    users().update(is_active=False)
    for _ in range(3):
        assert reconcile(allow_mass_delete=True).ok
        found = row(user)
        assert (found.state, found.message) == (UserPod.State.STOPPED, "")
    users().update(is_active=True)
    assert reconcile().ok
    assert names(memory, PVC) == ["user-alice--data"]
    assert reconcile().done == []


def test_nothing_is_retained_where_nothing_is_to_be(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_RETAIN = []
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    UserFactory(username="alice").delete()
    UserFactory(username="bob")
    reconcile()
    users().all().delete()
    assert reconcile(allow_mass_delete=True).ok
    assert not memory.objects


def test_the_volume_of_a_former_user_is_not_given_to_another(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    former = UserFactory(username="alice")
    reconcile()
    label = str(former.pk)
    former.delete()
    reconcile(allow_mass_delete=True)
    newcomer = UserFactory(username="alice")
    report = reconcile()
    assert not report.ok
    assert names(memory) == []
    message = row(newcomer).message
    assert "user-alice--data belongs to another pod" in message
    assert f"user-id={label}" in message
    assert row(newcomer).state == UserPod.State.FAILED


# --- signals


def test_our_signals_tell_what_was_done(memory: MemoryCluster, heard: list[Any]) -> None:
    user = UserFactory(username="alice")
    reconcile()
    ((name, said),) = heard
    assert name == "userpod_applied"
    assert said["sender"] is UserPod
    assert said["userpod"].owner == user
    assert [str(action.verb) for action in said["actions"]] == ["create", "create"]
    heard.clear()

    reconcile()
    assert heard == []

    memory.fail_with(ClusterUnavailable("down"), verb="apply")
    deployment(memory, "user-alice")["spec"]["replicas"] = 3
    reconcile()
    ((name, said),) = heard
    assert (name, said["message"]) == ("userpod_failed", "down")
    memory.heal()
    heard.clear()

    user.delete()
    reconcile(allow_mass_delete=True)
    ((name, said),) = heard
    assert name == "userpod_deleted"
    assert said["userpod"].name == "user-alice"


def test_a_receiver_that_raises_harms_nobody(memory: MemoryCluster) -> None:
    def receive(**_: Any) -> None:
        raise RuntimeError

    signals.userpod_applied.connect(receive)
    try:
        bulk(2)
        assert reconcile().ok
    finally:
        signals.userpod_applied.disconnect(receive)
