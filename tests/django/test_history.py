"""Each pod's history: who asked for what, what came of it, and which states were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods import lifecycle
from django_userpods.exceptions import Forbidden
from django_userpods.models import Transition, UserPod
from django_userpods.reconcile import carry_out, outcomes, reconcile
from tests.django.support import bulk
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


def lines(name: str = "user-alice") -> list[tuple[str, str, str, str, str]]:
    found = Transition.objects.filter(pod__name=name).order_by("pk")
    return list(found.values_list("operation", "actor", "before", "after", "outcome"))


def test_what_was_asked_for_says_by_whom_and_what_came_of_it(
    memory: MemoryCluster, alice: Any
) -> None:
    Transition.objects.all().delete()
    lifecycle.stop(UserPod.objects.all(), actor="admin")
    assert lines() == [
        ("stop", "admin", "running", "pending", "done"),
        ("", "", "pending", "stopped", ""),
    ]
    asked = Transition.objects.get(operation="stop")
    assert asked.settled_at is not None
    assert asked.settled_at >= asked.at


def test_what_fails_is_said_to_have_failed_and_why(memory: MemoryCluster, alice: Any) -> None:
    Transition.objects.all().delete()
    memory.fail_with(Forbidden("exceeded quota: small"), verb="apply")
    lifecycle.restart(UserPod.objects.all(), actor="admin")
    assert lines() == [
        ("restart", "admin", "running", "pending", "failed"),
        ("", "", "pending", "failed", ""),
    ]
    assert "exceeded quota" in Transition.objects.get(after="failed").message


def test_what_is_asked_for_again_before_it_came_about_is_replaced(
    memory: MemoryCluster, alice: Any, settings: Any
) -> None:
    Transition.objects.all().delete()
    settings.USERPODS_INLINE_TIMEOUT = 0
    lifecycle.stop(UserPod.objects.all(), actor="admin")
    lifecycle.start(UserPod.objects.all(), actor="alice")
    assert [line[-1] for line in lines()] == ["replaced", ""]
    reconcile()
    assert lines()[1:] == [
        ("start", "alice", "pending", "pending", "done"),
        ("", "", "pending", "running", ""),
    ]


def test_a_sync_that_finds_nothing_new_writes_no_line(memory: MemoryCluster, alice: Any) -> None:
    before = lines()
    assert before[-1][3] == "running"
    reconcile()
    assert lines() == before


def test_what_two_runs_see_at_once_is_one_line(
    memory: MemoryCluster, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.stop(UserPod.objects.all(), actor="admin")
    Transition.objects.all().delete()
    UserPod.objects.update(state="pending")
    real = outcomes.write

    def write(items: Any) -> Any:
        # The other one, from the same reading to the end, comes first.
        monkeypatch.setattr(outcomes, "write", real)
        reconcile()
        return real(items)

    monkeypatch.setattr(outcomes, "write", write)
    reconcile()
    assert lines() == [("", "", "pending", "stopped", "")]
    assert UserPod.objects.get().state == "stopped"


def test_the_last_fifty_lines_are_kept(memory: MemoryCluster, alice: Any) -> None:
    bob = UserFactory(username="bob")
    pods = UserPod.objects.filter(owner=alice)
    for _ in range(14):
        lifecycle.stop(pods, actor="admin")
        lifecycle.start(pods, actor="admin")
    assert len(lines()) == Transition.KEPT
    assert lines()[-1][:3] == ("", "", "pending")
    assert len(lines(f"user-{bob.get_username()}")) > 0, "another pod's are none of these"


def test_it_goes_with_its_pod(memory: MemoryCluster, alice: Any) -> None:
    alice.delete()
    reconcile()
    assert not UserPod.objects.exists()
    assert not Transition.objects.exists()


def test_however_many_pods_it_takes_the_same_number_of_statements(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All together, however slow the machine is.
    monkeypatch.setattr(carry_out, "_FLUSH_SECONDS", 600.0)
    counts = []
    for number in (5, 50):
        bulk(number, prefix=f"b{number}x")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            reconcile()
        counts.append(sum("userpods_transition" in q["sql"] for q in queries.captured_queries))
    assert counts[0] == counts[1] > 0


def test_the_admin_shows_what_came_of_a_restart(
    memory: MemoryCluster, alice: Any, admin_client: Client
) -> None:
    memory.fail_with(Forbidden("exceeded quota: <small>"), verb="apply")
    lifecycle.restart(UserPod.objects.all(), actor="<b>staff</b>")
    pk = UserPod.objects.get(owner=alice).pk
    page = admin_client.get(f"/admin/userpods/userpod/{pk}/history/").content.decode()
    history = page[page.index("userpods-history") :]
    assert "failed, after" in history
    assert "exceeded quota: &lt;small&gt;" in history
    assert "&lt;b&gt;staff&lt;/b&gt;" in history
