"""Restarts of containers on the row: counted where there may be another, written when there is."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_userpods import lifecycle
from django_userpods.core.objects import Ref
from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import bulk, deployment, row
from tests.django.test_unwell import not_ready
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def put_pod(
    memory: MemoryCluster, name: str, restarts: int, number: int = 1, *, ready: bool = True
) -> None:
    """Put in one of the pods of a Deployment; each later ``number`` is a later one."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-{number}",
            "namespace": "default",
            "labels": deployment(memory, name)["metadata"]["labels"],
        },
        "spec": {"containers": [{"name": "app", "image": "a"}]},
    }
    ref = Ref.of(pod)
    if ref not in memory.objects:
        memory.create(pod)
    memory.objects[ref]["metadata"]["creationTimestamp"] = f"2026-01-21T12:00:{number:02}Z"
    memory.objects[ref]["status"] = {
        "phase": "Running",
        "containerStatuses": [{"name": "app", "restartCount": restarts, "ready": ready}],
    }


def counts() -> list[int]:
    return [*UserPod.objects.order_by("name").values_list("restarts", flat=True)]


def lists_of_pods(memory: MemoryCluster) -> int:
    return len([call for call in memory.calls if call.kind.kind == "Pod"])


def everyone(_pod: str) -> bool:
    return True


def test_a_pod_that_crashes_and_comes_up_again_is_counted(memory: MemoryCluster) -> None:
    alice = UserFactory(username="alice")
    reconcile()
    put_pod(memory, "user-alice", 1, ready=False)
    not_ready(memory, "user-alice")
    reconcile()
    assert (row(alice).state, row(alice).restarts) == ("starting", 1)
    # Once more, and well again before anybody looks.
    put_pod(memory, "user-alice", 2)
    deployment(memory, "user-alice")["status"]["readyReplicas"] = 1
    reconcile()
    assert (row(alice).state, row(alice).restarts) == ("running", 2)


def test_of_pods_that_run_nobody_asks_in_vain(memory: MemoryCluster) -> None:
    bulk(3)
    reconcile()
    reconcile()
    put_pod(memory, "user-bulk001", 4)
    memory.calls.clear()
    reconcile()
    assert (lists_of_pods(memory), counts()) == (0, [0, 0, 0])
    # A watch has told of it, or missed something.
    reconcile(may_have_restarted={row_of("user-bulk001").pk}.__contains__)
    assert (lists_of_pods(memory), counts()) == (1, [0, 4, 0])


def row_of(name: str) -> UserPod:
    return UserPod.objects.get(name=name)


def test_a_sync_that_is_asked_for_counts(memory: MemoryCluster) -> None:
    UserFactory(username="alice"), UserFactory(username="bob")
    reconcile()
    reconcile()
    put_pod(memory, "user-alice", 4)
    lifecycle.sync(UserPod.objects.filter(name="user-alice"))
    reconcile()
    assert counts() == [4, 0]
    put_pod(memory, "user-bob", 5)
    call_command("sync_userpods", "--user", "bob")
    assert counts() == [4, 5]


def test_a_new_pod_begins_anew_and_a_stopped_one_has_none(memory: MemoryCluster) -> None:
    alice = UserFactory(username="alice")
    reconcile()
    put_pod(memory, "user-alice", 3)
    reconcile(may_have_restarted=everyone)
    assert row(alice).restarts == 3
    put_pod(memory, "user-alice", 0, 2)
    reconcile(may_have_restarted=everyone)
    assert row(alice).restarts == 0
    put_pod(memory, "user-alice", 1, 2)
    reconcile(may_have_restarted=everyone)
    lifecycle.stop(UserPod.objects.all())
    reconcile()
    assert (row(alice).state, row(alice).restarts) == ("stopped", 0)


