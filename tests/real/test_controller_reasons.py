"""Why a pod is not up, where that takes a node that is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.core.reasons import Reason, reason_of
from django_userpods.models import UserPod
from tests.real.controllers import until
from tests.real.faulty_site import LONG, agreed, make
from tests.testcluster.external import ExternalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real.controllers import Site
    from tests.real.faulty_site import Leaders
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

NODE, KEY = "lost", "example.org/lost"


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    """A node without a kubelet, to which nobody goes who does not want to."""
    if isinstance(cluster, ExternalCluster):
        pytest.skip("a cluster that others use is given no node")
    capacity = {"cpu": "8", "memory": "16Gi", "ephemeral-storage": "16Gi", "pods": "10"}
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE, "labels": {KEY: "yes"}},
            "spec": {"taints": [{"key": KEY, "effect": "NoSchedule"}]},
            "status": {
                **dict.fromkeys(("capacity", "allocatable"), capacity),
                "conditions": [condition("Ready")],
            },
        }
    )

    def is_open() -> bool:
        taints = cluster.get("node", NODE)["spec"].get("taints", [])
        return [taint["key"] for taint in taints] == [KEY]

    until(is_open, LONG, "a node that takes pods")
    yield NODE
    on_it = ("--all-namespaces", f"--field-selector=spec.nodeName={NODE}")
    for pod in cluster.get("pods", *on_it)["items"]:
        delete = ("delete", "pod", pod["metadata"]["name"], "-n", pod["metadata"]["namespace"])
        cluster.kubectl(*delete, "--force", "--grace-period=0")
    cluster.kubectl("delete", "node", NODE)


def condition(kind: str) -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": "AsATestSays"}


def test_a_pod_whose_node_is_lost_says_so_until_another_runs(
    here: Site, cluster: Cluster, leader: Leaders, node: str
) -> None:
    leader()
    make("alice")
    until(agreed(here, "alice"), LONG)
    preferred = {
        "weight": 100,
        "preference": {"matchExpressions": [{"key": KEY, "operator": "Exists"}]},
    }
    affinity = {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}
    # Nobody's fields but whose who adds them. Elsewhere its container will not come up.
    template = {
        "metadata": {"annotations": {"testcluster/pod": "hang"}},
        "spec": {
            "tolerations": [{"key": KEY, "operator": "Exists"}],
            "affinity": {"nodeAffinity": affinity},
        },
    }
    on = ("deployment", "user-alice", "-n", here.namespace)
    cluster.kubectl("patch", *on, "-p", json.dumps({"spec": {"template": template}}))

    def there() -> str:
        pods = cluster.get("pods", "-n", here.namespace)["items"]
        names = [it["metadata"]["name"] for it in pods if it["spec"].get("nodeName") == node]
        return names[0] if len(pods) == len(names) == 1 else ""

    until(there, LONG, "a pod on that node")
    pod = ("pod", there(), "-n", here.namespace)
    # What its kubelet would say.
    conditions = [condition(kind) for kind in ("Initialized", "ContainersReady", "Ready")]
    status = {"phase": "Running", "conditions": conditions}
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", *pod, "--subresource=status", "-p", patch)
    until(lambda: UserPod.objects.get().state == "running", LONG, "a pod that runs")

    # As whoever knows that a node will not come back says it (Kubernetes, "Node Shutdowns").
    cluster.kubectl("taint", "node", node, "node.kubernetes.io/out-of-service=lost:NoExecute")

    def is_said() -> bool:
        row = UserPod.objects.get()
        return row.state == "starting" and reason_of(row.message) is Reason.NODE

    until(is_said, LONG, "a word about it")
    assert "DeletionByTaintManager" in UserPod.objects.get().message
    well = [{"op": "remove", "path": "/spec/template/metadata/annotations/testcluster~1pod"}]
    cluster.kubectl("patch", *on, "--type=json", "-p", json.dumps(well))
    cluster.kubectl("delete", *pod, "--force", "--grace-period=0")
    until(agreed(here, "alice"), LONG)
    assert UserPod.objects.get().message == ""
