"""The test cluster does what the tests that use it rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.testcluster.controlplane import ControlPlane
from tests.testcluster.processes import MARK, marked, wait_for

if TYPE_CHECKING:
    from tests.testcluster.cluster import Cluster

pytest_plugins = ["tests.testcluster.fixtures"]
pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]


def deployment(name: str, replicas: int = 1, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {
                    "labels": {"app": name},
                    "annotations": {f"testcluster/{key}": to for key, to in annotations.items()},
                },
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "app",
                            "image": "nothing:1",
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                },
            },
        },
    }


def put(cluster: Cluster, namespace: str, *objects: dict[str, Any]) -> None:
    for item in objects:
        item["metadata"]["namespace"] = namespace
    cluster.create(*objects)


def test_pods_of_a_deployment_become_ready(cluster: Cluster, namespace: str) -> None:
    put(cluster, namespace, deployment("web", replicas=3))
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    pods = cluster.get("pods", "-n", namespace)["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3
    assert len({pod["status"]["podIP"] for pod in pods}) == 3


def test_deleting_a_deployment_removes_its_pods(cluster: Cluster, namespace: str) -> None:
    put(cluster, namespace, deployment("web"))
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    cluster.kubectl("delete", "deployment", "web", "-n", namespace)
    wait_for(lambda: not cluster.get("pods", "-n", namespace)["items"], "the pod to go")


@pytest.mark.parametrize(
    ("how", "phase", "reason"),
    [
        ("hang", "Pending", "ContainerCreating"),
        ("crash", "Running", "CrashLoopBackOff"),
        ("image-pull", "Pending", "ImagePullBackOff"),
    ],
)
def test_a_pod_fails_as_annotated(
    cluster: Cluster, namespace: str, how: str, phase: str, reason: str
) -> None:
    if not isinstance(cluster, ControlPlane):
        pytest.skip("SKIPPED ON YOUR CLUSTER: its pods do not pretend")
    put(cluster, namespace, deployment("web", pod=how))

    def status() -> dict[str, Any]:
        items = cluster.get("pods", "-n", namespace)["items"]
        return items[0]["status"] if items else {}

    wait_for(lambda: "containerStatuses" in status(), "the pod's status")
    found = status()
    assert found["phase"] == phase
    assert found["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    assert {"Ready": "False"}.items() <= {
        condition["type"]: condition["status"] for condition in found["conditions"]
    }.items()


def test_the_namespace_refuses_pods_that_are_not_hardened(cluster: Cluster, namespace: str) -> None:
    done = cluster.kubectl("run", "loose", "--image=nothing:1", "-n", namespace, check=False)
    assert done.returncode == 1
    assert "violates PodSecurity" in done.stderr


def test_the_apiserver_can_be_stopped_and_keeps_what_it_had(
    cluster: Cluster, namespace: str
) -> None:
    put(cluster, namespace, deployment("web"))
    cluster.stop_apiserver()
    try:
        down = cluster.kubectl("get", "--raw", "/readyz", check=False)
        assert "refused" in down.stderr
    finally:
        cluster.start_apiserver()
    assert cluster.get("deployment", "web", "-n", namespace)["metadata"]["name"] == "web"
    # The controllers found their way back too.
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")


def test_a_service_account_may_do_what_rbac_grants_and_no_more(
    cluster: Cluster, namespace: str
) -> None:
    for args in (
        ("serviceaccount", "reader"),
        ("role", "reader", "--verb=list", "--resource=services"),
        ("rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader"),
    ):
        cluster.kubectl("create", *args, "-n", namespace)
    reader = cluster.kubeconfig_for(service_account="reader", namespace=namespace)
    assert cluster.kubectl("get", "services", kubeconfig=reader).returncode == 0
    refused = cluster.kubectl("get", "pods", kubeconfig=reader, check=False)
    assert refused.returncode == 1
    assert f"system:serviceaccount:{namespace}:reader" in refused.stderr
    elsewhere = cluster.kubectl("get", "services", "-n=default", kubeconfig=reader, check=False)
    assert "Forbidden" in elsewhere.stderr


def test_nothing_is_left_after_stop_and_two_stand_side_by_side() -> None:
    with ControlPlane() as one, ControlPlane(kwok=False, scheduler=False) as two:
        directories = [one.directory, two.directory]
        assert one.server != two.server
        one.kubectl("create", "namespace", "only-in-one")
        assert two.kubectl("get", "namespace", "only-in-one", check=False).returncode == 1
        assert len(marked(one.directory)) == 5
        assert len(marked(two.directory)) == 3
    for directory in directories:
        assert not directory.exists()
        assert marked(directory) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_however_the_command_ends(number: signal.Signals) -> None:
    env = {key: value for key, value in os.environ.items() if key != MARK}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.testcluster"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        directory = Path(line.removeprefix("export KUBECONFIG=")).parent
        assert len(marked(directory)) == 5
        process.send_signal(number)
        process.wait(30)
    wait_for(lambda: not directory.exists(), f"{directory} to go", 20)
    assert marked(directory) == []
