"""A template that changes in ways that an API server has opinions about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User

from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import template_with
from tests.real.project import deployment

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]


def autoscaler(version: str, **spec: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "{name}"}
    return {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "{name}--scale"},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 2, **spec},
    }


def job(image: str) -> dict[str, Any]:
    containers = [{"name": "once", "image": image}]
    pod = {"spec": {"containers": containers, "restartPolicy": "Never"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "{name}--once"},
        "spec": {"template": pod},
    }


def test_an_object_of_another_api_version_is_the_same_object(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    settings.USERPODS_TEMPLATE = template_with(autoscaler("v1", targetCPUUtilizationPercentage=80))
    User.objects.create_user("alice")
    assert reconcile().ok
    before = cluster.get("hpa", "user-alice--scale", "-n", real)
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    settings.USERPODS_TEMPLATE = template_with(autoscaler("v2", metrics=[metric]))
    for number in range(3):
        report = reconcile()
        assert report.ok
        assert report.counts()["deleted"] == 0
        assert report.counts()["created"] == 0
        assert number == 0 or report.done == []
    after = cluster.get("hpa", "user-alice--scale", "-n", real)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert "autoscaling/v1/" not in UserPod.objects.get().kinds


def defined(name: str) -> dict[str, Any]:
    """Return the definition of a kind that has two versions, of which the second is stored."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions: list[dict[str, Any]] = [
        {"name": version, "served": True, "storage": version == "v2"} for version in ("v1", "v2")
    ]
    for version in versions:
        version["schema"] = {"openAPIV3Schema": anything}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}s.versions.example.org"},
        "spec": {
            "group": "versions.example.org",
            "scope": "Namespaced",
            "names": {"plural": f"{name}s", "singular": name, "kind": name.capitalize()},
            "versions": versions,
        },
    }


def test_an_object_of_another_version_of_a_custom_kind_is_the_same_object(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    cluster.create(defined("shelf"))
    crd = "crd/shelfs.versions.example.org"
    cluster.kubectl("wait", "--for=condition=Established", crd, "--timeout=60s")
    try:

        def shelf(version: str) -> dict[str, Any]:
            return {
                "apiVersion": f"versions.example.org/{version}",
                "kind": "Shelf",
                "metadata": {"name": "{name}--shelf"},
                "spec": {"boards": int(version[1:])},
            }

        settings.USERPODS_TEMPLATE = template_with(shelf("v1"))
        User.objects.create_user("alice")
        assert reconcile().ok
        before = cluster.get("shelf", "user-alice--shelf", "-n", real)
        settings.USERPODS_TEMPLATE = template_with(shelf("v2"))
        for number in range(3):
            report = reconcile()
            assert report.ok
            assert report.counts()["deleted"] == report.counts()["created"] == 0
            assert number == 0 or report.done == []
        after = cluster.get("shelf", "user-alice--shelf", "-n", real)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["spec"] == {"boards": 2}
    finally:
        cluster.kubectl("delete", crd)


def kinds_that_are_not_there(user: User) -> list[dict[str, Any]]:
    """Return a template that has for one user what no cluster has."""
    if user.username != "bob":
        return template_with()
    return template_with(
        {
            "apiVersion": "nowhere.example.org/v1",
            "kind": "Nothing",
            "metadata": {"name": "{name}--nothing"},
        }
    )


def test_a_kind_that_the_cluster_lacks_fails_who_has_it_alone(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    settings.USERPODS_TEMPLATE = f"{__name__}.kinds_that_are_not_there"
    for name in ("alice", "bob", "carol"):
        User.objects.create_user(name)
    report = reconcile()
    assert [failure.name for failure in report.failed] == ["user-bob"]
    assert "Nothing" in report.failed[0].message
    deployments = cluster.get("deployments", "-n", real)["items"]
    names = {item["metadata"]["name"] for item in deployments}
    assert {"user-alice", "user-carol"} <= names


def test_a_changed_job_is_replaced_and_the_rest_goes_on(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    settings.USERPODS_TEMPLATE = template_with(job("example.org/once:1"))
    User.objects.create_user("alice")
    assert reconcile().ok
    before = cluster.get("job", "user-alice--once", "-n", real)
    changed = template_with(job("example.org/once:2"))
    changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    settings.USERPODS_TEMPLATE = changed
    reconcile()
    pod = deployment(cluster, real, "user-alice")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "a:2"
    reconcile()
    after = cluster.get("job", "user-alice--once", "-n", real)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    image = after["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "example.org/once:2"
    assert reconcile().done == []
