"""Runs that go wrong on the way, callables of the project that raise, and two runs at once."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from django_userpods.core.objects import DEPLOYMENT
from django_userpods.exceptions import (
    ClusterUnavailable,
    Forbidden,
    Invalid,
    OutOfTime,
    QuotaExceeded,
    TooManyRequests,
)
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.reconcile import request as reconcile_module
from django_userpods.testing import Call, MemoryCluster
from tests.django.support import (
    CONFIG,
    bulk,
    delete_users,
    deployment,
    pairs,
    row,
    template_with,
    writes,
)
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ClusterUnavailable("500: internal error", status=500), "pending"),
        (TooManyRequests("429: slow down", retry_after=1.0), "pending"),
        (Forbidden("403: RBAC does not allow it", status=403), "failed"),
        (QuotaExceeded("403: exceeded quota: small", status=403), "failed"),
        (Invalid("422: spec.x: Invalid value", status=422), "failed"),
    ],
)
def test_half_a_pair_is_completed_by_the_next_sync(
    memory: MemoryCluster, error: Any, state: str
) -> None:
    user = UserFactory(username="alice")
    memory.fail_with(error, verb="create", kind="Service")
    report = reconcile()
    assert [failure.message for failure in report.failed] == [str(error)]
    assert row(user).message == str(error)
    assert row(user).state == state
    uid = deployment(memory, "user-alice")["metadata"]["uid"]
    memory.heal()
    report = reconcile()
    assert report.ok
    assert report.counts()["created"] == 1
    assert pairs(memory) == ["user-alice"]
    assert deployment(memory, "user-alice")["metadata"]["uid"] == uid
    assert (row(user).state, row(user).message) == ("running", "")


def test_what_was_running_is_said_to_run_while_the_cluster_is_down(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    memory.fail_with(ClusterUnavailable("down"))
    with pytest.raises(ClusterUnavailable):
        reconcile()
    assert row(user).state == UserPod.State.RUNNING


def test_an_unreachable_cluster_is_given_up(memory: MemoryCluster) -> None:
    bulk(60)

    def create(self: MemoryCluster, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(Call("create", DEPLOYMENT, None))
        memory.fail_with(ClusterUnavailable("down"))
        raise ClusterUnavailable("down")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryCluster, "create", create)
        report = reconcile()
    # Those that others had begun meanwhile are seen to their end.
    assert 8 <= len(report.failed) <= 8 + 2 * memory.concurrency
    assert len(report.failed) + len(report.not_done) == 60
    assert report.unavailable
    assert len(writes(memory)) <= 8 + 2 * memory.concurrency
    memory.heal()
    assert reconcile().ok
    assert len(pairs(memory)) == 60


def test_a_cluster_that_goes_down_in_the_middle_is_given_up_and_later_finished(
    memory: MemoryCluster,
) -> None:
    bulk(40)
    original, count = memory.create, itertools.count()

    def create(self: MemoryCluster, *args: Any, **kwargs: Any) -> Any:
        if next(count) >= 31:
            raise ClusterUnavailable("gone")
        return original(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryCluster, "create", create)
        report = reconcile()
    assert not report.ok
    assert report.counts()["created"] == 31
    up = UserPod.objects.filter(state=UserPod.State.RUNNING).count()
    assert 10 <= up <= 15
    report = reconcile()
    assert report.ok
    assert report.counts()["created"] == 80 - 31
    assert len(pairs(memory)) == 40


def test_time_that_runs_out_in_the_middle_leaves_the_rest_for_later(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = bulk(30)
    clock = itertools.count(0.0, 0.05)
    monkeypatch.setattr(
        reconcile_module, "time", SimpleNamespace(monotonic=lambda: float(next(clock)))
    )
    report = reconcile([str(user.pk) for user in some], timeout=2.0)
    monkeypatch.undo()
    assert not report.failed
    assert 0 < len(report.not_done) < 30
    assert 0 < report.counts()["created"] < 60
    assert reconcile().ok
    assert len(pairs(memory)) == 30
    assert set(UserPod.objects.values_list("state", flat=True)) == {"running"}


def test_without_time_nothing_is_sent_and_the_row_says_so(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    with pytest.raises(OutOfTime):
        reconcile([str(user.pk)], timeout=0)
    assert not memory.calls
    assert row(user).name == "user-alice"
    assert "no time left" in row(user).message


def test_a_user_whose_customised_manifests_are_invalid_fails_alone(
    memory: MemoryCluster, settings: Any
) -> None:
    def customize(manifests: Any, user: Any) -> Any:
        if user.get_username() == "alice":
            raise KeyError("team")
        if user.get_username() == "bob":
            return "text"
        if user.get_username() == "carol":
            manifests[0]["spec"] = ["x"]
        if user.get_username() == "dave":
            manifests[0]["metadata"]["labels"]["django-userpods/user-id"] = "1000"
        manifests[1]["metadata"]["labels"]["team"] = "red"
        return manifests

    settings.USERPODS_CUSTOMIZE = customize
    made = {name: UserFactory(username=name) for name in ("alice", "bob", "carol", "dave", "eve")}
    report = reconcile()
    assert pairs(memory) == ["user-eve"]
    assert {failure.name for failure in report.failed} == {
        "user-alice",
        "user-bob",
        "user-carol",
        "user-dave",
    }
    assert "USERPODS_CUSTOMIZE raised KeyError: 'team'" in row(made["alice"]).message
    assert "returned a str" in row(made["bob"]).message
    assert "Deployment.spec: is not a mapping" in row(made["carol"]).message
    assert "reserved" in row(made["dave"]).message
    assert row(made["alice"]).state == UserPod.State.FAILED
    assert reconcile().done == []


def test_a_template_of_each_users_own_fails_for_that_user_alone(
    memory: MemoryCluster, settings: Any
) -> None:
    def template(user: Any) -> Any:
        if user.get_username() == "carol":
            raise RuntimeError("no plan")
        return template_with(*([CONFIG] if user.get_username() == "alice" else []))

    settings.USERPODS_TEMPLATE = template
    for name in ("alice", "bob", "carol"):
        UserFactory(username=name)
    report = reconcile()
    assert [failure.message for failure in report.failed] == [
        "USERPODS_TEMPLATE raised RuntimeError: no plan"
    ]
    assert pairs(memory) == ["user-alice", "user-bob"]
    assert sum(ref.kind.kind == "ConfigMap" for ref in memory.objects) == 1
    # A template that fails for a while harms no pod that is there.
    settings.USERPODS_TEMPLATE = lambda user: 1 / 0
    reconcile()
    assert pairs(memory) == ["user-alice", "user-bob"]


@pytest.mark.parametrize("answer", [None, 0, ""])
def test_a_selection_decides_who_gets_a_pod(
    memory: MemoryCluster, settings: Any, answer: Any
) -> None:
    settings.USERPODS_SELECT = lambda user: user.get_username() != "bob" or answer
    UserFactory(username="alice")
    bob = UserFactory(username="bob")
    assert reconcile().ok
    assert pairs(memory) == ["user-alice"]
    settings.USERPODS_SELECT = lambda user: True
    reconcile()
    assert pairs(memory) == ["user-alice", "user-bob"]
    settings.USERPODS_SELECT = lambda user: user.get_username() != "bob" or answer
    reconcile()
    assert pairs(memory) == ["user-alice"]
    assert row(bob).wanted == UserPod.Wanted.ABSENT


def test_a_selection_that_raises_harms_nobody(memory: MemoryCluster, settings: Any) -> None:
    bulk(2)
    reconcile()

    def select(user: Any) -> bool:
        raise RuntimeError("the billing service is down")

    settings.USERPODS_SELECT = select
    report = reconcile()
    assert len(report.failed) == 2
    assert "billing" in report.failed[0].message
    assert len(pairs(memory)) == 2


# --- two at once


@pytest.mark.parametrize("verb", ["list", "create", "apply", "delete", "get"])
def test_a_second_sync_in_the_middle_of_the_first_spoils_neither(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch, settings: Any, verb: str
) -> None:
    # One call after the other, so that the second sync runs in this thread.
    options = {"concurrency": 1}
    settings.USERPODS_CLUSTER = {**settings.USERPODS_CLUSTER, "OPTIONS": options}
    some = bulk(3)
    reconcile()
    delete_users(some[:1])
    deployment(memory, "user-bulk001")["spec"]["replicas"] = 9
    UserFactory(username="new")
    original: Any = getattr(MemoryCluster, verb)
    inside: list[bool] = []

    def nested(self: MemoryCluster, *args: Any, **kwargs: Any) -> Any:
        if not inside:
            inside.append(True)
            assert reconcile().ok
        return original(self, *args, **kwargs)

    monkeypatch.setattr(MemoryCluster, verb, nested)
    first = reconcile()
    monkeypatch.undo()
    assert inside
    assert not first.refused
    assert reconcile().ok
    assert pairs(memory) == ["user-bulk001", "user-bulk002", "user-new"]
    assert deployment(memory, "user-bulk001")["spec"]["replicas"] == 1
    assert reconcile().done == []
    assert set(UserPod.objects.values_list("state", flat=True)) == {"running"}
