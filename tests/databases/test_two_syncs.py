"""Two syncs at once on databases that lock rows: neither dies, and nothing is done twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connections

from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import memory_defaults
from tests.databases.servers import LEVELS
from tests.django.support import bulk, pairs, users

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.reconcile import Report
    from django_userpods.testing import MemoryCluster

pytestmark = [pytest.mark.databases, pytest.mark.filterwarnings("ignore::ResourceWarning")]

#: As many as make rows meet: one batch of outcomes is a hundred.
MANY = 300


def at_once(count: int, work: Callable[[], Any]) -> list[Any]:
    """Do some work in several threads that begin together, each on a connection of its own."""
    barrier = threading.Barrier(count)

    def one(_: int) -> Any:
        barrier.wait()
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("level", LEVELS)
def test_two_syncs_that_create_rows_and_outcomes_both_succeed(
    memory: MemoryCluster, use_database: Callable[..., None], level: str
) -> None:
    use_database(level)
    bulk(MANY)
    reports: list[Report] = at_once(2, reconcile)
    assert [report.failed for report in reports] == [[], []]
    reconcile()
    assert len(pairs(memory)) == MANY
    assert set(UserPod.objects.values_list("state", flat=True)) == {"running"}
    assert reconcile().done == []


@pytest.mark.parametrize("level", LEVELS)
def test_two_syncs_that_change_and_delete_rows_both_succeed(
    memory: MemoryCluster, use_database: Callable[..., None], level: str, settings: Any
) -> None:
    use_database(level)
    some = bulk(MANY)
    reconcile()
    users().filter(pk__in=[user.pk for user in some[::3]]).delete()
    users().filter(pk__in=[user.pk for user in some[1::3]]).update(is_active=False)
    settings.USERPODS_IMAGE = "example.org/app:2"
    reports: list[Report] = at_once(2, lambda: reconcile(allow_mass_delete=True))
    assert [report.failed for report in reports] == [[], []]
    assert reconcile(allow_mass_delete=True).ok
    assert pairs(memory) == [f"user-{user.get_username()}" for user in some[2::3]]
    assert set(UserPod.objects.values_list("state", flat=True)) == {"running", "stopped"}


@pytest.mark.parametrize("level", LEVELS)
def test_syncs_at_once_give_no_more_turns_than_one_rule_has(
    memory: MemoryCluster,
    use_database: Callable[..., None],
    level: str,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_database(level)
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 5}
    bulk(40)
    reconcile()
    settings.USERPODS_IMAGE = "example.org/app:2"
    give_status = memory_defaults.give_status

    def never_ready(wanted: Any) -> None:
        give_status(wanted)
        if wanted["kind"] == "Deployment":
            wanted["status"]["readyReplicas"] = 0

    monkeypatch.setattr(memory_defaults, "give_status", never_ready)
    memory.calls.clear()
    reports: list[Report] = at_once(3, reconcile)
    assert [report.failed for report in reports] == [[], [], []]
    assert len({call.name for call in memory.calls if call.verb == "apply"}) == 5
    turns = list(UserPod.objects.order_by("turn").values_list("turn", flat=True))
    assert turns == ["updating"] * 5 + ["waiting"] * 35


def test_addresses_that_are_handed_over_by_two_syncs_at_once_end_where_they_are(
    memory: MemoryCluster, database: None
) -> None:
    some = bulk(40)
    reconcile()
    services = [ref for ref in memory.objects if ref.kind.kind == "Service"]
    addresses = [memory.objects[ref]["spec"]["clusterIP"] for ref in services]
    # Each Service has another's address now: every row loses one and gains one.
    for ref, address in zip(services, [*addresses[7:], *addresses[:7]], strict=True):
        memory.objects[ref]["spec"].update(clusterIP=address, clusterIPs=[address])
    assert all(report.failed == [] for report in at_once(3, reconcile))
    reconcile()
    told = dict(UserPod.objects.values_list("name", "address"))
    there = {ref.name: memory.objects[ref]["spec"]["clusterIP"] + ":8000" for ref in services}
    assert len(some) == len(told)
    assert told == there


def test_a_row_that_the_database_refuses_fails_alone(
    memory: MemoryCluster, database: None, settings: Any
) -> None:
    def customize(manifests: Any, user: Any) -> Any:
        if user.get_username() == "bulk001":
            manifests[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "x" * 600
        return manifests

    settings.USERPODS_CUSTOMIZE = customize
    bulk(3)
    report = reconcile()
    assert [failure.name for failure in report.failed] == ["user-bulk001"]
    assert "the database refuses its row" in report.failed[0].message
    states = dict(UserPod.objects.values_list("name", "state"))
    assert states == {
        "user-bulk000": "running",
        "user-bulk001": "failed",
        "user-bulk002": "running",
    }
    assert "the database refuses" in UserPod.objects.get(name="user-bulk001").message
