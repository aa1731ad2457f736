"""What is asked for while a run is on its way is done, and an address is given up in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods import lifecycle
from django_userpods.core.objects import POD, SERVICE, Ref
from django_userpods.exceptions import QuotaExceeded
from django_userpods.models import UserPod
from django_userpods.reconcile import observe, reconcile
from django_userpods.testing import MemoryCluster
from tests.django.support import deployment, pairs, row, service, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db


def in_the_middle(
    monkeypatch: pytest.MonkeyPatch, verb: str, meanwhile: Callable[[], object]
) -> None:
    """Do something once, between what a sync has seen and what it does next with this verb."""
    original: Any = getattr(MemoryCluster, verb)
    done: list[bool] = []

    def act(self: MemoryCluster, *args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(True)
            meanwhile()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(MemoryCluster, verb, act)


@pytest.fixture(autouse=True)
def _one_thread(settings: Any) -> None:
    """Let the cluster's calls be made in this thread, where the database is."""
    settings.USERPODS_CLUSTER = {**settings.USERPODS_CLUSTER, "OPTIONS": {"concurrency": 1}}


def mine() -> Any:
    return UserPod.objects.filter(slot="")


@pytest.fixture
def edited(memory: MemoryCluster) -> Any:
    """A user whose Deployment somebody has edited, so that a sync has to change it."""
    user = UserFactory(username="alice")
    reconcile()
    deployment(memory, "user-alice")["spec"]["replicas"] = 3
    return user


def test_a_stop_during_a_sync_is_not_undone(
    memory: MemoryCluster,
    edited: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    def stop() -> None:
        with django_capture_on_commit_callbacks(execute=True):
            lifecycle.stop(mine())

    in_the_middle(monkeypatch, "apply", stop)
    assert reconcile().ok
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 0
    assert (row(edited).wanted, row(edited).state) == ("stopped", "stopped")


def test_who_wrote_another_state_during_a_sync_has_it_look_again(
    memory: MemoryCluster, edited: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither knows which of the two saw the cluster later."""
    reconcile()
    status = deployment(memory, "user-alice")["status"]
    ready, status["readyReplicas"] = status["readyReplicas"], 0
    real = observe.observe

    def slowly(*arguments: Any) -> Any:
        found = real(*arguments)
        monkeypatch.setattr("django_userpods.reconcile.run.observe", real)
        status["readyReplicas"] = ready
        reconcile()
        assert row(edited).state == "running"
        return found

    mine().update(state="pending")
    monkeypatch.setattr("django_userpods.reconcile.run.observe", slowly)
    assert reconcile().ok
    assert row(edited).state == "running"


def test_whom_another_run_crosses_each_time_is_no_failure(
    memory: MemoryCluster, edited: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconcile()
    mine().update(state="pending")
    status = deployment(memory, "user-alice")["status"]
    ready = [status["readyReplicas"], 0]
    real = observe.observe

    def crossed(*arguments: Any) -> Any:
        status["readyReplicas"] = ready.pop()
        found = real(*arguments)
        mine().update(state="failed")
        return found

    monkeypatch.setattr("django_userpods.reconcile.run.observe", crossed)
    report = reconcile()
    assert (report.ok, report.not_done, report.crossed) == (True, [], [str(edited.pk)])
    assert (ready, row(edited).state) == ([], "running")


def test_a_restart_during_a_sync_is_not_undone(
    memory: MemoryCluster, edited: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_middle(monkeypatch, "apply", lambda: lifecycle.restart(mine()))
    assert reconcile().ok
    pod = deployment(memory, "user-alice")["spec"]["template"]["metadata"]
    at = row(edited).restarted_at
    assert at is not None
    assert pod["annotations"]["django-userpods/restarted-at"] == at.isoformat()


def test_a_deactivation_during_a_sync_is_not_undone(
    memory: MemoryCluster,
    edited: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    def deactivate() -> None:
        with django_capture_on_commit_callbacks(execute=True):
            edited.is_active = False
            edited.save()

    in_the_middle(monkeypatch, "apply", deactivate)
    assert reconcile().ok
    assert not memory.objects
    assert row(edited).state == "stopped"


def test_a_deletion_during_a_sync_is_not_undone(
    memory: MemoryCluster,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    user = UserFactory(username="alice")

    def delete() -> None:
        with django_capture_on_commit_callbacks(execute=True):
            users().get(pk=user.pk).delete()

    in_the_middle(monkeypatch, "create", delete)
    assert reconcile().ok
    assert not memory.objects
    assert not UserPod.objects.exists()


# --- delete and recreate


def ask_for_recreation(user: Any) -> None:
    mine().filter(owner=user).update(recreate=True, state="pending")


def test_nothing_is_made_again_while_the_old_pod_stops(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    old = Ref(POD, "default", "user-alice-7d9c-x")
    labels = deployment(memory, "user-alice")["metadata"]["labels"]
    memory.objects[old] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": old.name,
            "namespace": "default",
            "uid": "pod-1",
            "labels": dict(labels),
            "deletionTimestamp": "2026-01-01T00:00:00Z",
        },
    }
    ask_for_recreation(user)
    reconcile()
    assert pairs(memory) == []
    assert (row(user).state, row(user).address) == ("pending", None)
    assert "being stopped" in row(user).message
    reconcile()
    assert pairs(memory) == []
    del memory.objects[old]
    assert reconcile().ok
    assert pairs(memory) == ["user-alice"]
    assert row(user).state == "running"


def test_a_pod_is_recreated_once_by_two_syncs_side_by_side(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = UserFactory(username="alice")
    reconcile()
    ask_for_recreation(user)
    # The other one does it all between this one's reading the rows and reading the cluster.
    in_the_middle(monkeypatch, "list", reconcile)
    assert reconcile().ok
    made = [call for call in memory.calls if call.verb == "create" and call.kind == SERVICE]
    deleted = [call for call in memory.calls if call.verb == "delete" and call.kind == SERVICE]
    assert (len(made), len(deleted)) == (2, 1)


def test_an_address_is_given_up_with_its_service(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    address = row(user).address
    ask_for_recreation(user)
    memory.fail_with(QuotaExceeded("403: exceeded quota"), verb="create", kind="Service")
    assert not reconcile().ok
    assert address is not None
    assert row(user).address is None
    memory.heal()
    assert reconcile().ok
    assert row(user).address is not None


def test_a_service_that_is_made_again_at_once_keeps_its_address(memory: MemoryCluster) -> None:
    user, other = UserFactory(username="alice"), UserFactory(username="bob")
    reconcile()
    address = row(user).address
    ask_for_recreation(user)
    assert reconcile().ok
    assert row(user).address == address != row(other).address


def test_an_address_is_given_up_where_somebody_deletes_the_service(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    del memory.objects[Ref(SERVICE, "default", "user-alice")]
    memory.fail_with(QuotaExceeded("403: exceeded quota"), verb="create")
    reconcile()
    assert row(user).address is None


def test_an_address_is_not_taken_from_a_copy_in_another_namespace(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_NAMESPACE = lambda _user: "default"
    user = UserFactory(username="alice")
    reconcile()
    address = row(user).address
    copy = {**service(memory, "user-alice")}
    copy["metadata"] = {**copy["metadata"], "namespace": "zoo", "uid": "copy"}
    copy["spec"] = {**copy["spec"], "clusterIP": "10.96.9.9"}
    memory.objects[Ref(SERVICE, "zoo", "user-alice")] = copy
    reconcile()
    assert row(user).address == address
