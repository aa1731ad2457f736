"""The real node does what a Kubernetes node does, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.testcluster import cgroups, images
from tests.testcluster.node import WORKLOAD, NodeCluster
from tests.testcluster.processes import marked, wait_for

pytest_plugins = ["tests.testcluster.fixtures"]
pytestmark = pytest.mark.node


def pod(name: str, *, image: str = WORKLOAD, **labels: str) -> list[dict[str, Any]]:
    """A hardened Pod and its Service, both called *name*."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name, **labels}},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": True,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "app",
                        "image": image,
                        "imagePullPolicy": "Never",
                        "env": [{"name": "USERPODS_NAME", "value": name}],
                        "readinessProbe": {
                            "httpGet": {"path": "/healthz", "port": 8000},
                            "periodSeconds": 1,
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8000}]},
        },
    ]


PAGE = "healthy\n"
_SERVE = """
import http.server, sqlparse
http.server.test(http.server.SimpleHTTPRequestHandler, port=8000)
"""


class Pods:
    """Pods in one namespace, and what they can reach."""

    def __init__(self, cluster: NodeCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def put(self, *objects: dict[str, Any]) -> None:
        for item in objects:
            item["metadata"]["namespace"] = self.namespace
        self.cluster.apply(*objects)

    def wait(self, *names: str) -> None:
        pods = [f"pod/{name}" for name in names]
        command = ("wait", "--for=condition=Ready", "--timeout=60s", "-n", self.namespace)
        self.cluster.kubectl(*command, *pods)
        # Ready is what the API server knows; kube-proxy hears of it a moment later.
        for name in names:
            # With the namespace, because to a pod its bare name is its own address.
            url = f"http://{name}.{self.namespace}/"
            wait_for(partial(self._answers, names[0], url), url, 10)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.cluster.get(kind, name, "-n", self.namespace)

    def run(self, source: str, *args: str) -> subprocess.CompletedProcess[str]:
        command = ("exec", "-n", self.namespace, source, "--", "/workload", *args)
        return self.cluster.kubectl(*command, check=False)

    def _answers(self, source: str, url: str) -> bool:
        return self.run(source, "fetch", url).returncode == 0

    def reaches(self, source: str, url: str) -> bool:
        """Whether the pod *source* gets an answer from *url* within three seconds."""
        done = self.run(source, "fetch", url)
        assert done.returncode == 0 or "context deadline exceeded" in done.stderr, done.stderr
        return done.returncode == 0


@pytest.fixture
def pods(node_cluster: NodeCluster, node_namespace: str) -> Pods:
    return Pods(node_cluster, node_namespace)


def test_a_service_answers_this_machine_and_other_pods_by_name(pods: Pods) -> None:
    pods.put(*pod("web"), *pod("client"))
    pods.wait("web", "client")
    address = pods.get("service", "web")["spec"]["clusterIP"]
    with urlopen(f"http://{address}/", timeout=5) as answer:
        assert json.load(answer)["name"] == "web"
    assert json.loads(pods.run("client", "fetch", "http://web/").stdout)["name"] == "web"
    full = f"web.{pods.namespace}.svc.cluster.local"
    assert pods.run("client", "resolve", full).stdout.strip() == f"[{address}]"
    assert "no such host" in pods.run("client", "resolve", "nobody").stderr


def test_logs_and_exec_work(pods: Pods) -> None:
    pods.put(*pod("web"))
    pods.wait("web")
    logs = pods.cluster.kubectl("logs", "web", "-n", pods.namespace).stdout
    assert "listening on" in logs
    assert json.loads(pods.run("web", "fetch", "http://localhost:8000/x").stdout)["path"] == "/x"


def test_a_network_policy_admits_the_router_and_nobody_else(pods: Pods) -> None:
    pods.put(*pod("alice"), *pod("bob"), *pod("router", role="router"))
    pods.wait("alice", "bob", "router")
    assert pods.reaches("bob", "http://alice/")
    pods.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "alice"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "alice"}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"role": "router"}}}]}],
            },
        }
    )
    wait_for(lambda: not pods.reaches("bob", "http://alice/"), "the policy to hold", 20)
    address = pods.get("pod", "alice")["status"]["podIP"]
    assert not pods.reaches("bob", f"http://{address}:8000/")
    assert pods.reaches("router", "http://alice/")
    assert pods.reaches("router", f"http://{address}:8000/")
    # Others are as they were, this machine is a stranger, and the kubelet's probes go on.
    assert pods.reaches("alice", "http://bob/")
    with pytest.raises(OSError, match="timed out"):
        urlopen(f"http://{address}:8000/", timeout=2)
    time.sleep(4)
    conditions = pods.get("pod", "alice")["status"]["conditions"]
    assert [item["status"] for item in conditions if item["type"] == "Ready"] == ["True"]


