"""``userpods_status``: how everything is doing, in numbers."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods.exceptions import ClusterUnavailable, QuotaExceeded
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from django_userpods.status import status
from tests.django.support import bulk, sync

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[int, str]:
    out, code = StringIO(), 0
    try:
        call_command("userpods_status", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as error:
        code = int(str(error.code))
    return code, out.getvalue()


def test_it_counts_pods_by_state_and_tells_the_last_sync(memory: MemoryCluster) -> None:
    bulk(3)
    assert run()[1].splitlines()[:2] == ["0 pods", "Last sync: never"]
    sync()
    UserPod.objects.filter(name="user-bulk000").update(state="stopped")
    code, out = run()
    assert code == 0
    assert "3 pods: 2 running, 1 stopped" in out
    assert "Last sync: 0\xa0minutes ago, with 0 failures" in out
    assert "Cluster: answers (the memory of this process (MemoryCluster default))" in out


def test_a_sync_that_looks_at_everything_is_noted_and_no_other(memory: MemoryCluster) -> None:
    (user, *_) = bulk(2)
    reconcile([str(user.pk)])
    reconcile(dry_run=True)
    assert status().synced_at is None
    memory.fail_with(QuotaExceeded("exceeded quota"), verb="create", times=1)
    began = timezone.now()
    reconcile()
    found = status()
    assert found.synced_at is not None
    assert began <= found.synced_at <= timezone.now()
    assert found.sync_failures == 1
    memory.heal()
    reconcile()
    assert status().sync_failures == 0
    memory.fail_with(ClusterUnavailable("down"))
    before = Installation.objects.get().synced_at
    with pytest.raises(ClusterUnavailable):
        reconcile()
    assert Installation.objects.get().synced_at == before
    assert "no sync could look at everything: down" in run()[1]
    assert json.loads(run("--format", "json")[1])["sync_trouble"] == "down"
    memory.heal()
    reconcile()
    assert "no sync could" not in run()[1]


def test_json_has_all_of_it(memory: MemoryCluster) -> None:
    bulk(2)
    sync()
    UserPod.objects.filter(name="user-bulk000").update(
        state="failed", message="ImagePullBackOff: a:1"
    )
    UserPod.objects.filter(name="user-bulk001").update(
        state="failed", message="Back-off: CrashLoopBackOff", asked_at=timezone.now()
    )
    code, out = run("--format", "json")
    found = json.loads(out)
    assert code == 0
    assert (found["ok"], found["pods"], found["waiting"]) == (True, 2, 1)
    assert found["states"] == {
        "pending": 0,
        "starting": 0,
        "running": 0,
        "stopped": 0,
        "failed": 2,
        "deleting": 0,
    }
    assert found["age_seconds"] >= 0
    assert found["cluster"]["reachable"] is True
    assert {item["example"]: item["message"] for item in found["reasons"]} == {
        "user-bulk000": "ImagePullBackOff: a:1",
        "user-bulk001": "Back-off: CrashLoopBackOff",
    }


def test_reasons_are_told_together_the_most_frequent_first(memory: MemoryCluster) -> None:
    bulk(5)
    sync()
    UserPod.objects.update(state="failed", message="CrashLoopBackOff in one of them")
    UserPod.objects.filter(name="user-bulk004").update(message="OOMKilled")
    reasons = status().reasons
    assert [item.pods for item in reasons] == [4, 1]
    assert "4 failed: It stops right after it is started. For example" in run()[1]


def test_a_cluster_that_is_down_is_told_and_exits_1(memory: MemoryCluster, settings: Any) -> None:
    memory.fail_with(ClusterUnavailable("cannot reach 10.0.0.1"))
    code, out = run()
    assert code == 1
    assert "does not answer" in out
    assert "cannot reach 10.0.0.1" in out
    assert json.loads(run("--format", "json")[1])["ok"] is False
    settings.USERPODS_CLUSTER = {"BACKEND": "nowhere.Cluster"}
    assert run()[0] == 1


def test_a_database_that_is_down_is_told(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> None:
        message = "connection refused"
        raise OperationalError(message)

    monkeypatch.setattr("django_userpods.management.commands.userpods_status.status", broken)
    with pytest.raises(CommandError, match="database does not answer: connection refused"):
        run()
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("userpods_status", "--format", "json", stdout=out)
    assert json.loads(out.getvalue())["ok"] is False


def test_it_asks_as_much_of_few_pods_as_of_many(memory: MemoryCluster) -> None:
    counts = []
    for size in (1, 60):
        bulk(size, prefix=f"n{size}")
        sync()
        UserPod.objects.update(state="failed", message="OOMKilled")
        with CaptureQueriesContext(
            connection,
        ) as captured:
            status()
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 4
