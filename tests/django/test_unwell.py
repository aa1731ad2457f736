"""Pods that do not come up: the reason reaches the row, in words a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from django_userpods.core.objects import SERVICE, Kind, Ref
from django_userpods.exceptions import NotFound, TemplateError
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import MemoryCluster
from tests.django.support import bulk, deployment, pairs, row, service, template_with
from tests.factories import UserFactory

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db

WIDGET = {
    "apiVersion": "example.org/v1",
    "kind": "Widget",
    "metadata": {"name": "{name}--widget"},
    "spec": {"size": 1},
}


def not_ready(memory: MemoryCluster, name: str, **status: Any) -> None:
    deployment(memory, name)["status"].update({"readyReplicas": 0, **status})


def add_pod(memory: MemoryCluster, name: str, reason: str) -> None:
    waiting = {"reason": reason, "message": f"about {name}"}
    put_pod(memory, name, containerStatuses=[{"state": {"waiting": waiting}}])


def put_pod(memory: MemoryCluster, name: str, **status: Any) -> None:
    labels = deployment(memory, name)["metadata"]["labels"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-x", "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "a"}]},
    }
    memory.create(pod)
    memory.objects[Ref.of(pod)]["status"] = status


def unschedulable(message: str) -> dict[str, Any]:
    said = {"reason": "Unschedulable", "message": message}
    return {"type": "PodScheduled", "status": "False", **said}


@pytest.mark.parametrize("count", [1, 8])
def test_a_row_says_why_its_pod_does_not_start(memory: MemoryCluster, count: int) -> None:
    some = bulk(count)
    reconcile()
    for number in range(count):
        not_ready(memory, f"user-bulk{number:03}")
        add_pod(memory, f"user-bulk{number:03}", "ImagePullBackOff")
    memory.calls.clear()
    assert reconcile().ok
    for number, user in enumerate(some):
        found = row(user)
        assert found.state == UserPod.State.FAILED
        assert found.message == f"ImagePullBackOff: about user-bulk{number:03}"
    # Few are asked for one by one, many in one list.
    assert len([call for call in memory.calls if call.kind.kind == "Pod"]) == 1


UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."


@pytest.mark.parametrize(
    ("status", "message", "standing", "plain"),
    [
        (
            {"phase": "Failed", "reason": "Evicted", "message": "Low on memory."},
            "Evicted: Low on memory.",
            "starting",
            "It had to leave the machine that it ran on.",
        ),
        (
            {"phase": "Pending", "conditions": [unschedulable(UNBOUND)]},
            f"Unschedulable: {UNBOUND}",
            "starting",
            "Its storage is not ready yet.",
        ),
        (
            {"phase": "Pending", "conditions": [unschedulable("0/1 nodes are available")]},
            "Unschedulable: 0/1 nodes are available",
            "failed",
            "There is no room for it at the moment.",
        ),
    ],
)
def test_who_waits_is_told_of_a_failure_only_where_waiting_is_in_vain(
    memory: MemoryCluster, status: dict[str, Any], message: str, standing: str, plain: str
) -> None:
    user = UserFactory(username="alice")
    reconcile()
    not_ready(memory, "user-alice")
    put_pod(memory, "user-alice", **status)
    reconcile()
    found = row(user)
    assert (found.state, found.message) == (UserPod.State.STARTING, message)
    assert (found.standing, found.plain_message) == (standing, plain)


def test_what_is_left_of_an_evicted_pod_is_not_asked_for_beside_one_that_runs(
    memory: MemoryCluster,
) -> None:
    user = UserFactory(username="alice")
    reconcile()
    put_pod(memory, "user-alice", phase="Failed", reason="Evicted", message="Low on memory.")
    memory.calls.clear()
    assert reconcile().ok
    assert (row(user).state, row(user).message) == (UserPod.State.RUNNING, "")
    assert "Pod" not in {call.kind.kind for call in memory.calls}


def test_a_pod_that_is_well_again_is_running_without_a_word(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    not_ready(memory, "user-alice")
    add_pod(memory, "user-alice", "CrashLoopBackOff")
    reconcile()
    assert row(user).state == UserPod.State.FAILED
    deployment(memory, "user-alice")["status"]["readyReplicas"] = 1
    reconcile()
    assert (row(user).state, row(user).message) == (UserPod.State.RUNNING, "")


def test_a_quota_that_is_used_up_is_on_the_row(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "exceeded quota: small",
    }
    not_ready(memory, "user-alice", conditions=[condition])
    reconcile()
    assert row(user).message == "FailedCreate: exceeded quota: small"
    assert row(user).state == UserPod.State.FAILED


def test_objects_that_a_finalizer_holds_are_waited_for(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = UserFactory(username="alice")
    reconcile()
    user.delete()
    monkeypatch.setattr(MemoryCluster, "delete", lambda *_, **__: None)
    assert reconcile(allow_mass_delete=True).ok
    # Asked to go, and not gone yet: the row stays, and says so.
    assert UserPod.objects.get().state == UserPod.State.DELETING
    monkeypatch.undo()
    assert reconcile().ok
    assert not memory.objects
    assert not UserPod.objects.exists()


def test_a_service_that_loses_its_address_keeps_the_rows(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    assert reconcile().ok
    address = row(user).address
    assert address is not None
    # As with a cluster whose addresses are used up: there is a Service, and no way to it yet.
    service(memory, "user-alice")["spec"]["clusterIP"] = ""
    assert reconcile().done == []
    assert row(user).address == address


def test_a_service_that_never_has_an_address_is_refused(
    memory: MemoryCluster, settings: Any
) -> None:
    UserFactory(username="alice")
    manifests = template_with()
    manifests[1]["spec"]["clusterIP"] = "None"
    settings.USERPODS_TEMPLATE = manifests
    with pytest.raises(TemplateError, match="no address for the router"):
        reconcile()
    assert memory.objects == {}


def test_a_kind_whose_api_is_gone_stops_those_that_still_want_it(
    memory: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_TEMPLATE = template_with(WIDGET)
    UserFactory(username="alice")
    assert reconcile().ok
    original = MemoryCluster.list

    def without(self: MemoryCluster, kind: Kind, **arguments: Any) -> Any:
        if kind.kind == "Widget":
            raise NotFound("the server does not know the kind Widget", status=404)
        return original(self, kind, **arguments)

    monkeypatch.setattr(MemoryCluster, "list", without)
    # While a template makes it, it is missed; afterwards it is not.
    with pytest.raises(NotFound, match="Widget"):
        reconcile()
    settings.USERPODS_TEMPLATE = template_with()
    assert reconcile().ok


def test_a_template_from_a_yaml_file_is_read_anew_when_it_changes(
    memory: MemoryCluster, settings: Any, tmp_path: Path
) -> None:
    import os

    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump_all(template_with()))
    settings.USERPODS_TEMPLATE = str(path)
    UserFactory(username="alice")
    assert reconcile().ok
    assert pairs(memory) == ["user-alice"]
    manifests = template_with()
    manifests[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    path.write_text(yaml.safe_dump_all(manifests))
    os.utime(path, (1, 1))
    # The Deployment alone: what the file says of the Service is what it said before.
    assert reconcile().counts()["updated"] == 1
    assert UserPod.objects.get().image == "a:2"


def test_the_address_has_a_services_first_port_whatever_its_type(
    memory: MemoryCluster, settings: Any
) -> None:
    manifests = template_with()
    manifests[1]["spec"] = {
        "type": "NodePort",
        "ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 9100}],
    }
    settings.USERPODS_TEMPLATE = manifests
    user = UserFactory(username="alice")
    assert reconcile().ok
    assert str(row(user).address).endswith(":80")
    assert reconcile().done == []
    assert len([ref for ref in memory.objects if ref.kind == SERVICE]) == 1
