"""Taking over the objects of an installation whose database is lost."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command

from django_userpods import lifecycle
from django_userpods.core import naming
from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import VOLUME, deployment, pairs, row, template_with, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def lost(memory: MemoryCluster, settings: Any) -> str:
    """The id of an installation with alice, bob and zed, of which the database is lost."""
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    for username in ("alice", "bob", "zed"):
        UserFactory(username=username)
    reconcile()
    lifecycle.stop(UserPod.objects.filter(name="user-bob"))
    reconcile()
    identifier = Installation.objects.get().identifier
    Installation.objects.all().delete()
    UserPod.objects.all().delete()
    users().all().delete()
    return identifier


def sync(*args: str) -> str:
    out = io.StringIO()
    call_command("sync_userpods", *args, stdout=out, stderr=out)
    return out.getvalue()


def test_pods_are_taken_over_as_they_are(lost: str, memory: MemoryCluster) -> None:
    before = {ref: item["metadata"]["uid"] for ref, item in memory.objects.items()}
    # The keys are others, and a sync has been here and found the names taken.
    UserFactory(pk=4711, username="bob")
    alice = UserFactory(pk=4712, username="alice")
    assert not reconcile().ok
    out = sync("--adopt-from", lost, "--no-input")
    assert "Would take over user-alice of alice" in out
    assert "Would leave user-zed: there is no user 'zed'" in out
    assert {ref: item["metadata"]["uid"] for ref, item in memory.objects.items()} == before
    labels = deployment(memory, "user-alice")["metadata"]["labels"]
    assert labels[naming.INSTALLATION_LABEL] == Installation.objects.get().identifier
    assert labels[naming.POD_LABEL] == row(alice).pk
    assert labels[naming.USER_ID_LABEL] == "4712"
    stopped = UserPod.objects.get(name="user-bob")
    assert (stopped.wanted, stopped.state) == ("stopped", "stopped")
    assert deployment(memory, "user-zed")["metadata"]["labels"][naming.INSTALLATION_LABEL] == lost
    assert reconcile().done == []


def test_a_dry_run_only_shows(lost: str, memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    UserPod.objects.all().delete()
    memory.calls.clear()
    out = sync("--adopt-from", lost, "--dry-run")
    assert "3 objects of 1 pods to take over, 2 pods to leave" in out
    assert {call.verb for call in memory.calls} <= {"list", "get"}
    assert not UserPod.objects.exists()


def test_nobody_is_asked_where_nobody_is(lost: str) -> None:
    UserFactory(username="alice")
    with pytest.raises(CommandError, match="add --no-input"):
        sync("--adopt-from", lost)


def test_a_pod_that_is_in_use_here_is_not_replaced(lost: str, memory: MemoryCluster) -> None:
    UserFactory(username="carol")
    reconcile()
    users().filter(pk__in=[user.pk for user in users().all()]).update(
        **{users().model.USERNAME_FIELD: "alice"}
    )
    out = sync("--adopt-from", lost, "--no-input")
    assert "Would leave user-alice: user 'alice' has a pod here already" in out
    assert "user-carol" in pairs(memory)


def test_one_that_fails_can_be_tried_again(lost: str, memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("down"), verb="apply")
    with pytest.raises(SystemExit):
        sync("--adopt-from", lost, "--no-input")
    memory.heal()
    assert "Took over 1 pods." in sync("--adopt-from", lost, "--no-input")
    assert reconcile().done == []


@pytest.mark.parametrize(
    ("identifier", "message"),
    [("nobody", "no object carries the label"), ("not valid", "is not the id"), ("", "is not")],
)
def test_what_is_no_installation_is_said_so(
    memory: MemoryCluster, identifier: str, message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        sync("--adopt-from", identifier, "--no-input")


def test_our_own_objects_are_not_taken_over(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    reconcile()
    with pytest.raises(CommandError, match="is this installation, and all its pods have"):
        sync("--adopt-from", Installation.objects.get().identifier, "--no-input")


def test_another_installation_of_the_same_name_is_warned_of(
    lost: str, memory: MemoryCluster, settings: Any
) -> None:
    assert f"under the instance name 'default', too (installation {lost})" in sync()
    settings.USERPODS_INSTANCE = "staging"
    assert "instance name" not in sync()


def test_an_installation_alone_is_warned_of_nothing(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    reconcile()
    assert "instance name" not in sync()
    memory.fail_with(ClusterUnavailable("down"), verb="list")
    with pytest.raises(CommandError, match="down"):
        sync()


def test_pods_whose_rows_alone_were_lost_are_taken_back(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    reconcile()
    kept, lost = row(bob).pk, row(alice).pk
    before = {ref: item["metadata"]["uid"] for ref, item in memory.objects.items()}
    UserPod.objects.filter(pk=lost).delete()
    out = sync("--adopt-from", Installation.objects.get().identifier, "--no-input")
    assert "Took over 1 pods." in out
    assert {ref: item["metadata"]["uid"] for ref, item in memory.objects.items()} == before
    assert (row(alice).pk, row(bob).pk) == (lost, kept)
    assert reconcile().done == []
