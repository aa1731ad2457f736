"""What people ask of pods: recorded in few statements, then done, enqueued or left to a sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import lifecycle, tasks
from django_userpods.core.objects import DEPLOYMENT, Ref
from django_userpods.exceptions import ClusterUnavailable, Invalid
from django_userpods.lifecycle import operations
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import count_but_for_history, end_pause
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _cluster(memory: MemoryCluster) -> Iterator[None]:
    end_pause()
    yield
    end_pause()


def pod_of(username: str) -> UserPod:
    return UserPod.objects.get(name=f"user-{username}")


def deployment_of(memory: MemoryCluster, username: str) -> dict[str, Any]:
    return memory.objects[Ref(DEPLOYMENT, "default", f"user-{username}")]


def test_stop_and_start_change_the_named_pods_alone(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    result = lifecycle.stop(UserPod.objects.filter(name="user-alice"))
    assert (result.done, result.later, result.failures, result.deferred) == (1, 0, [], False)
    assert deployment_of(memory, "alice")["spec"]["replicas"] == 0
    assert deployment_of(memory, "bob")["spec"]["replicas"] == 1
    assert pod_of("alice").state == "stopped"
    assert lifecycle.stop(UserPod.objects.all()).already == 1
    result = lifecycle.start(UserPod.objects.filter(wanted="stopped"))
    assert result.done == 2
    assert deployment_of(memory, "alice")["spec"]["replicas"] == 1
    alice = pod_of("alice")
    assert alice.wanted == "running"
    assert alice.last_activity is not None, "an idle pod would be stopped again at once"


def test_restart_replaces_pods_that_run(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    lifecycle.stop(UserPod.objects.filter(name="user-bob"))
    before = deployment_of(memory, "alice")["spec"]["template"]
    result = lifecycle.restart(UserPod.objects.all())
    assert (result.done, result.stopped) == (1, 1)
    assert deployment_of(memory, "alice")["spec"]["template"] != before
    assert pod_of("bob").restarted_at is None


def test_recreate_makes_new_objects(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    before = deployment_of(memory, "alice")["metadata"]["uid"]
    assert lifecycle.recreate(UserPod.objects.all()).done == 1
    assert deployment_of(memory, "alice")["metadata"]["uid"] != before
    assert not pod_of("alice").recreate


def test_sync_puts_back_what_was_changed_by_hand(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    found = deployment_of(memory, "alice")
    memory.delete(Ref(DEPLOYMENT, "default", "user-alice"), uid=found["metadata"]["uid"])
    assert lifecycle.sync(UserPod.objects.all()).done == 1
    assert Ref(DEPLOYMENT, "default", "user-alice") in memory.objects


@pytest.mark.parametrize(
    "verb", [lifecycle.Operation.START, lifecycle.Operation.STOP, lifecycle.Operation.RECREATE]
)
def test_users_who_are_to_have_no_pod_are_left_out(
    memory: MemoryCluster, verb: lifecycle.Operation
) -> None:
    user = UserFactory(username="alice")
    user.is_active = False
    user.save()
    result = lifecycle.OPERATIONS[verb](UserPod.objects.all())
    assert (result.absent, result.pods) == (1, [])
    assert pod_of("alice").wanted == "absent"
    assert not memory.objects


def test_a_cluster_that_is_down_costs_nothing_that_was_asked_for(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("no route to host"))
    result = lifecycle.stop(UserPod.objects.all())
    assert (result.done, result.later) == (0, 1)
    assert "no route to host" in result.reason
    assert pod_of("alice").wanted == "stopped"
    memory.heal()
    reconcile()
    assert deployment_of(memory, "alice")["spec"]["replicas"] == 0


def test_failures_are_named(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    memory.fail_with(Invalid("the quota is used up"), verb="apply")
    result = lifecycle.stop(UserPod.objects.all())
    assert result.done == 0
    assert len(result.failures) == 1
    assert result.failures[0].startswith("user-alice: ")
    assert "the quota is used up" in result.failures[0]


def test_in_a_transaction_it_waits_for_the_commit(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    with transaction.atomic():
        result = lifecycle.stop(UserPod.objects.all())
        assert result.deferred
        assert deployment_of(memory, "alice")["spec"]["replicas"] == 1
    assert (result.deferred, result.done) == (False, 1)
    assert deployment_of(memory, "alice")["spec"]["replicas"] == 0


def test_a_rolled_back_request_asks_for_nothing(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    with transaction.atomic():
        lifecycle.stop(UserPod.objects.all())
        transaction.set_rollback(True)
    assert pod_of("alice").wanted == "running"
    assert deployment_of(memory, "alice")["spec"]["replicas"] == 1


def test_invalid_settings_leave_it_recorded(settings: Any) -> None:
    UserFactory(username="alice")
    settings.USERPODS_SELECT = "no.such.module"
    result = lifecycle.stop(UserPod.objects.all())
    assert (result.done, result.later) == (0, 1)
    assert "USERPODS_SELECT" in result.reason
    assert pod_of("alice").wanted == "stopped"


def test_users_without_a_row_get_one() -> None:
    model: Any = get_user_model()
    field = model.USERNAME_FIELD
    model.objects.bulk_create([model(**{field: "alice"}), model(**{field: "bob"})])
    model.objects.bulk_create([model(**{field: "gone", "is_active": False})])
    rows = lifecycle.rows_of(model.objects.order_by("-pk").distinct())
    assert {pod.name for pod in rows} == {"user-alice", "user-bob"}


@pytest.mark.usefixtures("unhurried")
def test_ten_thousand_rows_take_few_statements(memory: MemoryCluster) -> None:
    model: Any = get_user_model()
    users = model.objects.bulk_create(
        [model(**{model.USERNAME_FIELD: f"u{number}"}) for number in range(10_000)]
    )
    UserPod.objects.bulk_create(
        [
            UserPod(owner=user, owner_pk=str(user.pk), name=f"user-{number}", namespace="default")
            for number, user in enumerate(users)
        ]
    )
    before = timezone.now()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        result = lifecycle.stop(UserPod.objects.filter(wanted="running"))
    assert result.done + result.later == 10_000
    assert 0 < result.done <= 50
    assert UserPod.objects.filter(wanted="stopped", updated_at__gte=before).count() == 10_000
    # 20 updates of 500, the rest for the 50 who are tried.
    assert count_but_for_history(queries, pods=10_000) < 150


def test_a_task_backend_gets_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    asked: list[list[str]] = []

    def ask(pods: list[str]) -> tasks.Asked:
        asked.append(list(pods))
        return tasks.Asked(enqueued=len(pods))

    monkeypatch.setattr(tasks, "has_task_backend", lambda: True)
    monkeypatch.setattr(tasks, "ask_for_pods", ask)
    monkeypatch.setattr(operations, "BATCH", 1)
    result = lifecycle.stop(UserPod.objects.all())
    assert (result.enqueued, result.done, result.later) == (2, 0, 0)
    assert sorted(asked) == sorted([pk] for pk in UserPod.objects.values_list("pk", flat=True))


def test_a_queue_that_is_down_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alice", "bob", "carol"):
        UserFactory(username=name)
    calls = []

    def ask(pods: list[str]) -> tasks.Asked:
        calls.append(pods)
        return tasks.Asked(later=len(pods), reason="The queue is down.")

    monkeypatch.setattr(tasks, "has_task_backend", lambda: True)
    monkeypatch.setattr(tasks, "ask_for_pods", ask)
    monkeypatch.setattr(operations, "BATCH", 1)
    result = lifecycle.restart(UserPod.objects.all())
    assert (len(calls), result.later, result.reason) == (1, 3, "The queue is down.")
