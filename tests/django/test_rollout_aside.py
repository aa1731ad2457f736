"""What waits for no turn: starts, restarts, new pods, deletions, and what somebody edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods import lifecycle
from django_userpods.core import naming
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.rollouts import NEW, OLD, failing, five_pods, image, turns, unready, with_image
from tests.django.support import (
    CONFIGMAP,
    VOLUME,
    bulk,
    by_name,
    deployment,
    names,
    service,
    sync,
    template_with,
    writes,
)

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(memory: MemoryCluster, settings: Any) -> MemoryCluster:
    """Five pods that wait for their next start: what is done is what does not wait."""
    five_pods(memory, settings, {"WHEN": "next start"})
    assert len(reconcile().waiting) == 5
    assert with_image(memory) == []
    memory.calls.clear()
    return memory


def pod(name: str) -> UserPod:
    return UserPod.objects.get(name=name)


def test_at_the_next_start_alone_a_pod_gets_another_template(waiting: MemoryCluster) -> None:
    one = UserPod.objects.filter(name="user-bulk000")
    lifecycle.stop(one)
    reconcile()
    # Where nothing runs nothing is disturbed.
    assert with_image(waiting) == ["user-bulk000"]
    lifecycle.start(one)
    reconcile()
    assert with_image(waiting) == ["user-bulk000"]
    assert turns() == {"waiting": 4}


def test_waiting_does_not_wait_for_the_next_start(waiting: MemoryCluster) -> None:
    status, out, _ = sync("--wait", "60")
    assert status == 0
    assert "Waiting for their next start (USERPODS_ROLLOUT): 5" in out


@pytest.mark.parametrize("operation", [lifecycle.restart, lifecycle.recreate])
def test_who_is_restarted_or_made_anew_gets_it(waiting: MemoryCluster, operation: Any) -> None:
    operation(UserPod.objects.filter(name="user-bulk000"))
    reconcile()
    assert with_image(waiting) == ["user-bulk000"]
    assert turns() == {"waiting": 4}


def test_who_was_restarted_before_waits_like_the_others(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"WHEN": "next start"}
    bulk(1)
    reconcile()
    lifecycle.restart(UserPod.objects.all())
    reconcile()
    settings.USERPODS_IMAGE = NEW
    assert len(reconcile().waiting) == 1


def test_a_new_user_gets_it(waiting: MemoryCluster) -> None:
    bulk(1, prefix="new")
    reconcile()
    assert with_image(waiting) == ["user-new000"]


def test_a_user_who_goes_is_not_waited_for(waiting: MemoryCluster) -> None:
    by_name("bulk000").delete()
    reconcile()
    assert len(names(waiting)) == 4
    assert turns() == {"waiting": 4}


def test_who_failed_before_gets_it(waiting: MemoryCluster) -> None:
    failing(waiting, "user-bulk000")
    reconcile()
    assert with_image(waiting) == ["user-bulk000"]


def test_who_is_not_ready_for_a_moment_waits(waiting: MemoryCluster) -> None:
    """All are whose node is away: that is not the moment to try another template on all of them."""
    unready(waiting, *names(waiting))
    reconcile()
    assert with_image(waiting) == []


def test_a_number_of_replicas_that_was_edited_is_put_back_at_once(waiting: MemoryCluster) -> None:
    live = deployment(waiting, "user-bulk000")
    live["spec"]["replicas"] = 3
    live["spec"]["template"]["metadata"]["annotations"] = {"somebodys": "own"}
    digest = live["metadata"]["annotations"][naming.TEMPLATE_HASH_ANNOTATION]
    report = reconcile()
    live = deployment(waiting, "user-bulk000")
    assert live["spec"]["replicas"] == 1
    assert image(live) == OLD
    assert live["spec"]["template"]["metadata"]["annotations"] == {"somebodys": "own"}
    # It is behind still.
    assert live["metadata"]["annotations"][naming.TEMPLATE_HASH_ANNOTATION] == digest
    assert len(report.waiting) == 5
    assert report.overruled == []
    assert [action.reason for action in report.done] == [".spec.replicas"]
    assert pod("user-bulk000").state == "running"
    waiting.calls.clear()
    reconcile()
    assert writes(waiting) == []


def test_what_else_was_edited_or_deleted_is_put_back_at_once(waiting: MemoryCluster) -> None:
    service(waiting, "user-bulk000")["spec"]["selector"] = {"app": "other"}
    ref = next(ref for ref in waiting.objects if ref.name == "user-bulk001")
    del waiting.objects[ref._replace(kind=type(ref.kind)("v1", "Service"))]
    reconcile()
    assert sorted(writes(waiting)) == [
        ("apply", "Service", "user-bulk000"),
        ("create", "Service", "user-bulk001"),
    ]


def test_a_pod_template_that_was_edited_is_put_back_at_once(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"WHEN": "next start"}
    bulk(1)
    reconcile()
    live = deployment(memory, "user-bulk000")
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "somebodys:1"
    assert reconcile().waiting == []
    assert with_image(memory, OLD) == ["user-bulk000"]


def test_objects_that_another_template_changes_wait_with_their_pod(
    memory: MemoryCluster, settings: Any
) -> None:
    """A port that the running pod does not listen on, and a file that it still reads."""
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{name}--config"},
        "data": {"who": "{username}"},
    }
    settings.USERPODS_ROLLOUT = {"WHEN": "next start"}
    settings.USERPODS_TEMPLATE = template_with(config)
    bulk(1)
    reconcile()
    changed = template_with(VOLUME)
    changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    changed[1]["spec"]["ports"] = [{"port": 81}]
    settings.USERPODS_TEMPLATE = changed
    memory.calls.clear()
    reconcile()
    assert writes(memory) == [("create", "PersistentVolumeClaim", "user-bulk000--data")]
    assert names(memory, CONFIGMAP) == ["user-bulk000--config"]
    lifecycle.restart(UserPod.objects.all())
    reconcile()
    assert service(memory, "user-bulk000")["spec"]["ports"][0]["port"] == 81
    assert names(memory, CONFIGMAP) == []


def test_another_address_of_pods_waits_and_another_service_does_not(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"WHEN": "next start"}
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    bulk(1)
    reconcile()
    settings.USERPODS_URL = "https://{pod}.other.example.org/"
    assert len(reconcile().waiting) == 1
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    assert reconcile().waiting == []
    manifests = template_with()
    settings.USERPODS_TEMPLATE = manifests
    lifecycle.restart(UserPod.objects.all())
    reconcile()
    manifests[1]["spec"]["ports"] = [{"port": 81}]
    assert reconcile().waiting == []
    assert service(memory, "user-bulk000")["spec"]["ports"][0]["port"] == 81


def test_without_the_setting_nobody_waits_any_more(waiting: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_ROLLOUT = None
    reconcile()
    assert len(with_image(waiting)) == 5
    assert turns() == {}
