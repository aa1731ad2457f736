"""Volume claims on a real API server: one that was enlarged by hand is left as large as it is."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User

from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import template_with
from tests.real.project import deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def storage(real: str, cluster: Cluster) -> Iterator[str]:
    """A class whose volumes can grow, with one volume; both named after the namespace."""
    cluster.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": real},
            "provisioner": "kubernetes.io/no-provisioner",
            "allowVolumeExpansion": True,
        }
    )
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": real},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "10Gi"},
                "hostPath": {"path": "/nowhere"},
                "storageClassName": real,
            },
        }
    )
    yield real
    cluster.kubectl("delete", "storageclass,persistentvolume", real, "--wait=false")


def template(storage: str, *, image: str = "a:1", size: str = "1Gi") -> list[dict[str, Any]]:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "{name}--home"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage,
            "resources": {"requests": {"storage": size}},
        },
    }
    manifests = template_with(claim)
    manifests[0]["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return manifests


def claim_of(cluster: Cluster, namespace: str) -> dict[str, Any]:
    return cluster.get("pvc", "user-ann--home", "-n", namespace)


def enlarge(cluster: Cluster, namespace: str, size: str) -> None:
    change = {"spec": {"resources": {"requests": {"storage": size}}}}
    cluster.kubectl("-n", namespace, "patch", "pvc", "user-ann--home", "-p", json.dumps(change))


def test_a_claim_that_was_enlarged_is_left_alone_and_the_image_rolls(
    real: str, cluster: Cluster, settings: Settings, storage: str
) -> None:
    settings.USERPODS_TEMPLATE = template(storage)
    User.objects.create_user("ann")
    reconcile()
    for _ in range(100):
        if claim_of(cluster, real)["status"].get("phase") == "Bound":
            break
        time.sleep(0.1)
    assert claim_of(cluster, real)["status"]["phase"] == "Bound"
    enlarge(cluster, real, "5Gi")
    report = reconcile()
    assert (report.ok, report.done) == (True, [])

    settings.USERPODS_TEMPLATE = template(storage, image="a:2")
    report = reconcile()
    assert report.ok, report.failed
    pod = deployment(cluster, real, "user-ann")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "a:2"
    assert claim_of(cluster, real)["spec"]["resources"]["requests"]["storage"] == "5Gi"
    report = reconcile()
    assert (report.ok, report.done) == (True, [])

    # Larger than that is written; smaller again is what it was.
    settings.USERPODS_TEMPLATE = template(storage, image="a:2", size="7Gi")
    assert reconcile().ok
    assert claim_of(cluster, real)["spec"]["resources"]["requests"]["storage"] == "7Gi"
    settings.USERPODS_TEMPLATE = template(storage, image="a:3", size="2Gi")
    report = reconcile()
    assert report.ok, report.failed
    assert claim_of(cluster, real)["spec"]["resources"]["requests"]["storage"] == "7Gi"
    assert UserPod.objects.get().overruled == ""
    report = reconcile()
    assert (report.ok, report.done) == (True, [])
