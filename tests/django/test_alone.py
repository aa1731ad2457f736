"""One bad user, kind or object stops nobody else, and no more of its own than it must."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model

from django_userpods.core.objects import DEPLOYMENT, Kind, Ref
from django_userpods.exceptions import (
    ClusterUnavailable,
    Forbidden,
    Invalid,
    UnknownKind,
)
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import MemoryCluster
from tests.django.support import (
    CONFIG,
    DATABASE,
    VOLUME,
    bulk,
    deployment,
    names,
    pairs,
    row,
    template_with,
)
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "{name}--once"},
    "spec": {
        "template": {
            "spec": {"containers": [{"name": "once", "image": "once:1"}], "restartPolicy": "Never"}
        }
    },
}
THING = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "{name}--thing"}}


# --- users


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a user's username be of any type."""

    def name(user: Any, value: Any) -> None:
        real = type(user).get_username

        def get_username(self: Any) -> Any:
            return value if self.pk == user.pk else real(self)

        monkeypatch.setattr(get_user_model(), "get_username", get_username)

    return name


def test_a_user_without_a_username_fails_alone(memory: MemoryCluster, nameless: Any) -> None:
    alice, bob = bulk(2)
    nameless(alice, None)
    report = reconcile()
    assert pairs(memory) == ["user-bulk001"]
    assert [failure.user_pk for failure in report.failed] == [str(alice.pk)]
    assert "has no username" in report.failed[0].message
    assert row(bob).state == "running"


@pytest.mark.parametrize("value", [4711, uuid.UUID(int=7)])
def test_usernames_of_any_type_work(
    memory: MemoryCluster, nameless: Any, value: Any, client: Client
) -> None:
    (user,) = bulk(1)
    nameless(user, value)
    assert reconcile().ok
    assert pairs(memory) == [f"user-{value}"]
    client.force_login(user)
    answer = client.get("/whoami")
    assert answer.status_code == 200
    assert answer["X-Userpods-User"] == str(value)
    assert answer.json()["user"] == str(value)


def test_whoami_says_that_a_user_has_no_username(
    memory: MemoryCluster, nameless: Any, client: Client
) -> None:
    (user,) = bulk(1)
    reconcile()
    nameless(user, None)
    client.force_login(user)
    answer = client.get("/whoami")
    assert answer.status_code == 503
    assert "no username" in answer.json()["message"]


# --- kinds


@pytest.mark.parametrize("error", [UnknownKind("404: no such kind"), Forbidden("403: RBAC")])
def test_a_kind_that_cannot_be_listed_fails_those_alone_whose_template_has_it(
    memory: MemoryCluster, settings: Any, error: Any
) -> None:
    def template(user: Any) -> Any:
        return template_with(*([THING] if user.get_username() == "bulk001" else []))

    settings.USERPODS_TEMPLATE = template
    some = bulk(3)
    memory.fail_with(error, verb="list", kind="Thing")
    report = reconcile()
    assert [(failure.name, failure.message) for failure in report.failed] == [
        ("user-bulk001", str(error))
    ]
    assert pairs(memory) == ["user-bulk000", "user-bulk002"]
    assert (row(some[1]).state, row(some[1]).message) == ("failed", str(error))


# --- objects


def test_what_is_refused_does_not_hold_up_what_does_not_need_it(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(CONFIG)
    user = UserFactory(username="alice")
    reconcile()
    changed = template_with({**CONFIG, "data": {"who": "somebody"}})
    changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    settings.USERPODS_TEMPLATE = changed
    memory.fail_with(Invalid("422: no"), verb="apply", kind="ConfigMap")
    report = reconcile()
    assert [failure.message for failure in report.failed] == ["422: no"]
    pod = deployment(memory, "user-alice")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "a:2"
    assert row(user).message == "422: no"


def test_no_pod_starts_without_an_object_that_could_not_be_made(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    UserFactory(username="alice")
    memory.fail_with(Invalid("422: no"), verb="create", kind="PersistentVolumeClaim")
    assert not reconcile().ok
    assert names(memory, DEPLOYMENT) == []


def test_a_claim_that_was_enlarged_is_left_alone(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    UserFactory(username="alice")
    reconcile()
    ref = Ref(Kind("v1", "PersistentVolumeClaim"), "default", "user-alice--data")
    memory.objects[ref]["spec"]["resources"]["requests"]["storage"] = "2Gi"
    assert reconcile().done == []
    # Nor does another change of it try to shrink it.
    labelled = {**VOLUME, "metadata": {**VOLUME["metadata"], "labels": {"tier": "gold"}}}  # type: ignore[dict-item]
    settings.USERPODS_TEMPLATE = template_with(labelled)
    assert reconcile().ok
    claim = memory.objects[ref]
    assert claim["metadata"]["labels"]["tier"] == "gold"
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_a_changed_job_is_replaced(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(JOB)
    UserFactory(username="alice")
    reconcile()
    changed = template_with(JOB)
    changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    changed[2] = {
        **JOB,
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"name": "once", "image": "once:2"}],
                    "restartPolicy": "Never",
                }
            }
        },
    }
    settings.USERPODS_TEMPLATE = changed
    report = reconcile()
    assert report.ok, report.failed
    ref = Ref(Kind("batch/v1", "Job"), "default", "user-alice--once")
    pod = memory.objects[ref]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "once:2"
    assert any("replaced" in action.reason for action in report.done)
    assert reconcile().done == []


