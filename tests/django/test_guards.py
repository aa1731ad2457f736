"""Runs that must not do harm: mass deletions, lists that break off, dry runs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from django_userpods.exceptions import (
    ClusterUnavailable,
    Expired,
    MassDeletionRefused,
)
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import MemoryCluster
from tests.django.support import (
    WRITES,
    build,
    bulk,
    delete_by_sql,
    delete_users,
    deployment,
    names,
    pairs,
    row,
    users,
    writes,
)
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


# --- mass deletions


@pytest.mark.parametrize(
    ("total", "deleted", "refused"),
    [(1, 1, True), (2, 1, False), (3, 2, True), (22, 11, False), (21, 11, True), (30, 10, False)],
)
def test_more_than_half_of_all_is_a_mass_deletion(
    memory: MemoryCluster, total: int, deleted: int, refused: bool
) -> None:
    some = bulk(total)
    reconcile()
    delete_users(some[:deleted])
    report = reconcile()
    assert (report.refused is not None) is refused
    assert len(pairs(memory)) == (total if refused else total - deleted)
    if refused:
        assert isinstance(report.refused, MassDeletionRefused)
        assert (report.refused.deletions, report.refused.total) == (deleted, total)
        assert not report.ok
        assert report.unchanged == total - deleted


def test_an_emptied_user_table_deletes_nothing(memory: MemoryCluster) -> None:
    bulk(12)
    reconcile()
    users().all().delete()
    report = reconcile()
    assert report.refused is not None
    assert len(pairs(memory)) == 12
    assert "--allow-mass-delete" in str(report.refused)
    # The rows are as they were, but for what the deletion itself took from them.
    assert set(UserPod.objects.values_list("state", "wanted")) == {("running", "running")}
    # Refusing is lasting, and allowing is enough.
    assert reconcile().refused
    assert reconcile(allow_mass_delete=True).ok
    assert not memory.objects
    assert not UserPod.objects.exists()


def test_a_table_that_was_empty_for_a_moment_harms_nobody(memory: MemoryCluster) -> None:
    some = bulk(3)
    reconcile()
    before = dict(memory.objects)
    table = list(users().values())
    for user in some:
        delete_by_sql(user)
    assert reconcile().refused
    users().bulk_create([users().model(**values) for values in table])
    report = reconcile()
    assert report.ok
    assert report.done == []
    assert memory.objects == before


def test_what_was_asked_for_by_name_is_not_refused(memory: MemoryCluster) -> None:
    some = bulk(3)
    reconcile()
    for user in some[:2]:
        delete_by_sql(user)
    assert reconcile().refused
    assert reconcile([str(some[0].pk)]).ok
    assert pairs(memory) == ["user-bulk001", "user-bulk002"]


def test_deletions_that_were_asked_for_by_name_while_the_cluster_was_down_come_later(
    memory: MemoryCluster, django_capture_on_commit_callbacks: Any
) -> None:
    some = bulk(3)
    reconcile()
    memory.fail_with(ClusterUnavailable("down"))
    with django_capture_on_commit_callbacks(execute=True):
        for user in some[:2]:
            user.delete()
    memory.heal()
    assert len(pairs(memory)) == 3
    assert reconcile().ok
    assert pairs(memory) == ["user-bulk002"]


def test_what_decides_over_deletion_is_read_where_it_is_written(
    memory: MemoryCluster, settings: Any
) -> None:
    bulk(3)
    reconcile()
    settings.DATABASE_ROUTERS = ["tests.django.test_guards.LaggingReplica"]
    report = reconcile()
    assert report.ok
    assert report.done == []


class LaggingReplica:
    """A router whose reads go to a database that has no tables yet."""

    def db_for_read(self, model: Any, **_: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **_: Any) -> str:
        return "default"


def test_a_refusal_holds_up_nothing_else(memory: MemoryCluster) -> None:
    bulk(12)
    reconcile()
    users().all().delete()
    newcomer = UserFactory(username="new")
    deployments = names(memory)
    report = reconcile()
    assert report.refused
    assert report.counts() == {"created": 2, "updated": 0, "deleted": 0}
    assert names(memory) == sorted([*deployments, "user-new"])
    assert row(newcomer).state == UserPod.State.RUNNING


def test_deactivating_everyone_counts(memory: MemoryCluster) -> None:
    bulk(12)
    reconcile()
    users().update(is_active=False)
    assert reconcile().refused
    assert len(pairs(memory)) == 12


def test_orphans_count(memory: MemoryCluster) -> None:
    bulk(12)
    reconcile()
    users().all().delete()
    UserPod.objects.all().delete()
    assert reconcile().refused
    assert len(pairs(memory)) == 12


def test_recreating_is_no_deletion(memory: MemoryCluster) -> None:
    bulk(12)
    reconcile()
    UserPod.objects.update(recreate=True)
    assert reconcile().ok
    assert len(pairs(memory)) == 12


def test_a_database_that_cannot_be_read_is_not_an_empty_one(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk(3)
    reconcile()
    memory.calls.clear()

    def broken(*_: Any, **__: Any) -> Any:
        raise DatabaseError("disk I/O error")

    monkeypatch.setattr("django_userpods.reconcile.pods.users", broken)
    with pytest.raises(DatabaseError):
        reconcile(allow_mass_delete=True)
    assert len(pairs(memory)) == 3
    assert not memory.calls


def test_a_list_that_breaks_off_deletes_nothing(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = bulk(4)
    reconcile()
    delete_users(some[:1])
    original = MemoryCluster.list

    def half(self: MemoryCluster, *args: Any, **kwargs: Any) -> Any:
        yield from itertools.islice(original(self, *args, **kwargs), 2)
        raise ClusterUnavailable("broke off")

    monkeypatch.setattr(MemoryCluster, "list", half)
    memory.calls.clear()
    with pytest.raises(ClusterUnavailable):
        reconcile()
    assert writes(memory) == []


def test_a_list_that_expired_is_read_anew(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk(4)
    reconcile()
    original = MemoryCluster.list
    tries = itertools.count()

    def expiring(self: MemoryCluster, *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        if next(tries) % 3 < 2:
            yield from itertools.islice(found, 2)
            raise Expired("410")
        yield from found

    monkeypatch.setattr(MemoryCluster, "list", expiring)
    assert reconcile().done == []


# --- dry runs


def test_a_dry_run_writes_nothing_at_all(memory: MemoryCluster, settings: Any) -> None:
    some = bulk(6)
    reconcile()
    delete_users(some[:1])
    users().filter(pk=some[1].pk).update(is_active=False)
    deployment(memory, "user-bulk002")["spec"]["replicas"] = 9
    UserPod.objects.filter(owner=some[3]).update(recreate=True)
    settings.USERPODS_TEMPLATE = None
    users().bulk_create([build("newcomer"), build("bulk000")])
    before = list(UserPod.objects.order_by("pk").values())
    memory.calls.clear()
    with CaptureQueriesContext(connection) as queries:
        report = reconcile(dry_run=True)
    assert {q["sql"].split()[0] for q in queries} == {"SELECT"}
    assert not {call.verb for call in memory.calls} & WRITES
    assert list(UserPod.objects.order_by("pk").values()) == before
    assert report.dry_run
    done = sorted((str(action.verb), action.ref.name) for action in report.done)
    assert ("create", "user-newcomer") in done
    assert ("delete", "user-bulk000") in done
    assert ("delete", "user-bulk001") in done
    assert ("update", "user-bulk002") in done
    assert ("delete", "user-bulk003") in done


def test_a_dry_run_of_a_cluster_that_is_down_writes_nothing(memory: MemoryCluster) -> None:
    bulk(2)
    memory.fail_with(ClusterUnavailable("down"))
    with CaptureQueriesContext(connection) as queries, pytest.raises(ClusterUnavailable):
        reconcile(dry_run=True)
    assert {q["sql"].split()[0] for q in queries} == {"SELECT"}


def test_a_dry_run_refuses_too(memory: MemoryCluster) -> None:
    bulk(11)
    reconcile()
    users().all().delete()
    report = reconcile(dry_run=True)
    assert report.refused
    assert report.done == []