@pytest.mark.parametrize("count", [1, 8])
def test_restarts_are_written_together_and_only_when_they_change(
    memory: MemoryCluster, count: int
) -> None:
    bulk(count)
    reconcile()
    reconcile()
    for number in range(count):
        put_pod(memory, f"user-bulk{number:03}", 1)
    with CaptureQueriesContext(connection) as first:
        reconcile(may_have_restarted=everyone)
    assert counts() == [1] * count
    with CaptureQueriesContext(connection) as second:
        reconcile(may_have_restarted=everyone)
    updates = [[q for q in found if q["sql"].startswith("UPDATE")] for found in (first, second)]
    # One row each in one transaction.
    assert [len(found) for found in updates] == [count, 0]
    assert len([q for q in first if q["sql"].startswith(("BEGIN", "SAVEPOINT"))]) <= 2


def test_a_restart_is_no_use_of_the_pod(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_IDLE_TIMEOUT = 3600
    UserFactory(username="alice")
    reconcile()
    reconcile()
    long_ago = timezone.now() - datetime.timedelta(hours=5)
    UserPod.objects.update(started_at=long_ago, last_activity=None, looked_at=long_ago)
    put_pod(memory, "user-alice", 1)
    reconcile(may_have_restarted=everyone)
    pod = row_of("user-alice")
    assert pod.restarts == 1
    assert pod.lifetime(known_since=long_ago).idle_since == long_ago


def test_a_state_that_is_known_does_not_wait_for_a_count(memory: MemoryCluster) -> None:
    alice = UserFactory(username="alice")
    reconcile()
    not_ready(memory, "user-alice")
    reconcile()
    assert row(alice).state == "starting"
    deployment(memory, "user-alice")["status"]["readyReplicas"] = 1
    memory.fail_with(ClusterUnavailable("the API server has gone away"), kind="Pod")
    reconcile()
    assert row(alice).state == "running"
    # Of one that a watch has told of, somebody asks again.
    with pytest.raises(ClusterUnavailable):
        reconcile(may_have_restarted=everyone)


def test_a_dry_run_counts_nothing(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    reconcile()
    put_pod(memory, "user-alice", 3)
    call_command("sync_userpods", "--user", "alice", "--dry-run")
    assert counts() == [0]


def test_its_user_reads_of_restarts_where_there_were_any(
    memory: MemoryCluster, client: Client
) -> None:
    client.force_login(UserFactory(username="alice"))
    reconcile()
    for count, text in ((0, ""), (1, "1 (automatic)"), (3, "3 (automatic)")):
        UserPod.objects.update(restarts=count)
        page = client.get("/userpods/").text
        assert ("(automatic)" in page) == bool(count)
        assert text in page
        found = client.get("/userpods/api/pods/user-alice/").json()
        assert found["restarts"] == count


@pytest.mark.urls("tests.django.admin_urls")
def test_staff_reads_of_restarts(memory: MemoryCluster, admin_client: Client) -> None:
    UserFactory(username="alice"), UserFactory(username="bob")
    reconcile()
    admin = reverse("admin:userpods_userpod_changelist")
    assert "restarted" not in words(admin_client.get(admin).text)
    bob = row_of("user-bob")
    for count, text in ((1, "restarted once"), (1234, "restarted 1234 times")):
        UserPod.objects.filter(pk=bob.pk).update(restarts=count)
        mark = f'data-userpods-shows="restarted" data-userpods-pod="{bob.pk}">{text}</span>'
        assert mark in admin_client.get(admin).text
        mark = f'data-userpods-shows="restarts" data-userpods-pod="{bob.pk}">{count}</span>'
        assert mark in admin_client.get(f"{admin}{bob.pk}/change/").text
        told = admin_client.get(f"{admin}states/", {"pod": [bob.pk, "gone"]}).json()["pods"]
        assert (told[bob.pk]["restarts"], told[bob.pk]["restarted"]) == (str(count), text)
        assert (told["gone"]["restarts"], told["gone"]["restarted"]) == ("", "")


def words(page: str) -> str:
    """Return what there is to read on a page."""
    return re.sub(r"<[^>]*>", "", page)
