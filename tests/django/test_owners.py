"""Whose a name, an object, a namespace is; and who never gets another's."""

from __future__ import annotations

from typing import Any

import pytest

from django_userpods.core.objects import DEPLOYMENT, SERVICE, Ref
from django_userpods.exceptions import Conflict
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import MemoryCluster
from tests.django.support import (
    bulk,
    deployment,
    names,
    our_labels,
    pairs,
    row,
    service,
    users,
    writes,
)
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def foreign(name: str, *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
        "spec": {"ports": [{"port": 5432}], "selector": {"app": "database"}},
    }


# --- objects of others


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {"app": "user-alice"},
        {"app.kubernetes.io/managed-by": "django-userpods", "django-userpods/instance": "other"},
        {"django-userpods/instance": "default", "django-userpods/user-id": "1"},
        {"django-userpods/installation": "another", "django-userpods/user-id": "1"},
    ],
)
def test_a_foreign_object_is_refused_and_said_so(
    memory: MemoryCluster, labels: dict[str, str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = memory.create(foreign("user-alice", labels=labels))
    user = UserFactory(username="alice")
    bob = UserFactory(username="bob")
    report = reconcile()
    assert memory.objects[Ref(SERVICE, "default", "user-alice")] == stranger
    (failure,) = report.failed
    assert (failure.user_pk, failure.name) == (str(user.pk), "user-alice")
    for text in (failure.message, row(user).message, caplog.text):
        assert "Service default/user-alice exists" in text
        assert "left alone" in text
    assert row(user).state == UserPod.State.FAILED
    assert row(user).address is None
    # The other's is not held up.
    assert row(bob).state == UserPod.State.RUNNING
    # Nor is it forgotten: once the stranger is gone the pair is completed.
    del memory.objects[Ref(SERVICE, "default", "user-alice")]
    assert reconcile().ok
    assert pairs(memory) == ["user-alice", "user-bob"]
    assert row(user).state == UserPod.State.RUNNING


def test_a_foreign_object_outlives_the_user(memory: MemoryCluster) -> None:
    memory.create(foreign("user-alice"))
    user = UserFactory(username="alice")
    reconcile()
    user.delete()
    assert reconcile(allow_mass_delete=True).ok
    assert list(memory.objects) == [Ref(SERVICE, "default", "user-alice")]
    assert not UserPod.objects.exists()


def test_an_object_of_ours_that_the_list_did_not_show_is_put_right(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = UserFactory(username="alice")
    reconcile()
    deployment(memory, "user-alice")["spec"]["replicas"] = 3
    monkeypatch.setattr(MemoryCluster, "list", lambda *_, **__: iter(()))
    memory.calls.clear()
    report = reconcile([str(user.pk)])
    assert report.ok
    # Ours and equal is success, ours and different is an update.
    assert [(action.verb, action.ref.kind.kind) for action in report.done] == [
        ("update", "Deployment")
    ]
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 1


def test_an_object_that_is_still_being_deleted_is_waited_for_in_words(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = UserFactory(username="alice")
    reconcile()
    deployment(memory, "user-alice")["metadata"]["deletionTimestamp"] = "2026-11-24T10:00:00Z"
    monkeypatch.setattr(MemoryCluster, "list", lambda *_, **__: iter(()))
    report = reconcile([str(user.pk)])
    assert "is still being deleted" in report.failed[0].message
    assert "is still being deleted" in row(user).message


# --- names


def test_a_newcomer_gets_another_name_than_a_renamed_users_old_one(memory: MemoryCluster) -> None:
    first = UserFactory(username="alice")
    reconcile()
    setattr(first, first.USERNAME_FIELD, "alicia")
    first.save()
    second = UserFactory(username="alice")
    assert reconcile().ok
    assert row(first).name == "user-alice"
    assert str(row(second).name).startswith("user-alice--")
    assert len(pairs(memory)) == 2
    # And it stays so when the first has gone.
    first.delete()
    assert reconcile().ok
    assert pairs(memory) == [row(second).name]


def test_a_newcomer_with_a_deleted_users_name_gets_it(memory: MemoryCluster) -> None:
    first = UserFactory(username="alice")
    reconcile()
    uid = deployment(memory, "user-alice")["metadata"]["uid"]
    first.delete()
    second = UserFactory(username="alice")
    assert reconcile(allow_mass_delete=True).ok
    assert row(second).name == "user-alice"
    assert pairs(memory) == ["user-alice"]
    found = deployment(memory, "user-alice")["metadata"]
    assert found["uid"] != uid
    assert found["labels"]["django-userpods/user-id"] == str(second.pk)
    assert UserPod.objects.count() == 1


def test_a_newcomer_waits_until_the_name_is_free(memory: MemoryCluster) -> None:
    first = UserFactory(username="alice")
    reconcile()
    first.delete()
    second = UserFactory(username="alice")
    memory.fail_with(Conflict("a finalizer holds it"), verb="delete")
    report = reconcile()
    assert not report.ok
    waiting = row(second)
    assert waiting.name is None
    assert waiting.message == "Waiting until the objects of the previous user-alice are gone."
    assert str(second.pk) in report.not_done
    memory.heal()
    # Asked for by the newcomer alone: the old one's objects are seen to first.
    assert reconcile([str(second.pk)]).ok
    assert row(second).name == "user-alice"
    assert row(second).message == ""
    assert pairs(memory) == ["user-alice"]


def test_a_newcomer_waits_for_pods_that_still_run(memory: MemoryCluster) -> None:
    first = UserFactory(username="alice")
    reconcile()
    labels = deployment(memory, "user-alice")["metadata"]["labels"]
    first.delete()
    second = UserFactory(username="alice")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "user-alice-x", "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "a"}]},
    }
    memory.create(pod)
    reconcile(allow_mass_delete=True)
    # Its Service would reach the old user's pod.
    assert row(second).name is None
    old = UserPod.objects.get(owner=None)
    assert (old.state, old.message) == ("deleting", "Its pods are being stopped.")
    del memory.objects[Ref.of(pod)]
    assert reconcile().ok
    assert row(second).name == "user-alice"


def test_a_user_of_the_same_key_gets_a_pod_of_their_own(memory: MemoryCluster) -> None:
    first = UserFactory(username="alice")
    pk = first.pk
    reconcile()
    first.delete()
    second = UserFactory(pk=pk, username="bob")
    assert reconcile(allow_mass_delete=True).ok
    assert pairs(memory) == ["user-bob"]
    assert row(second).owner == second


def test_hostile_usernames_all_get_pods_of_their_own(memory: MemoryCluster) -> None:
    hostile = ["Alice", "alice", "a.b", "a_b", "a-b", "🐙", "{name}", "x: y\n- z", "-", "x" * 150]
    users_ = [UserFactory(username=name) for name in hostile]
    assert reconcile().ok
    assert len(pairs(memory)) == len(hostile)
    for user in users_:
        annotations = deployment(memory, str(row(user).name))["metadata"]["annotations"]
        assert annotations["django-userpods/username"] == user.get_username()
    assert reconcile().done == []


def test_a_name_that_was_taken_between_looking_and_storing_is_given_another(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_userpods.reconcile import rows

    user = UserFactory(username="alice")
    original = rows.insert

    def late(entries: Any) -> Any:
        if not UserPod.objects.exists():
            UserPod.objects.create(owner_pk="other", name="user-alice", namespace="default")
        return original(entries)

    monkeypatch.setattr(rows, "insert", late)
    reconcile([str(user.pk)])
    monkeypatch.undo()
    assert reconcile().ok
    assert len(pairs(memory)) == 1
    assert row(user).state == UserPod.State.RUNNING


# --- installations


@pytest.fixture
def two(settings: Any, memory: MemoryCluster) -> MemoryCluster:
    """Let one cluster hold objects of another project, of the same instance name and keys."""
    settings.USERPODS_NAME_PREFIX = "blue-"
    UserFactory(username="alice")
    reconcile()
    UserPod.objects.all().delete()
    Installation.objects.all().delete()
    settings.USERPODS_NAME_PREFIX = "green-"
    return memory


def test_two_installations_in_one_cluster_leave_each_other_alone(two: MemoryCluster) -> None:
    assert reconcile().ok
    assert pairs(two) == ["blue-alice", "green-alice"]
    users().all().delete()
    assert reconcile(allow_mass_delete=True).ok
    assert pairs(two) == ["blue-alice"]


def test_of_two_installations_that_want_one_name_the_first_keeps_it(
    two: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_NAME_PREFIX = "blue-"
    before = deployment(two, "blue-alice")["metadata"]["uid"]
    report = reconcile()
    assert "exists and is not ours" in report.failed[0].message
    users().all().delete()
    reconcile()
    assert deployment(two, "blue-alice")["metadata"]["uid"] == before


# --- orphans


def orphan(memory: MemoryCluster, name: str = "user-ghost", owner_pk: str = "999") -> None:
    """Leave objects of a user whom the database does not know."""
    memory.create(foreign(name, labels=our_labels(UserPod(owner_pk=owner_pk))))


def test_orphans_are_pruned(memory: MemoryCluster) -> None:
    orphan(memory)
    report = reconcile(allow_mass_delete=True)
    assert report.ok
    assert report.counts()["deleted"] == 1
    assert not memory.objects
    assert not UserPod.objects.exists()
    assert reconcile().done == []


def test_orphans_stay_where_asked(memory: MemoryCluster) -> None:
    orphan(memory)
    assert reconcile(prune=False).done == []
    assert names(memory, SERVICE) == ["user-ghost"]


def test_one_users_sync_prunes_nothing(memory: MemoryCluster) -> None:
    orphan(memory)
    user = UserFactory()
    reconcile([str(user.pk)])
    assert "user-ghost" in names(memory, SERVICE)


def test_objects_without_an_owner_are_left_alone(
    memory: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    memory.create(foreign("by-hand", labels=our_labels()))
    assert reconcile().ok
    assert names(memory, SERVICE) == ["by-hand"]
    assert "by-hand has no label of a pod: left alone" in caplog.text


def test_an_orphan_whose_user_came_meanwhile_is_left(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = MemoryCluster.list
    made: list[Any] = []

    def late(self: MemoryCluster, *args: Any, **kwargs: Any) -> Any:
        if not made:
            made.append(UserFactory(username="late"))
            reconcile([str(made[0].pk)])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(MemoryCluster, "list", late)
    report = reconcile()
    assert report.ok
    assert report.done == []
    assert pairs(memory) == ["user-late"]


# --- namespaces


def by_letter(user: Any) -> str:
    return f"team-{user.get_username()[0]}"


def test_each_user_may_have_a_namespace_of_their_own(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_NAMESPACE = "tests.django.test_owners.by_letter"
    for name in ("alice", "bob", "anna"):
        UserFactory(username=name)
    assert reconcile().ok
    assert {(ref.namespace, ref.name) for ref in memory.objects if ref.kind == DEPLOYMENT} == {
        ("team-a", "user-alice"),
        ("team-a", "user-anna"),
        ("team-b", "user-bob"),
    }
    memory.calls.clear()
    assert reconcile().done == []
    assert [call.namespace for call in memory.calls] == [None, None]
    users().all().delete()
    assert reconcile(allow_mass_delete=True).ok
    assert not memory.objects


def test_a_namespace_stays_when_the_setting_changes(memory: MemoryCluster, settings: Any) -> None:
    bulk(2)
    reconcile()
    settings.USERPODS_NAMESPACE = "elsewhere"
    memory.calls.clear()
    assert reconcile().done == []
    newcomer = UserFactory(username="new")
    assert reconcile().ok
    assert row(newcomer).namespace == "elsewhere"
    assert deployment(memory, "user-new", "elsewhere")
    assert service(memory, "user-bulk000", "default")


@pytest.mark.parametrize("bad", ["", "Not Valid", None, 7, "x" * 64, "../etc"])
def test_a_namespace_that_is_none_fails_that_user_alone(
    memory: MemoryCluster, settings: Any, bad: Any
) -> None:
    settings.USERPODS_NAMESPACE = lambda user: bad if user.get_username() == "alice" else "apps"
    alice = UserFactory(username="alice")
    UserFactory(username="bob")
    report = reconcile()
    (failure,) = report.failed
    assert failure.user_pk == str(alice.pk)
    assert "USERPODS_NAMESPACE" in failure.message
    assert pairs(memory) == ["user-bob"]


def test_a_namespace_callable_that_raises_writes_nothing(
    memory: MemoryCluster, settings: Any
) -> None:
    def choose(user: Any) -> str:
        raise LookupError(user.get_username())

    settings.USERPODS_NAMESPACE = choose
    UserFactory(username="alice")
    report = reconcile()
    assert [failure.message for failure in report.failed] == ["LookupError('alice')"]
    assert writes(memory) == []
