"""A rollout against a real API server, whose controllers replace pods as they do."""

from __future__ import annotations

import copy
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User

from django_userpods.cluster import get_cluster
from django_userpods.core.health import of_update
from django_userpods.core.objects import DEPLOYMENT, Kind
from django_userpods.core.states import State
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.real.controllers import site, until
from tests.real.project import deployment
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from pathlib import Path

    from django_userpods.core.objects import Manifest
    from tests.testcluster.cluster import Cluster

# Longer than what is waited for on a busy machine, which then says what did not come.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

LONG = 60.0
NEW = "example.org/app:2"
NAMES = [f"u{number}" for number in range(6)]


def container(found: Manifest) -> Manifest:
    one: Manifest = found["spec"]["template"]["spec"]["containers"][0]
    return one


def all_run() -> bool:
    reconcile()
    rows = UserPod.objects.values_list("state", "turn")
    return all(row == ("running", "") for row in rows)


def test_a_controller_updates_no_more_at_once_than_it_may(
    tmp_path: Path, cluster: Cluster, django_db_setup: None, django_db_blocker: Any
) -> None:
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    with django_db_blocker.unblock(), site(tmp_path, cluster.kubeconfig, namespace) as here:
        for name in NAMES:
            User.objects.create(username=name)
        until(all_run, LONG, "six pods", every=0.2)
        settings = f"USERPODS_IMAGE = {NEW!r}\nUSERPODS_ROLLOUT = {{'MAX_UNREADY': 2}}\n"
        controller = here.start(cluster.kubeconfig, settings=settings)
        most = 0

        def all_updated() -> bool:
            nonlocal most
            found = list(get_cluster().list(DEPLOYMENT, namespace=namespace, labels={}))
            new = [item for item in found if container(item)["image"] == NEW]
            under_way = [item for item in new if of_update(item).state != State.RUNNING]
            most = max(most, len(under_way))
            return len(new) == len(NAMES) and not under_way

        until(all_updated, LONG, "all with another image")
        until(lambda: not UserPod.objects.exclude(turn="").exists(), LONG, "the end of it")
        assert most <= 2
        assert controller.end() == 0, controller.text
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.django_db(transaction=True)
def test_a_pod_that_waits_has_its_replicas_back_and_then_nothing_of_the_old_template(
    real: str, cluster: Cluster, settings: Any
) -> None:
    """What is put back beside an old pod template is sent with that, which is to leave no trace."""
    settings.USERPODS_ENV = {"OLD": "1"}
    settings.USERPODS_ROLLOUT = {"WHEN": "next start"}
    User.objects.create(username="alice")
    until(all_run, LONG, "a pod", every=0.2)
    before = deployment(cluster, real, "user-alice")
    settings.USERPODS_IMAGE, settings.USERPODS_ENV = NEW, {}
    cluster.kubectl("scale", "deployment", "user-alice", "--replicas=3", "-n", real)
    report = reconcile()
    assert (report.ok, report.waiting, report.overruled) == (True, ["user-alice"], [])
    after = deployment(cluster, real, "user-alice")
    assert after["spec"] == before["spec"]
    assert reconcile().done == []
    settings.USERPODS_ROLLOUT = None
    assert reconcile().ok
    found = container(deployment(cluster, real, "user-alice"))
    assert found["image"] == NEW
    assert "OLD" not in {item["name"] for item in found["env"]}
    assert reconcile().done == []


@pytest.mark.django_db(transaction=True)
def test_pods_that_fit_nowhere_stop_it_and_the_rest_run_on(
    real: str, cluster: Cluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    settings.USERPODS_CUSTOMIZE = lambda manifests, _user: manifests
    for name in NAMES[:4]:
        User.objects.create(username=name)
    until(all_run, LONG, "four pods", every=0.2)

    def customize(manifests: list[Manifest], _user: Any) -> list[Manifest]:
        spec = next(item["spec"] for item in manifests if item["kind"] == "Deployment")
        spec["progressDeadlineSeconds"] = 1
        spec["template"]["spec"]["nodeSelector"] = {"nowhere": "at-all"}
        return manifests

    settings.USERPODS_CUSTOMIZE = customize
    until(lambda: reconcile().stopped, LONG, "a stop", every=0.2)
    turns = sorted(UserPod.objects.values_list("turn", flat=True))
    assert turns == ["failed", "failed", "waiting", "waiting"]
    assert {row.state for row in UserPod.objects.filter(turn="waiting")} == {"running"}
    settings.USERPODS_CUSTOMIZE = lambda manifests, _user: manifests
    until(all_run, LONG, "the end of it", every=0.2)


@pytest.mark.django_db(transaction=True)
def test_a_stateful_set_beside_the_deployment_is_updated_in_waves(
    real: str, cluster: Cluster, settings: Any
) -> None:
    """While its earlier pod ends the API server still counts that as ready."""
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1, "MAX_FAILURES": 1}
    image = ["example.org/db:1"]

    def customize(manifests: list[Manifest], _user: Any) -> list[Manifest]:
        found = next(item for item in manifests if item["kind"] == "Deployment")
        template = copy.deepcopy(found["spec"]["template"])
        template["spec"]["containers"][0]["image"] = image[-1]
        template["metadata"]["labels"] = {}
        name = f"{found['metadata']['name']}--db"
        spec = {"replicas": 1, "serviceName": name, "template": template}
        kind = {"apiVersion": "apps/v1", "kind": "StatefulSet"}
        return [*manifests, {**kind, "metadata": {"name": name}, "spec": spec}]

    settings.USERPODS_CUSTOMIZE = customize
    for name in NAMES[:2]:
        User.objects.create(username=name)
    until(all_run, LONG, "two pods", every=0.2)
    image.append("example.org/db:2")
    most = 0

    def all_updated() -> bool:
        nonlocal most
        reconcile()
        kind = Kind("apps/v1", "StatefulSet")
        found = list(get_cluster().list(kind, namespace=real, labels={}))
        new = [item for item in found if container(item)["image"] == image[-1]]
        through = [item for item in new if item["status"].get("updatedReplicas", 0) == 1]
        most = max(most, len(new) - len(through))
        return len(through) == len(found) == 2 and not UserPod.objects.exclude(turn="").exists()

    until(all_updated, LONG, "both with another image", every=0.2)
    assert most <= 1
