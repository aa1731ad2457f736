"""Taking over what is half lost, double, or only partly meant."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError

from django_userpods import lifecycle
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Manifest, Ref
from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import adopt, reconcile
from tests.django.support import (
    PVC,
    VOLUME,
    deployment,
    names,
    pairs,
    service,
    template_with,
    users,
)
from tests.django.test_adopt import sync
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db

WORKER: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "{name}--worker"},
    "spec": {"template": {"spec": {"containers": [{"name": "worker", "image": "w:1"}]}}},
}


def lose_database() -> str:
    """Return the id of the installation whose database is lost now."""
    identifier = Installation.objects.get().identifier
    Installation.objects.all().delete()
    UserPod.objects.all().delete()
    users().all().delete()
    return identifier


def installation_of(manifest: Manifest) -> str:
    label: str = manifest["metadata"]["labels"][naming.INSTALLATION_LABEL]
    return label


def with_volume(_user: Any) -> list[Manifest]:
    """A template that is a function."""
    return template_with(VOLUME)


def test_only_the_users_that_are_named_are_taken_over(memory: MemoryCluster) -> None:
    for username in ("alice", "bob"):
        UserFactory(username=username)
    reconcile()
    lost = lose_database()
    for username in ("alice", "bob"):
        UserFactory(username=username)
    out = sync("--adopt-from", lost, "--user", "alice", "--no-input")
    assert "user-bob" not in out
    assert installation_of(deployment(memory, "user-bob")) == lost
    assert installation_of(deployment(memory, "user-alice")) != lost


def test_of_two_pods_that_are_one_users_neither_is_taken_over(memory: MemoryCluster) -> None:
    alice = UserFactory(username="alice")
    reconcile()
    # A second one in another namespace: its row was deleted by hand.
    UserPod.objects.all().delete()
    pod = UserPod.objects.create(
        owner=alice, owner_pk=str(alice.pk), name="user-alice--0123456789abcdef"
    )
    pod.namespace = "default"
    pod.save()
    reconcile([str(alice.pk)])
    before = dict(memory.objects)
    assert names(memory) == ["user-alice", "user-alice--0123456789abcdef"]
    lost = lose_database()
    UserFactory(username="alice")
    out = sync("--adopt-from", lost, "--dry-run")
    assert "Would leave user-alice: " in out
    assert "Would leave user-alice--0123456789abcdef: " in out
    assert "0 pods to take over, 2 pods to leave" in out
    assert memory.objects == before


def test_without_its_deployment_a_pod_is_known_by_its_service(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(WORKER)
    UserFactory(username="alice")
    reconcile()
    lost = lose_database()
    del memory.objects[Ref(DEPLOYMENT, "default", "user-alice")]
    UserFactory(username="alice")
    assert "Took over 1 pods." in sync("--adopt-from", lost, "--no-input")
    assert names(memory) == ["user-alice", "user-alice--worker"]
    assert names(memory, SERVICE) == ["user-alice"]
    assert UserPod.objects.get().name == "user-alice"
    assert reconcile().done == []


def test_what_has_neither_deployment_nor_service_is_left_and_named(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    UserFactory(username="alice")
    reconcile()
    lost = lose_database()
    for kind in (DEPLOYMENT, SERVICE):
        del memory.objects[Ref(kind, "default", "user-alice")]
    UserFactory(username="alice")
    out = sync("--adopt-from", lost, "--dry-run")
    assert "Would leave PersistentVolumeClaim default/user-alice--data: " in out
    assert "no Deployment and no Service" in out


def test_what_a_function_makes_is_taken_over_whole(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = with_volume
    UserFactory(username="alice")
    reconcile()
    lost = lose_database()
    UserFactory(username="alice")
    assert "Took over 1 pods." in sync("--adopt-from", lost, "--no-input")
    volume = memory.objects[Ref(PVC, "default", "user-alice--data")]
    assert installation_of(volume) == Installation.objects.get().identifier
    assert reconcile().done == []


def test_a_pod_in_use_in_an_earlier_namespace_is_not_replaced(
    memory: MemoryCluster, settings: Any
) -> None:
    UserFactory(username="alice")
    reconcile()
    lost = lose_database()
    settings.USERPODS_NAMESPACE = "earlier"
    UserFactory(username="alice")
    reconcile()
    settings.USERPODS_NAMESPACE = "default"
    out = sync("--adopt-from", lost, "--no-input")
    assert "user 'alice' has a pod here already" in out
    assert installation_of(deployment(memory, "user-alice", "earlier")) != lost


def test_what_somebody_else_took_meanwhile_is_left_to_them(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    reconcile()
    lost = lose_database()
    UserFactory(username="alice")
    found = adopt.find(lost)
    # While we read the list, somebody took it over into another database.
    for item in (deployment(memory, "user-alice"), service(memory, "user-alice")):
        item["metadata"]["labels"][naming.INSTALLATION_LABEL] = "somebody"
    failures = adopt.take_over(found)
    assert "user-alice" in failures[0].message
    assert installation_of(deployment(memory, "user-alice")) == "somebody"
    assert installation_of(service(memory, "user-alice")) == "somebody"


@pytest.mark.parametrize("kind", ["Deployment", "Service", "PersistentVolumeClaim"])
def test_one_that_failed_half_way_is_finished_as_it_was(
    memory: MemoryCluster, settings: Any, kind: str
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    UserFactory(username="alice")
    reconcile()
    lifecycle.stop(UserPod.objects.all())
    reconcile()
    lost = lose_database()
    UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("down"), verb="apply", kind=kind)
    with pytest.raises(SystemExit):
        sync("--adopt-from", lost, "--no-input")
    memory.heal()
    assert "Took over 1 pods." in sync("--adopt-from", lost, "--no-input")
    assert {installation_of(item) for item in memory.objects.values()} == {
        Installation.objects.get().identifier
    }
    assert UserPod.objects.get().wanted == UserPod.Wanted.STOPPED
    assert reconcile().done == []


def test_slots_are_taken_over(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 3
    alice = UserFactory(username="alice")
    reconcile()
    lifecycle.add_pod(alice, "gpu")
    reconcile()
    lost = lose_database()
    UserFactory(username="alice")
    assert "Took over 2 pods." in sync("--adopt-from", lost, "--no-input")
    assert sorted(UserPod.objects.values_list("slot", flat=True)) == ["", "gpu"]
    assert pairs(memory) == ["user-alice", "user-alice---gpu"]
    assert reconcile().done == []


def test_it_is_said_where_was_looked(memory: MemoryCluster) -> None:
    with pytest.raises(CommandError, match="in the namespace default"):
        sync("--adopt-from", "abc")


def test_nobody_is_told_to_delete_what_is_another_installations(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    reconcile()
    other = lose_database()
    UserFactory(username="alice")
    message = reconcile().failed[0].message
    assert "Delete" not in message
    assert "called default, as this one is" in message
    assert f"--adopt-from {other}" in message


def test_an_object_whose_pods_label_is_empty_is_a_persons_own_doing(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    reconcile()
    mine = copy.deepcopy(deployment(memory, "user-alice"))
    mine["metadata"] |= {"name": "mine", "uid": "mine"}
    mine["metadata"]["labels"][naming.POD_LABEL] = ""
    memory.objects[Ref(DEPLOYMENT, "default", "mine")] = mine
    reconcile()
    assert "mine" in names(memory)
