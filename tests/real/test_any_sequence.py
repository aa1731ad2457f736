"""Any sequence of what may happen, on a real API server behind a proxy that misbehaves."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref
from tests import faults, sequences
from tests.faultproxy import FaultProxy
from tests.real.project import use_cluster

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]

KINDS = [DEPLOYMENT, SERVICE, Kind("v1", "ConfigMap"), Kind("v1", "PersistentVolumeClaim")]
#: What the cluster itself puts into every namespace.
ITS_OWN = "kube-root-ca.crt"
METHODS = {"list": "GET", "get": "GET", "create": "POST", "apply": "PATCH", "delete": "DELETE"}
FAULTS = {
    "503": faults.status(503, reason="ServiceUnavailable"),
    "409": faults.status(409, reason="Conflict"),
    "403": faults.status(403, reason="Forbidden", message="cannot do that in this test"),
    "422": faults.status(422, reason="Invalid", message="spec.x: Invalid value"),
    # The deed is done, and nobody hears of it.
    "lost": faults.reset(carried_out=True),
}


class InterruptedKubernetes(sequences.Interrupted, KubernetesCluster):
    """A real cluster in the midst of whose calls something happens."""

    in_tests = True


class Really(sequences.Place):
    """A namespace for each sequence; no pod is admitted there, so there is none to wait for."""

    pods_run = False

    def __init__(self, cluster: Cluster, proxy: FaultProxy, settings: Any) -> None:
        self.cluster, self.proxy, self.settings = cluster, proxy, settings
        self.namespace = ""
        self.other = KubernetesCluster(kubeconfig=cluster.kubeconfig, qps=0)

    def begin(self) -> None:
        self.end()
        self.namespace = f"sequence-{uuid.uuid4().hex[:10]}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": self.namespace, "labels": labels}
        self.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        use_cluster(self.settings, self.proxy.kubeconfig, self.namespace)
        backend = f"{InterruptedKubernetes.__module__}.{InterruptedKubernetes.__qualname__}"
        options = {**self.settings.USERPODS_CLUSTER["OPTIONS"], "concurrency": 1}
        self.settings.USERPODS_CLUSTER = {
            "BACKEND": backend,
            "OPTIONS": options,
            "IN_TESTS": True,
        }

    def end(self) -> None:
        if self.namespace:
            self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")
            self.namespace = ""

    def create(self, manifest: Manifest) -> None:
        self.other.create(manifest)

    def objects(self) -> dict[Ref, Manifest]:
        found = [
            item
            for kind in KINDS
            for item in self.other.list(kind, namespace=self.namespace, labels={})
        ]
        return {Ref.of(item): item for item in found if item["metadata"]["name"] != ITS_OWN}

    def change(self, ref: Ref, patch: dict[str, Any]) -> None:
        words = ("-n", ref.namespace, "patch", ref.kind.kind, ref.name, "--type=merge")
        self.cluster.kubectl(*words, "-p", json.dumps(patch))

    def remove(self, ref: Ref) -> None:
        self.other.delete(ref, uid=self.objects()[ref]["metadata"]["uid"])

    def refuse(self, fault: str, verb: str | None, times: int) -> None:
        query = "labelSelector" if verb == "list" else ""
        method = METHODS[verb] if verb else None
        self.proxy.on(FAULTS[fault], method=method, query=query, path="/namespaces/", times=times)

    def heal(self) -> None:
        self.proxy.clear()


class Machine(sequences.Sequences):
    """On a real API server."""


@pytest.mark.timeout(3600)
def test_any_sequence_ends_in_what_the_database_says(cluster: Cluster, settings: Settings) -> None:
    with FaultProxy(cluster.kubeconfig) as proxy:
        settings.USERPODS_TEMPLATE = None  # begins the overriding that the test's end takes back
        place = Machine.place = Really(cluster, proxy, sequences.PlainSettings())
        try:
            sequences.run(Machine, examples=100, steps=8)
        finally:
            place.end()
