"""Kubernetes' control plane as processes on this machine; no root, ready in seconds.

RBAC, admission, server-side apply, garbage collection, quota and Pod Security are the real ones.
Pods do not run: kwok says that they do, as ``kwok/stages.yaml`` has it.
"""

from __future__ import annotations

import secrets
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from tests.testcluster import build
from tests.testcluster.certificates import Authority, service_account_keys
from tests.testcluster.cluster import Cluster, write_kubeconfig
from tests.testcluster.processes import Run, free_port

if TYPE_CHECKING:
    from pathlib import Path

# The default of 20 requests a second would make a test with hundreds of pods wait for minutes.
_RATE = ("--kube-api-qps=1000", "--kube-api-burst=2000")


class ControlPlane(Cluster):
    """etcd and an API server, and as wanted controllers, scheduler and pretended nodes.

    *address* is where the API server listens, *service_cidr* where Services get their addresses
    from, *nodes* how many pretended nodes there are from the start (each takes 20,000 pods).
    """

    def __init__(
        self,
        *,
        controller_manager: bool = True,
        scheduler: bool = True,
        kwok: bool = True,
        nodes: int = 1,
        address: str = "127.0.0.1",
        service_cidr: str = "10.96.0.0/16",
    ) -> None:
        self.token = secrets.token_urlsafe(24)
        self._parts = (controller_manager, scheduler, kwok)
        self._nodes = nodes
        self._address = address
        self._service_cidr = service_cidr
        self._run: Run | None = None
        self._fakes = 0

    @property
    def run(self) -> Run:
        """The processes, of which ``log(name)`` tells what they said."""
        assert self._run, "the cluster is not started"
        return self._run

    @property
    def directory(self) -> Path:
        return self.run.directory

    def start(self) -> None:
        """Start everything; returns when the API server and the wanted nodes are ready.

        Raises ``build.BuildError`` or ``StartError``, and leaves nothing behind if it does.
        """
        self._binary = build.binary("kubernetes")
        self._kwok_binary = build.binary("kwok") if self._parts[2] else None
        self._run = Run()
        try:
            self._place()
            self._prepare()
            self._start_etcd()
            self.start_apiserver()
            self._start_rest()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._run:
            self._run.close()
            self._run = None

    def restart_apiserver(self) -> None:
        self.stop_apiserver()
        self.start_apiserver()

    def stop_apiserver(self) -> None:
        # Watches would keep it from ending for a minute; ordinary requests take no second.
        self.run.stop("kube-apiserver", grace=2)

    def start_apiserver(self) -> None:
        self.run.start("kube-apiserver", self._apiserver_command())
        self.run.wait_ready("kube-apiserver", self._answers)

    def kubectl_command(self) -> list[str]:
        return [str(self._binary), "kubectl"]

    @property
    def bin_dir(self) -> Path:
        """A directory for ``PATH`` that holds our ``kubectl`` and nothing else."""
        return self.directory / "bin"

    def fake_nodes(self, count: int) -> None:
        assert self._parts[2], "nodes that pretend need kwok"
        names = [f"fake-{self._fakes + index}" for index in range(count)]
        self._fakes += count
        self.create(
            *(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {
                        "name": name,
                        "annotations": {"kwok.x-k8s.io/node": "fake"},
                        "labels": {"kubernetes.io/hostname": name, "type": "fake"},
                    },
                    "status": dict.fromkeys(("capacity", "allocatable"), _CAPACITY),
                }
                for name in names
            )
        )
        self.kubectl(
            "wait", "--for=condition=Ready", "--timeout=60s", *(f"node/{name}" for name in names)
        )

    def _prepare(self) -> None:
        directory = self.directory
        self.server = f"https://{self._address}:{free_port()}"
        self._etcd = f"http://127.0.0.1:{free_port()}"
        authority = Authority(directory)
        self.ca_file = authority.file
        first_service_ip = _first_address(self._service_cidr)
        authority.issue(
            "apiserver",
            "kube-apiserver",
            hosts=[
                self._address,
                "127.0.0.1",
                first_service_ip,
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ],
        )
        self._authority = authority
        service_account_keys(directory)
        tokens = directory / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("".join(f"{line}\n" for line in self._tokens()))
        self.kubeconfig = directory / "admin.kubeconfig"
        write_kubeconfig(
            self.kubeconfig, server=self.server, ca_file=self.ca_file, token=self.token
        )
        self.bin_dir.mkdir()
        (self.bin_dir / "kubectl").symlink_to(self._binary)

    def _start_etcd(self) -> None:
        self.run.start(
            "etcd",
            [
                self._binary,
                "etcd",
                f"--data-dir={self.directory / 'etcd'}",
                f"--listen-client-urls={self._etcd}",
                f"--advertise-client-urls={self._etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{free_port()}",
                # What it holds need not outlive the machine's power.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        )
        self.run.wait_ready("etcd", lambda: _get(f"{self._etcd}/health"))

    def _apiserver_command(self) -> list[str | Path]:
        directory = self.directory
        return [
            self._binary,
            "kube-apiserver",
            f"--etcd-servers={self._etcd}",
            f"--bind-address={self._address}",
            f"--secure-port={self.server.rsplit(':', 1)[1]}",
            f"--advertise-address={self._advertised()}",
            f"--tls-cert-file={directory / 'apiserver.crt'}",
            f"--tls-private-key-file={directory / 'apiserver.key'}",
            f"--client-ca-file={self.ca_file}",
            f"--token-auth-file={directory / 'tokens.csv'}",
            f"--service-account-key-file={directory / 'sa.pub'}",
            f"--service-account-signing-key-file={directory / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={self._service_cidr}",
            "--authorization-mode=Node,RBAC",
            "--profiling=false",
            *self._apiserver_flags(),
        ]

    def _advertised(self) -> str:
        # The address that the Service `kubernetes` leads to may not be a loopback one. Without
        # a node nobody goes there, so it is one that is reserved for examples.
        return "203.0.113.1" if self._address.startswith("127.") else self._address

    def _place(self) -> None:
        """Decide on addresses that can be known only now."""

    def _tokens(self) -> list[str]:
        """Who may come with which token: lines of token, name, id and groups."""
        return [f'{self.token},admin,admin,"system:masters"']

    def _apiserver_flags(self) -> list[str]:
        """More flags for the API server, for a cluster that is more than a control plane."""
        return []

    def _start_rest(self) -> None:
        controller_manager, scheduler, kwok = self._parts
        if controller_manager:
            self._start_controller_manager()
        if scheduler:
            self._start_scheduler()
        if kwok:
            assert self._kwok_binary
            self.run.start(
                "kwok",
                [
                    self._kwok_binary,
                    f"--config={build.HERE / 'kwok' / 'stages.yaml'}",
                    f"--kubeconfig={self.kubeconfig}",
                    "--manage-all-nodes=false",
                    "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                    "--node-ip=203.0.113.2",
                    # Without it kwok renews no lease, and after a minute the node counts as lost.
                    "--node-lease-duration-seconds=40",
                    # Pretended addresses: the range is reserved for benchmarks.
                    "--cidr=198.18.0.0/15",
                ],
            )
            self.fake_nodes(self._nodes)

    def _start_controller_manager(self) -> None:
        self.run.start(
            "kube-controller-manager",
            [
                self._binary,
                "kube-controller-manager",
                f"--kubeconfig={self.kubeconfig}",
                f"--service-account-private-key-file={self.directory / 'sa.key'}",
                f"--root-ca-file={self.ca_file}",
                "--use-service-account-credentials",
                "--leader-elect=false",
                "--secure-port=0",
                # A pretended node whose lease is late, on a busy machine, is not a lost one: its
                # pods would never be Ready again.
                *(["--node-monitor-grace-period=1h"] if self._parts[2] else []),
                "--concurrent-deployment-syncs=20",
                "--concurrent-replicaset-syncs=20",
                *_RATE,
            ],
        )

    def _start_scheduler(self) -> None:
        self.run.start(
            "kube-scheduler",
            [
                self._binary,
                "kube-scheduler",
                f"--kubeconfig={self.kubeconfig}",
                "--leader-elect=false",
                "--secure-port=0",
                *_RATE,
            ],
        )

    def _answers(self) -> bool:
        return _get(
            f"{self.server}/readyz",
            token=self.token,
            context=ssl.create_default_context(cafile=self.ca_file),
        )


_CAPACITY = {
    "cpu": "10000",
    "memory": "100Ti",
    "ephemeral-storage": "100Ti",
    "pods": "20000",
}


def _first_address(cidr: str) -> str:
    network, _ = cidr.split("/")
    return network.rsplit(".", 1)[0] + ".1"


def _get(url: str, *, token: str = "", context: ssl.SSLContext | None = None) -> bool:
    """Whether *url* answers 200 within two seconds."""
    request = urllib.request.Request(url)  # noqa: S310 - our own address
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(
        # Never through a proxy of the machine's: the address is ours.
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=context),
    )
    try:
        with opener.open(request, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
