"""``manage.py sync_userpods``: what it says, and how it exits."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from django_userpods.exceptions import ClusterUnavailable, QuotaExceeded
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from tests.clusters.kubeconfigs import several
from tests.django.support import bulk, deployment, names, pairs, sync, users, writes
from tests.factories import UserFactory

if TYPE_CHECKING:
    from pathlib import Path

    from django_userpods.testing import MemoryCluster

FIRST = "Cluster: the memory of this process (MemoryCluster default), namespace default\n"
KUBERNETES = "django_userpods.clusters.kubernetes.KubernetesCluster"

pytestmark = pytest.mark.django_db


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_the_first_sync_creates_and_the_second_has_nothing_to_do(memory: MemoryCluster) -> None:
    bulk(2)
    status, out, err = sync()
    assert (status, err) == (0, "")
    assert out.splitlines()[:4].count("Created Deployment default/user-bulk000") == 1
    assert "Created Service default/user-bulk001" in out
    assert len(pairs(memory)) == 2
    status, out, err = sync()
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 2
    assert "othing" in out


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_it_says_first_which_cluster_and_namespace_it_is_about(
    memory: MemoryCluster, settings: Any, options: tuple[str, ...]
) -> None:
    settings.USERPODS_NAMESPACE = "homes"
    bulk(1)
    _, out, _ = sync(*options)
    first = "Cluster: the memory of this process (MemoryCluster default), namespace homes"
    assert out.splitlines()[0] == first
    # Before anything is done, so also where it then fails.
    memory.fail_with(ClusterUnavailable("down"))
    _, out, _ = sync(*options)
    assert out.splitlines() == [first]
    assert sync(*options, "--verbosity", "0")[1] == ""
    settings.USERPODS_NAMESPACE = lambda user: f"home-{user.pk}"
    assert "namespace of each user" in sync(*options)[1]


def test_json_says_which_cluster_and_namespace(memory: MemoryCluster, settings: Any) -> None:
    bulk(1)
    for fault in (None, ClusterUnavailable("down")):
        if fault:
            memory.fail_with(fault)
        said = json.loads(sync("--format", "json")[1])
        assert said["cluster"] == "the memory of this process (MemoryCluster default)"
        assert said["namespace"] == "default"


def test_a_cluster_that_nobody_named_is_said_on_the_rows_too(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(several(tmp_path / "config", "prod", "dev")))
    settings.USERPODS_CLUSTER = {"BACKEND": KUBERNETES, "IN_TESTS": True}
    bulk(1)
    status, out, err = sync()
    assert (status, out) == (1, "Cluster: none, namespace default\n")
    assert "no cluster is named" in err
    assert "dev, prod" in err
    assert "no cluster is named" in UserPod.objects.get().message


def test_updates_say_why(memory: MemoryCluster) -> None:
    bulk(1)
    sync()
    deployment(memory, "user-bulk000")["spec"]["replicas"] = 4
    status, out, _ = sync()
    assert status == 0
    assert "Updated Deployment default/user-bulk000 (.spec.replicas)" in out


def test_a_dry_run_says_what_would_be(memory: MemoryCluster) -> None:
    first, *_ = bulk(3)
    sync()
    users().filter(pk=first.pk).delete()
    UserFactory(username="new")
    deployment(memory, "user-bulk001")["spec"]["replicas"] = 4
    memory.calls.clear()
    status, out, err = sync("--dry-run")
    assert (status, err) == (0, "")
    assert "Would create Deployment default/user-new" in out
    assert "Would update Deployment default/user-bulk001" in out
    assert "Would delete Service default/user-bulk000" in out
    assert "Created" not in out
    assert writes(memory) == []


def test_a_dry_run_fails_where_the_run_would_for_a_name_that_another_holds(
    memory: MemoryCluster,
) -> None:
    theirs = {"app": "theirs"}
    memory.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "user-bulk000", "namespace": "default", "labels": theirs},
            "spec": {"ports": [{"port": 80}], "selector": theirs},
        }
    )
    bulk(20)
    memory.calls.clear()
    status, out, err = sync("--dry-run")
    assert status == 1
    assert "Failed user-bulk000: Service default/user-bulk000 exists and is not ours" in err
    assert "Would create Service default/user-bulk000" not in out
    assert "Would create Service default/user-bulk001" in out
    # Two lists of each kind and one for namesakes, whatever the number of users.
    assert [call.verb for call in memory.calls] == ["list"] * 5
    assert sync()[0] == 1


@pytest.mark.parametrize("adopting", [False, True])
def test_json_is_json_whatever_is_wrong(memory: MemoryCluster, adopting: bool) -> None:
    arguments = ["--user", "nobody"]
    if adopting:
        UserFactory(username="alice")
        reconcile()
        lost = Installation.objects.get().identifier
        UserPod.objects.all().delete()
        Installation.objects.all().delete()
        arguments = ["--adopt-from", lost]
    status, out, _ = sync("--format", "json", *arguments)
    assert status == 1
    said = json.loads(out)
    assert said["ok"] is False
    assert ("add --no-input" if adopting else "There is no user 'nobody'") in said["error"]


def test_failures_are_named_and_exit_1(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    memory.fail_with(QuotaExceeded("exceeded quota: small"), verb="create", times=1)
    status, out, err = sync()
    assert status == 1
    assert "exceeded quota: small" in err
    assert "user-alice" in err or "user-bob" in err
    assert "exceeded quota" not in out
    memory.heal()
    assert sync()[0] == 0


def test_a_cluster_that_is_down_is_said_without_a_traceback(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("cannot reach 10.0.0.1:6443"))
    status, out, err = sync()
    assert (status, out) == (1, FIRST)
    assert "CommandError: cannot reach 10.0.0.1:6443" in err
    assert "Traceback" not in err


def test_a_mass_deletion_is_refused_with_exit_3(memory: MemoryCluster) -> None:
    bulk(11)
    sync()
    users().all().delete()
    for args in ((), ("--dry-run",), ("--wait", "0.1")):
        status, _, err = sync(*args)
        assert status == 3
        assert "Refused to delete the objects of 11 of 11 users: more than half" in err
        assert "that is intended, run sync_userpods --allow-mass-delete, or name the users" in err
    assert len(pairs(memory)) == 11
    status, out, _ = sync("--allow-mass-delete")
    assert status == 0
    assert "Deleted Deployment default/user-bulk000" in out
    assert not memory.objects


def test_a_database_that_cannot_be_read_deletes_nothing(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk(2)
    sync()
    memory.calls.clear()

    def broken(*_: Any, **__: Any) -> Any:
        raise OperationalError("could not connect to server")

    monkeypatch.setattr("django_userpods.reconcile.pods.users", broken)
    status, out, err = sync("--allow-mass-delete")
    assert (status, out) == (1, FIRST)
    assert "nothing was deleted" in err
    assert "could not connect to server" in err
    assert not memory.calls


def test_invalid_settings_fail_no_save(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_IMAGE = None
    status, _, err = sync()
    assert status == 1
    assert "USERPODS_IMAGE: is not set" in err


def test_user_syncs_the_named_users_alone(memory: MemoryCluster) -> None:
    for name in ("alice", "bob", "carol"):
        UserFactory(username=name)
    assert sync("--user", "alice", "--user", "bob")[0] == 0
    assert pairs(memory) == ["user-alice", "user-bob"]


def test_a_user_who_is_gone_by_the_name_of_the_row(memory: MemoryCluster) -> None:
    UserFactory(username="bob")
    user = UserFactory(username="alice")
    sync()
    user.delete()
    assert sync("--user", "user-alice")[0] == 0
    assert pairs(memory) == ["user-bob"]


def test_an_unknown_user_is_named_and_nothing_is_done(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    status, out, err = sync("--user", "alice", "--user", "nobody")
    assert (status, out) == (1, "")
    assert "There is no user 'nobody'." in err
    assert not memory.calls


def test_no_prune_deletes_nothing(memory: MemoryCluster) -> None:
    bulk(1)
    sync()
    users().all().delete()
    UserPod.objects.all().delete()
    assert sync("--no-prune")[0] == 0
    assert len(pairs(memory)) == 1
    assert sync("--allow-mass-delete")[0] == 0
    assert not memory.objects


def test_json_tells_what_was_done(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    status, out, err = sync("--format", "json")
    report = json.loads(out)
    assert (status, err) == (0, "")
    assert report["ok"] is True
    assert (report["users"], report["created"], report["updated"], report["deleted"]) == (
        1,
        2,
        0,
        0,
    )
    assert report["actions"][0] == {
        "verb": "create",
        "kind": "Deployment",
        "namespace": "default",
        "name": "user-alice",
        "username": "alice",
        "reason": "",
    }
    UserFactory(username="bob")
    memory.fail_with(QuotaExceeded("exceeded quota"), verb="create")
    status, out, _ = sync("--format", "json")
    report = json.loads(out)
    assert (status, report["ok"]) == (1, False)
    assert report["failed"][0]["message"] == "exceeded quota"
    assert report["failed"][0]["name"] == "user-bob"


@pytest.mark.parametrize("fault", ["cluster", "refused"])
def test_json_is_complete_when_all_is_lost(memory: MemoryCluster, fault: str) -> None:
    bulk(11)
    sync()
    if fault == "cluster":
        memory.fail_with(ClusterUnavailable("down"))
    else:
        users().all().delete()
    status, out, _ = sync("--format", "json")
    report = json.loads(out)
    assert report["ok"] is False
    if fault == "cluster":
        assert (status, report["error"]) == (1, "down")
    else:
        assert status == 3
        assert "11 of 11" in report["refused"]


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_a_time_that_is_none_is_refused(memory: MemoryCluster, value: str) -> None:
    with pytest.raises(CommandError, match="is not a number of seconds"):
        call_command("sync_userpods", f"--wait={value}")


def test_the_bar_is_for_terminals(memory: MemoryCluster) -> None:
    bulk(3)
    _, _, err = sync(stderr=Terminal())
    assert "Reading users" in err
    assert "Applying [" in err
    assert err.endswith("\r\033[K")
    bulk(3, "more")
    assert sync()[2] == ""
    for quiet in (("--verbosity", "0"), ("--format", "json")):
        bulk(1, f"q{quiet[1]}")
        assert sync(*quiet, stderr=Terminal())[2] == ""


def test_verbosity_0_says_nothing_of_objects(memory: MemoryCluster) -> None:
    bulk(2)
    status, out, err = sync("--verbosity", "0")
    assert (status, err) == (0, "")
    assert "Created Deployment" not in out
    assert len(names(memory)) == 2


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        call_command("sync_userpods", "--help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in (
        "--user NAME",
        "--dry-run",
        "--no-prune",
        "--wait SECONDS",
        "--allow-mass-delete",
        "--format {text,json}",
    ):
        assert option in text
    assert "Exit status: 0 all agree; 1 some could not be done" in text
    assert "3 refused" in text
