"""Several pods of one user, and pods of users whose names and keys are made to meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods import lifecycle
from django_userpods.core import naming
from django_userpods.core.objects import SERVICE, Kind, Ref
from django_userpods.exceptions import PodNotAllowed
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import (
    DATABASE,
    PVC,
    VOLUME,
    deployment,
    names,
    pairs,
    row,
    service,
    template_with,
    users,
)
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db

STATEFUL_SET = Kind("apps/v1", "StatefulSet")
WORKER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "{name}--worker"},
    "spec": {"template": {"spec": {"containers": [{"name": "worker", "image": "w:1"}]}}},
}


@pytest.fixture
def two(settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 2


# --- names and keys that are made to meet


def test_alice_db_does_not_meet_alices_database(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(*DATABASE)
    alice, other = UserFactory(username="alice"), UserFactory(username="alice-db")
    assert reconcile().ok
    assert reconcile().done == []
    assert names(memory, STATEFUL_SET) == ["user-alice--db", "user-alice-db--db"]
    selector = service(memory, "user-alice-db")["spec"]["selector"]
    assert selector == {"app": "user-alice-db", naming.POD_LABEL: row(other).pk}
    database = memory.objects[Ref(STATEFUL_SET, "default", "user-alice--db")]
    labels = database["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()
    assert row(alice).state == row(other).state == UserPod.State.RUNNING


def test_a_user_called_like_a_worker_is_shut_out_by_nobody(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(WORKER)
    for username in ("bob", "bob-worker", "bob--worker"):
        UserFactory(username=username)
    report = reconcile()
    assert report.ok, report.failed
    assert len(names(memory)) == 6


def test_a_new_user_of_a_former_ones_key_does_not_get_their_volume(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    former = UserFactory(username="alice")
    pk = former.pk
    reconcile()
    (ref,) = [ref for ref in memory.objects if ref.kind == PVC]
    uid = memory.objects[ref]["metadata"]["uid"]
    former.delete()
    reconcile(allow_mass_delete=True)
    newcomer = UserFactory(pk=pk, username="alice")
    report = reconcile()
    assert memory.objects[ref]["metadata"]["uid"] == uid
    assert "belongs to another pod" in report.failed[0].message
    assert row(newcomer).state == UserPod.State.FAILED
    assert row(newcomer).pk != memory.objects[ref]["metadata"]["labels"][naming.POD_LABEL]


def test_a_name_leaves_room_for_the_templates_suffixes(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(*DATABASE)
    UserFactory(username="x" * 58)
    assert reconcile().ok
    (name,) = names(memory, STATEFUL_SET)
    # Kubernetes appends a dash and ten characters in a label's value of 63.
    assert len(name) + 11 <= 63


def test_suffixes_that_grew_too_long_for_a_name_are_said_so(
    memory: MemoryCluster, settings: Any
) -> None:
    user = UserFactory(username="x" * 58)
    UserFactory(username="bob")
    reconcile()
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    report = reconcile()
    assert "characters too long for user-xxx" in report.failed[0].message
    assert row(user).state == UserPod.State.FAILED
    assert names(memory, PVC) == ["user-bob--data"]


# --- several pods of one user


def test_a_further_pod_is_its_own(memory: MemoryCluster, two: None) -> None:
    user = UserFactory(username="alice")
    pod = lifecycle.add_pod(user, "gpu")
    reconcile()
    assert pairs(memory) == ["user-alice", "user-alice---gpu"]
    pod.refresh_from_db()
    assert (pod.owner, pod.slot, pod.state) == (user, "gpu", "running")
    assert pod.address != row(user).address
    lifecycle.stop(UserPod.objects.filter(pk=pod.pk))
    reconcile()
    assert deployment(memory, "user-alice---gpu")["spec"]["replicas"] == 0
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 1
    assert reconcile().done == []


def test_the_slot_is_a_placeholder(memory: MemoryCluster, settings: Any, two: None) -> None:
    extra = {**VOLUME, "metadata": {"name": "{name}--data", "labels": {"slot": "{slot}"}}}
    settings.USERPODS_TEMPLATE = template_with(extra)
    lifecycle.add_pod(UserFactory(username="alice"), "gpu")
    reconcile()
    found = memory.objects[Ref(PVC, "default", "user-alice---gpu--data")]
    assert found["metadata"]["labels"]["slot"] == "gpu"


def test_a_user_leads_all_their_pods_along(memory: MemoryCluster, two: None) -> None:
    user = UserFactory(username="alice")
    UserFactory(username="bob")
    lifecycle.add_pod(user, "gpu")
    reconcile()
    user.is_active = False
    user.save()
    reconcile([str(user.pk)])
    assert pairs(memory) == ["user-bob"]
    user.is_active = True
    user.save()
    reconcile([str(user.pk)])
    assert pairs(memory) == ["user-alice", "user-alice---gpu", "user-bob"]
    users().filter(pk=user.pk).delete()
    reconcile([str(user.pk)])
    assert pairs(memory) == ["user-bob"]
    assert UserPod.objects.count() == 1


def test_a_removed_pod_goes_alone_and_its_slot_is_free_at_once(
    memory: MemoryCluster, two: None
) -> None:
    user = UserFactory(username="alice")
    first = lifecycle.add_pod(user, "gpu")
    reconcile()
    lifecycle.remove_pod(first)
    second = lifecycle.add_pod(user, "gpu")
    assert second.pk != first.pk
    reconcile()
    assert reconcile().ok
    assert pairs(memory) == ["user-alice", "user-alice---gpu"]
    labels = service(memory, "user-alice---gpu")["metadata"]["labels"]
    assert labels[naming.POD_LABEL] == second.pk
    assert not UserPod.objects.filter(pk=first.pk).exists()


def test_a_main_pod_cannot_be_removed(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    with pytest.raises(PodNotAllowed, match="user-alice is its user's main pod"):
        lifecycle.remove_pod(row(user))


def test_nobody_gets_more_pods_than_the_limit(memory: MemoryCluster, settings: Any) -> None:
    user = UserFactory(username="alice")
    with pytest.raises(PodNotAllowed, match="has 1 of 1 pods"):
        lifecycle.add_pod(user, "gpu")
    settings.USERPODS_MAX_PODS = lambda user: 3 if user.get_username() == "alice" else 1
    for slot in ("a", "b"):
        lifecycle.add_pod(user, slot)
    with pytest.raises(PodNotAllowed, match="has 3 of 3 pods"):
        lifecycle.add_pod(user, "c")
    with pytest.raises(PodNotAllowed, match="has 1 of 1 pods"):
        lifecycle.add_pod(UserFactory(username="bob"), "a")


@pytest.mark.parametrize("slot", ["", "A", "a--b", "x" * 13, "-a", "ü"])
def test_a_slot_that_cannot_be_is_said_so(memory: MemoryCluster, two: None, slot: str) -> None:
    with pytest.raises(PodNotAllowed, match="cannot be a slot"):
        lifecycle.add_pod(UserFactory(), slot)


def test_a_slot_is_given_once(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 9
    user = UserFactory()
    lifecycle.add_pod(user, "gpu")
    with pytest.raises(PodNotAllowed, match="has a pod 'gpu' already"):
        lifecycle.add_pod(user, "gpu")


def test_who_is_to_have_no_pod_gets_no_further_one(memory: MemoryCluster, two: None) -> None:
    user = UserFactory()
    users().filter(pk=user.pk).update(is_active=False)
    user.refresh_from_db()
    with pytest.raises(PodNotAllowed, match="is to have no pod"):
        lifecycle.add_pod(user, "gpu")


def test_whoami_names_the_main_pod(memory: MemoryCluster, client: Client, two: None) -> None:
    user = UserFactory(username="alice")
    lifecycle.add_pod(user, "aaa")
    reconcile()
    client.force_login(user)
    assert client.get("/whoami").json()["service"] == "user-alice"
    assert names(memory, SERVICE) == ["user-alice", "user-alice---aaa"]
