"""``uninstall_userpods`` shows, asks, and takes out what is ours and nothing else."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command

from django_userpods.exceptions import ClusterUnavailable, Forbidden
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import VOLUME, pairs, row, template_with, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def installed(memory: MemoryCluster, settings: Any) -> str:
    """The id of an installation with three pods that have volumes, and another's pod beside."""
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    stranger = UserFactory(username="stranger")
    reconcile()
    Installation.objects.all().delete()
    UserPod.objects.all().delete()
    stranger.delete()
    for username in ("alice", "bob", "carol"):
        UserFactory(username=username)
    assert reconcile().ok
    return Installation.objects.get().identifier


def uninstall(*args: str) -> str:
    out = io.StringIO()
    call_command("uninstall_userpods", *args, stdout=out, stderr=out)
    return out.getvalue()


def kinds(memory: MemoryCluster) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for ref in memory.objects:
        found.setdefault(ref.kind.kind, []).append(ref.name)
    return {kind: sorted(names) for kind, names in found.items()}


def test_it_shows_and_does_nothing_else(installed: str, memory: MemoryCluster) -> None:
    before = dict(memory.objects)
    said = uninstall("--dry-run")
    assert f"installation {installed}" in said
    assert "Would delete Deployment default/user-alice" in said
    assert "Would keep PersistentVolumeClaim" in said
    assert "stranger" not in said
    assert "6 objects of 3 pods to delete, 3 to keep." in said
    assert memory.objects == before
    assert UserPod.objects.count() == 3


def test_everything_of_ours_goes_and_nothing_else(installed: str, memory: MemoryCluster) -> None:
    said = uninstall("--no-input", "--installation", installed)
    assert "6 deleted." in said
    assert "migrate userpods zero" in said
    assert pairs(memory) == ["user-stranger"]
    assert len(kinds(memory)["PersistentVolumeClaim"]) == 4
    assert not UserPod.objects.exists()
    assert users().count() == 3
    assert "0 objects of 0 pods to delete, 3 to keep." in uninstall("--dry-run")


def test_what_is_retained_goes_where_that_is_said(installed: str, memory: MemoryCluster) -> None:
    uninstall("--no-input", "--installation", installed, "--with-retained")
    (left,) = kinds(memory)["PersistentVolumeClaim"]
    assert left.startswith("user-stranger")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "has to be confirmed"),
        (["--no-input"], "--no-input needs --installation"),
        (["--no-input", "--installation", "another"], "and another is to go"),
    ],
)
def test_nothing_goes_unless_somebody_says_which(
    installed: str, memory: MemoryCluster, args: list[str], says: str
) -> None:
    before = dict(memory.objects)
    with pytest.raises(CommandError, match=says):
        uninstall(*args)
    assert memory.objects == before


@pytest.mark.parametrize("right", [True, False])
def test_a_person_types_the_id(
    installed: str, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    answer = io.StringIO(f"{installed if right else 'yes'}\n")
    monkeypatch.setattr(answer, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", answer)
    if right:
        uninstall()
    else:
        with pytest.raises(CommandError, match="nothing was deleted"):
            uninstall()
    assert ("user-alice" in pairs(memory)) is not right


def test_one_object_that_fails_leaves_its_row_and_fails_alone(
    installed: str, memory: MemoryCluster
) -> None:
    memory.fail_with(Forbidden("403"), verb="delete", kind="Service", times=1)
    out = io.StringIO()
    args = ("--no-input", "--installation", installed)
    with pytest.raises(SystemExit):
        call_command("uninstall_userpods", *args, stdout=out, stderr=out)
    assert "Failed Service" in out.getvalue()
    assert UserPod.objects.count() == 1
    uninstall(*args)
    assert pairs(memory) == ["user-stranger"]


def test_a_cluster_that_cannot_be_read_loses_nothing(installed: str, memory: MemoryCluster) -> None:
    memory.fail_with(ClusterUnavailable("down"))
    with pytest.raises(CommandError, match="down"):
        uninstall("--no-input", "--installation", installed)
    assert UserPod.objects.count() == 3


def test_in_a_test_run_nothing_is_looked_for(settings: Any) -> None:
    settings.USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "OPTIONS": {"context": "production"},
    }
    with pytest.raises(CommandError, match="test"):
        uninstall("--dry-run")


def test_it_says_whose_the_objects_are_where_their_names_do_not(
    installed: str, memory: MemoryCluster
) -> None:
    lei = UserFactory(username="李雷")
    reconcile()
    pod = row(lei)
    said = uninstall("--dry-run")
    assert f"Would delete Deployment default/{pod.name} (李雷)" in said
    assert "Would delete Deployment default/user-alice\n" in said
