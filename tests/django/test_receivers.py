"""Users come and go in every way that Django knows, and pods follow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core import serializers
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import (
    build,
    bulk,
    by_name,
    delete_by_sql,
    deployment,
    insert_by_sql,
    names,
    pairs,
    row,
    users,
    writes,
)
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(commit: Any, memory: MemoryCluster) -> Iterator[Any]:
    with commit():
        user = UserFactory(username="alice")
    assert pairs(memory) == ["user-alice"]
    memory.calls.clear()
    return user


def test_a_new_user_gets_a_pod(alice: Any, memory: MemoryCluster) -> None:
    found = row(alice)
    assert found.owner == alice
    assert found.name == "user-alice"
    assert found.state == UserPod.State.RUNNING
    assert found.address == "10.96.0.2:8000"
    assert found.image == "example.org/app:1"
    assert found.message == ""


def test_a_deleted_users_pod_goes_and_the_row_too(
    alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        alice.delete()
    assert not memory.objects
    assert not UserPod.objects.exists()


def test_a_queryset_deletes_pods(alice: Any, memory: MemoryCluster, commit: Any) -> None:
    with commit():
        UserFactory(username="bob")
    with commit():
        users().all().delete()
    assert not memory.objects
    assert not UserPod.objects.exists()


def test_nothing_happens_before_the_commit(
    memory: MemoryCluster, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        UserFactory()
        assert not memory.calls
    assert len(callbacks) == 1


def test_a_rolled_back_user_never_was(memory: MemoryCluster, commit: Any) -> None:
    with commit(), transaction.atomic():
        UserFactory()
        transaction.set_rollback(True)
    assert not memory.calls
    assert not UserPod.objects.exists()


def test_a_rolled_back_deletion_never_was(alice: Any, memory: MemoryCluster, commit: Any) -> None:
    with commit(), transaction.atomic():
        alice.delete()
        transaction.set_rollback(True)
    assert pairs(memory) == ["user-alice"]
    assert UserPod.objects.get().owner_id is not None


def test_one_created_and_deleted_in_one_transaction_leaves_nothing(
    memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        UserFactory().delete()
    assert not memory.objects
    assert not UserPod.objects.exists()
    assert writes(memory) == []


def test_one_created_and_deleted_by_a_queryset_in_one_transaction_leaves_nothing(
    memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        UserFactory()
        users().all().delete()
    assert not memory.objects
    assert not UserPod.objects.exists()


def test_nothing_is_left_for_a_worker_of_a_user_who_never_was(
    memory: MemoryCluster, settings: Any, commit: Any
) -> None:
    settings.USERPODS_INLINE_TIMEOUT = 0
    with commit():
        UserFactory().delete()
    assert not UserPod.objects.exists()


def test_a_newcomer_with_a_renamed_users_name_gets_another_pod(
    alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        setattr(alice, alice.USERNAME_FIELD, "alicia")
        alice.save()
    with commit():
        newcomer = UserFactory(username="alice")
    assert str(row(newcomer).name).startswith("user-alice--")
    assert row(newcomer).state == UserPod.State.RUNNING
    assert len(pairs(memory)) == 2


def test_a_new_name_keeps_the_pod(alice: Any, memory: MemoryCluster, commit: Any) -> None:
    uid = deployment(memory, "user-alice")["metadata"]["uid"]
    with commit():
        setattr(alice, alice.USERNAME_FIELD, "alicia")
        alice.save()
    assert pairs(memory) == ["user-alice"]
    metadata = deployment(memory, "user-alice")["metadata"]
    assert metadata["uid"] == uid
    assert metadata["annotations"]["django-userpods/username"] == "alicia"
    assert row(alice).name == "user-alice"


def test_a_pod_goes_and_comes_with_its_users_activation(
    alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        alice.is_active = False
        alice.save()
    assert not memory.objects
    found = row(alice)
    assert (found.wanted, found.state, found.address) == ("absent", "stopped", None)
    assert found.owner == alice
    with commit():
        alice.is_active = True
        alice.save()
    assert pairs(memory) == ["user-alice"]
    found = row(alice)
    assert (found.wanted, found.state) == ("running", "running")


def test_off_and_on_in_one_transaction_writes_nothing(
    alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        for active in (False, True):
            alice.is_active = active
            alice.save()
    assert writes(memory) == []
    assert row(alice).state == UserPod.State.RUNNING


def test_a_login_does_not_touch_the_cluster(
    alice: Any, memory: MemoryCluster, commit: Any, client: Client
) -> None:
    with commit():
        client.force_login(alice)
    alice.refresh_from_db()
    assert alice.last_login is not None
    assert not memory.calls


def test_a_save_of_other_fields_does_if_it_matters(
    alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        alice.save(update_fields=["last_login", "is_active"])
    assert not memory.calls
    alice.is_active = False
    with commit():
        alice.save(update_fields=["last_login", "is_active"])
    assert memory.calls
    assert pairs(memory) == []


def test_a_proxy_of_the_user_model_gets_a_pod(memory: MemoryCluster, commit: Any) -> None:
    class Employee(get_user_model()):  # type: ignore[misc]
        class Meta:
            proxy = True
            app_label = "auth"

    with commit():
        employee = Employee(**{get_user_model().USERNAME_FIELD: "eve"})
        employee.save()
    assert pairs(memory) == ["user-eve"]
    with commit():
        employee.delete()
    assert not memory.objects


def test_other_models_are_none_of_our_business(
    memory: MemoryCluster, django_capture_on_commit_callbacks: Any
) -> None:
    from django.contrib.auth.models import Group

    with django_capture_on_commit_callbacks() as callbacks:
        Group.objects.create(name="g").delete()
    assert callbacks == []


def test_other_models_are_deleted_without_being_read() -> None:
    """A site that clears a million old sessions does so with one statement, as without us."""
    for key in ("one", "two"):
        Session.objects.create(session_key=key, session_data="", expire_date=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        Session.objects.all().delete()
    assert [query["sql"].split()[0] for query in queries] == ["DELETE"]


# --- what no signal tells of


def test_users_of_bulk_create_get_pods_with_the_next_sync(
    memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        bulk(3)
    assert not memory.calls
    assert reconcile().ok
    assert pairs(memory) == ["user-bulk000", "user-bulk001", "user-bulk002"]


def test_users_deactivated_by_update_lose_pods_with_the_next_sync(
    alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        users().update(is_active=False)
    assert pairs(memory) == ["user-alice"]
    assert reconcile(allow_mass_delete=True).ok
    assert not memory.objects


def test_what_sql_did_is_seen_by_the_next_sync(
    alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    with commit():
        insert_by_sql(build("bob"))
        delete_by_sql(alice)
    assert pairs(memory) == ["user-alice"]
    assert reconcile(allow_mass_delete=True).ok
    assert pairs(memory) == ["user-bob"]
    assert UserPod.objects.get().owner == by_name("bob")


def test_users_of_a_fixture_get_pods_with_the_next_sync(
    memory: MemoryCluster, commit: Any, tmp_path: Path
) -> None:
    path = tmp_path / "users.json"
    user = UserFactory.build(username="fay", pk=getattr(build(""), "pk", None) or 77)
    path.write_text(serializers.serialize("json", [user]))
    assert json.loads(path.read_text())[0]["pk"] == (77 if user.pk == 77 else str(user.pk))
    with commit():
        call_command("loaddata", str(path), verbosity=0)
    assert by_name("fay")
    assert not memory.calls
    assert reconcile().ok
    assert pairs(memory) == ["user-fay"]


def test_fixtures_of_our_own_rows_change_nothing_in_the_cluster(
    alice: Any, memory: MemoryCluster, tmp_path: Path
) -> None:
    path = tmp_path / "all.json"
    path.write_text(serializers.serialize("json", [alice, *UserPod.objects.all()]))
    delete_by_sql(alice)
    UserPod.objects.all().delete()
    call_command("loaddata", str(path), verbosity=0)
    memory.calls.clear()
    assert reconcile().ok
    assert writes(memory) == []


# --- nothing gets in the way of a save


def test_a_cluster_that_is_down_fails_no_save(memory: MemoryCluster, commit: Any) -> None:
    memory.fail_with(ClusterUnavailable("no route to host"))
    with commit():
        user = UserFactory(username="dora")
    found = row(user)
    assert found.state == UserPod.State.PENDING
    assert "no route to host" in found.message
    assert found.name == "user-dora"
    memory.heal()
    assert reconcile().ok
    assert pairs(memory) == ["user-dora"]
    assert row(user).message == ""


def test_a_cluster_that_is_down_fails_no_deletion(
    alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    memory.fail_with(ClusterUnavailable("no route to host"))
    with commit():
        alice.delete()
    found = UserPod.objects.get()
    assert (found.owner, found.wanted, found.state) == (None, "absent", "deleting")
    assert "no route to host" in found.message
    memory.heal()
    assert reconcile().ok
    assert not memory.objects
    assert not UserPod.objects.exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("USERPODS_IMAGE", None),
        ("USERPODS_TEMPLATE", "/nowhere.yaml"),
        ("USERPODS_TEMPLATE", []),
        ("USERPODS_SELECT", "no.such.function"),
        ("USERPODS_NAMESPACE", "No Such"),
        ("USERPODS_CLUSTER", {"BACKEND": "no.such.Cluster"}),
        ("USERPODS_ROUTERS", "http://not-a-list"),
        ("USERPODS_INLINE_TIMEOUT", "soon"),
    ],
)
def test_invalid_settings_fail_no_save(
    setting: str, value: object, settings: Any, memory: MemoryCluster, commit: Any
) -> None:
    setattr(settings, setting, value)
    with commit():
        user = UserFactory(username="dora")
    assert users().filter(pk=user.pk).exists()
    assert not memory.objects
    del_setting = {"USERPODS_IMAGE": "example.org/app:1"}.get(setting)
    if del_setting:
        assert "USERPODS_IMAGE" in row(user).message
        assert row(user).state == UserPod.State.FAILED


def test_names_of_pods_are_readable(memory: MemoryCluster, commit: Any) -> None:
    with commit():
        UserFactory(username="alice@example.org")
        UserFactory(username="x" * 150)
    first, second = names(memory)
    assert first.startswith("user-alice-example-org--")
    assert second.startswith("user-xxxxxxxxx")
    assert len(second) == 63