def test_a_network_policy_keeps_a_pod_from_the_api_server(pods: Pods) -> None:
    pods.put(*pod("alice"), *pod("bob"))
    pods.wait("alice", "bob")
    server = f"{pods.cluster.network.services.rsplit('.', 1)[0]}.1"
    # It answers, though not with a certificate that this pod knows.
    assert "x509" in pods.run("alice", "fetch", f"https://{server}/").stderr
    pods.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "only-dns"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "alice"}},
                "policyTypes": ["Egress"],
                "egress": [{"ports": [{"port": 5353, "protocol": "UDP"}]}],
            },
        }
    )

    def refused() -> bool:
        return "deadline exceeded" in pods.run("alice", "fetch", f"https://{server}/").stderr

    wait_for(refused, "the policy to hold", 20)
    assert not pods.reaches("alice", "http://bob/")
    assert pods.run("alice", "resolve", "bob").returncode == 0


def test_pods_go_on_while_the_kubelet_restarts(pods: Pods) -> None:
    pods.put(*pod("web"))
    pods.wait("web")
    before = pods.get("pod", "web")["status"]["containerStatuses"][0]
    address = pods.get("service", "web")["spec"]["clusterIP"]
    pods.cluster.restart_kubelet()
    for _ in range(20):
        with urlopen(f"http://{address}/", timeout=2) as answer:
            assert answer.status == 200
        time.sleep(0.1)
    pods.put(*pod("later"))
    pods.wait("later", "web")
    after = pods.get("pod", "web")["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)


def test_no_connection_suffers_from_pods_that_come_and_go(pods: Pods) -> None:
    allow = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "all"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    }
    pods.put(allow, *pod("web"))
    pods.wait("web")
    address = pods.get("service", "web")["spec"]["clusterIP"]
    took: list[float] = []
    over = threading.Event()

    def connect() -> None:
        while not over.wait(0.002):
            started = time.monotonic()
            socket.create_connection((address, 80), timeout=10).close()
            took.append(time.monotonic() - started)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        for number in range(5):
            come = f"come{number}"
            pods.put(*pod(come))
            pods.wait(come)
            pods.cluster.kubectl("delete", f"pod/{come}", f"service/{come}", "-n", pods.namespace)
    finally:
        over.set()
        thread.join()
    # A second is what TCP waits before it sends the first packet of a connection again.
    assert len(took) > 500
    assert max(took) < 1.0, sorted(took)[-10:]


def test_a_debian_image_has_packages_python_distributions_and_files(pods: Pods) -> None:
    archive = images.debian_image(
        "localhost/debian-test:1",
        packages=["python3"],
        pip=["sqlparse==0.5.3"],
        files={
            "/srv/serve.py": _SERVE,
            "/srv/healthz": PAGE,
        },
        config=images.Config(entrypoint=["python3", "/srv/serve.py"], workdir="/srv"),
    )
    pods.cluster.load_image(archive)
    pods.put(*pod("client"), *pod("debian", image="localhost/debian-test:1"))
    pods.wait("client", "debian")
    address = pods.get("service", "debian")["spec"]["clusterIP"]
    with urlopen(f"http://{address}/healthz", timeout=5) as answer:
        assert answer.read().decode() == PAGE


def test_two_nodes_stand_side_by_side_and_nothing_is_left(node_cluster: NodeCluster) -> None:
    with NodeCluster() as other:
        assert other.network != node_cluster.network
        there = Pods(other, "default")
        there.put(*pod("web"))
        there.wait("web")
        address = there.get("service", "web")["spec"]["clusterIP"]
        with urlopen(f"http://{address}/", timeout=5) as answer:
            assert json.load(answer)["name"] == "web"
        directory, network = other.directory, other.network
        assert traces(directory, network.number)
    wait_for(lambda: not traces(directory, network.number), "the node to be gone", 20)
    # The first one did not notice.
    assert "coredns" in node_cluster.kubectl("get", "pods", "-A").stdout


@pytest.mark.usefixtures("node_cluster")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_the_command_ends(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.testcluster", "--node"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        directory = Path(line.removeprefix("export KUBECONFIG=")).parent
        server = json.loads((directory / "admin.kubeconfig").read_text())["clusters"][0]["cluster"]
        number = int(server["server"].split(".")[1])
        assert len(traces(directory, number)) > 10
        process.send_signal(how)
        process.wait(30)
    wait_for(lambda: not traces(directory, number), "the node to be gone", 20)


def traces(directory: Path, number: int) -> list[str]:
    """What there is on this machine of the run in *directory* with network *number*."""
    found = [f"process {pid}" for pid in marked(directory)]
    found += [
        line for line in Path("/proc/mounts").read_text().splitlines() if directory.name in line
    ]
    routes = ["ip", "-4", "route", "show", "table", "all"]
    for command in (routes, ["ip", "link"], ["iptables-save"], ["nft", "list", "ruleset"]):
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found += [line for line in out.splitlines() if f"10.{number}." in line]
        found += [line for line in out.splitlines() if f"userpods{number}" in line]
    found += [str(path) for path in cgroups.paths(directory.name)]
    return found + ([str(directory)] if directory.exists() else [])