def test_what_cannot_be_changed_is_named_with_what_to_do(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(*DATABASE)
    UserFactory(username="alice")
    reconcile()
    changed: Any = template_with(*DATABASE)
    changed[2] = {**changed[2], "spec": {**changed[2]["spec"], "serviceName": "other"}}
    settings.USERPODS_TEMPLATE = changed
    (failure,) = reconcile().failed
    assert "cannot be changed of a StatefulSet is spec.serviceName" in failure.message
    assert "delete StatefulSet default/user-alice--db" in failure.message


# --- a cluster that fails some


def test_users_whom_the_cluster_fails_for_good_starve_nobody(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk(38)
    original: Any = MemoryCluster.create

    def create(self: MemoryCluster, manifest: Any, **kwargs: Any) -> Any:
        if manifest["metadata"]["name"] in {f"user-bulk{number:03}" for number in range(20)}:
            raise ClusterUnavailable("500: webhook failed", status=500)
        return original(self, manifest, **kwargs)

    monkeypatch.setattr(MemoryCluster, "create", create)
    report = reconcile()
    assert len(pairs(memory)) == 18
    assert len(report.failed) == 20
    assert report.not_done == []


# --- other workloads


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        ({"observedGeneration": 1, "readyReplicas": 0}, "starting", "is not ready"),
        ({"observedGeneration": 1, "readyReplicas": 1}, "running", ""),
    ],
)
def test_another_workload_of_the_template_counts_and_is_named(
    memory: MemoryCluster, settings: Any, status: Any, state: str, words: str
) -> None:
    settings.USERPODS_TEMPLATE = template_with(*DATABASE)
    user = UserFactory(username="alice")
    reconcile()
    ref = Ref(Kind("apps/v1", "StatefulSet"), "default", "user-alice--db")
    memory.objects[ref]["status"] = status
    reconcile()
    assert row(user).state == state
    assert words in row(user).message
    assert state == "running" or "StatefulSet user-alice--db" in row(user).message


def test_a_job_that_failed_counts_and_is_named(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(JOB)
    user = UserFactory(username="alice")
    reconcile()
    assert row(user).state == "running"
    ref = Ref(Kind("batch/v1", "Job"), "default", "user-alice--once")
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    memory.objects[ref]["status"] = {"conditions": [condition]}
    reconcile()
    assert UserPod.objects.get().state == "failed"
    assert row(user).message == "Job user-alice--once: BackoffLimitExceeded"


def test_the_pod_of_another_workload_that_crashes_is_explained(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(*DATABASE)
    user = UserFactory(username="alice")
    reconcile()
    ref = Ref(Kind("apps/v1", "StatefulSet"), "default", "user-alice--db")
    memory.objects[ref]["status"] = {"observedGeneration": 1, "readyReplicas": 0}
    pod = Ref(Kind("v1", "Pod"), "default", "user-alice--db-0")
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    memory.objects[pod] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": "default",
            "uid": "db-0",
            "labels": dict(memory.objects[ref]["metadata"]["labels"]),
        },
        "status": {"containerStatuses": [{"state": {"waiting": waiting}}]},
    }
    reconcile()
    assert row(user).state == "failed"
    assert row(user).message == "StatefulSet user-alice--db: CrashLoopBackOff: back-off 10s"
