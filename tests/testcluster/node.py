"""A cluster with one real node on this machine: pods run, Services and NetworkPolicies work.

Needs root and a few packages (``apt``). The node lives in namespaces of its own, see ``network``;
the control plane runs on this machine beside it, as it would on another machine.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

from tests.testcluster import apt, build, cgroups, images
from tests.testcluster.cluster import write_kubeconfig
from tests.testcluster.controlplane import ControlPlane
from tests.testcluster.network import Network, child_of, connect, holder_command, inside
from tests.testcluster.processes import wait_for

NAME = "node"
QUEUE = 100  # of the node's own network namespace, so every node can have the same
WORKLOAD = "localhost/workload:1"
_PAUSE = "localhost/pause:1"
_COREDNS = "localhost/coredns:1"


class NodeUnavailableError(Exception):
    """This machine cannot have a node; the message says why and what would help."""


class NodeCluster(ControlPlane):
    """A control plane and one node that is ready, with DNS. The image ``WORKLOAD`` is there."""

    network: Network

    def __init__(self) -> None:
        super().__init__(kwok=False)
        self._node_token = secrets.token_urlsafe(24)
        self._proxy_token = secrets.token_urlsafe(24)

    def start(self) -> None:
        """Start everything; returns when the node and its DNS are ready.

        Raises ``NodeUnavailableError``, ``build.BuildError`` or ``StartError``.
        """
        if os.geteuid():
            raise NodeUnavailableError("a node needs root: it makes namespaces and containers")
        if missing := apt.missing("node"):
            raise NodeUnavailableError(f"{', '.join(missing)} missing: {apt.command('node')}")
        self._netpol = build.binary("netpol")
        self._images = [
            _static_image(_PAUSE, "workload", "pause"),
            _static_image(WORKLOAD, "workload"),
            _static_image(_COREDNS, "coredns"),
        ]
        super().start()

    def load_image(self, archive: Path) -> None:
        """Give the node the image in *archive*, made by ``images``."""
        self._ctr("images", "import", str(archive))

    def restart_kubelet(self) -> None:
        """Stop the kubelet and start it again; pods go on meanwhile."""
        self.run.stop("kubelet")
        self._start_kubelet()

    def inside(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run *command* on the node, as root; raises ``AssertionError`` if it fails."""
        full = [*inside(self._holder), *map(str, command)]
        done = subprocess.run(full, capture_output=True, text=True, check=False)
        words = " ".join(map(str, command))
        assert not done.returncode, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def _place(self) -> None:
        self.run.start("holder", holder_command())
        pid = self.run.pid("holder")
        wait_for(lambda: child_of(pid), "the node's namespaces")
        holder = child_of(pid)
        assert holder
        self._holder = holder
        # It becomes another program when its namespaces, its /proc included, are complete.
        wait_for(lambda: _program(holder) != _program(pid), "the node's /proc")
        self.network = connect(holder)
        self._address = self.network.host
        self._service_cidr = self.network.services
        self.inside("sh", "-ec", _PREPARE)
        self._start_containerd()

    def _tokens(self) -> list[str]:
        return [
            *super()._tokens(),
            f'{self._node_token},system:node:{NAME},{NAME},"system:nodes"',
            f"{self._proxy_token},system:kube-proxy,kube-proxy",
        ]

    def _apiserver_flags(self) -> list[str]:
        certificate, key = self._authority.issue("kubelet-client", "kas", group="system:masters")
        return [
            f"--kubelet-client-certificate={certificate}",
            f"--kubelet-client-key={key}",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _start_rest(self) -> None:
        self._start_controller_manager()
        self._start_scheduler()
        self.run.wait_ready("containerd", self._containerd_answers)
        for archive in self._images:
            self.load_image(archive)
        self._start_kubelet()
        self._start_proxy()
        self._start_netpol()
        dns = (build.HERE / "coredns" / "coredns.yaml").read_text()
        dns = dns.replace("DNS_IP", self.network.dns).replace("IMAGE", _COREDNS)
        self.kubectl("apply", "-f", "-", input=dns)
        self.run.wait_ready("kubelet", self._node_ready)
        command = ("rollout", "status", "deployment/coredns", "-n=kube-system", "--timeout=90s")
        self.kubectl(*command)

    def _start_inside(self, name: str, *command: str | Path) -> None:
        self.run.start(name, [*inside(self._holder), *command])

    def _start_containerd(self) -> None:
        directory = self.directory
        (directory / "cni").mkdir()
        (directory / "cni" / "10-pods.conflist").write_text(json.dumps(self._cni()))
        config = directory / "containerd.toml"
        config.write_text(
            _CONTAINERD.format(
                directory=directory,
                pause=_PAUSE,
                restrict="true" if not _may_lower_oom_score() else "false",
            )
        )
        self._start_inside("containerd", "containerd", "--config", config)

    def _containerd_answers(self) -> bool:
        try:
            self._ctr("version")
        except AssertionError:
            return False
        return True

    def _ctr(self, *args: str) -> None:
        socket = self.directory / "containerd.sock"
        self.inside("ctr", "--address", socket, "--namespace=k8s.io", *args)

    def _start_kubelet(self) -> None:
        kubeconfig = self._kubeconfig("kubelet", self._node_token)
        name = self.directory.name
        cgroups.create(name)
        (self.directory / "resolv.conf").write_text("")
        config = self._config("kubelet", self._kubelet(name))
        self._start_inside(
            "kubelet",
            self._binary,
            "kubelet",
            f"--config={config}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.directory / 'kubelet'}",
            f"--hostname-override={NAME}",
            f"--node-ip={self.network.node}",
        )

    def _kubelet(self, cgroup: str) -> dict[str, Any]:
        if not (self.directory / "kubelet-server.crt").exists():
            self._authority.issue("kubelet-server", NAME, hosts=[NAME, self.network.node])
        directory = self.directory
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.ca_file)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(directory / "kubelet-server.crt"),
            "tlsPrivateKeyFile": str(directory / "kubelet-server.key"),
            "containerRuntimeEndpoint": f"unix://{directory / 'containerd.sock'}",
            "clusterDNS": [self.network.dns],
            "clusterDomain": "cluster.local",
            "resolvConf": str(directory / "resolv.conf"),
            "volumePluginDir": str(directory / "volume-plugins"),
            "podLogsDir": str(directory / "pod-logs"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            "maxPods": 250,
            # The disk is shared with whatever else is on this machine: that it is rather full
            # must neither evict pods nor remove images that cannot be pulled again.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": dict.fromkeys(
                ("nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%"
            ),
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
        }

    def _start_proxy(self) -> None:
        kubeconfig = self._kubeconfig("kube-proxy", self._proxy_token)
        config = self._config(
            "kube-proxy",
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "mode": "nftables",
                # The default, a second, is meant for clusters with thousands of Services.
                "nftables": {"minSyncPeriod": "100ms"},
                "clusterCIDR": self.network.pods,
                "hostnameOverride": NAME,
                "clientConnection": {"kubeconfig": str(kubeconfig)},
                # Nothing that would change how the whole machine tracks connections.
                "conntrack": {
                    "maxPerCore": 0,
                    "min": 0,
                    "tcpEstablishedTimeout": "0s",
                    "tcpCloseWaitTimeout": "0s",
                },
            },
        )
        self._start_inside("kube-proxy", self._binary, "kube-proxy", f"--config={config}")

    def _start_netpol(self) -> None:
        self._start_inside(
            "netpol",
            self._netpol,
            f"--kubeconfig={self.kubeconfig}",
            f"--node={NAME}",
            f"--queue={QUEUE}",
        )
        pods = self.network.pods
        new = f"-m conntrack --ctstate NEW -j NFQUEUE --queue-num {QUEUE} --queue-bypass".split()
        rule = ("iptables", "-w", "-t", "mangle", "-A", "POSTROUTING")
        # The node itself may reach its pods, as everywhere: the kubelet probes them. Its own
        # ports are as far from a pod as any other address.
        self.inside(*rule, "-m", "owner", "--uid-owner", "0", "-j", "RETURN")
        self.inside(*rule[:-1], "INPUT", "-s", pods, *new)
        self.inside(*rule, "-d", pods, *new)
        self.inside(*rule, "-s", pods, *new)

    def _kubeconfig(self, name: str, token: str) -> Path:
        path = self.directory / f"{name}.kubeconfig"
        write_kubeconfig(path, server=self.server, ca_file=self.ca_file, token=token)
        return path

    def _config(self, name: str, content: dict[str, Any]) -> Path:
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps(content, indent=2))
        return path

    def _cni(self) -> dict[str, Any]:
        return {
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "pods",
                    "isGateway": True,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": "/run/cni-addresses",
                        "ranges": [[{"subnet": self.network.pods}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }

    def _node_ready(self) -> bool:
        path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        return self.kubectl("get", "node", NAME, "-o", path, check=False).stdout == "True"


# Runs on the node first: whatever programs write to fixed places stays in these namespaces.
_PREPARE = """
mount --make-rshared /
mount -t tmpfs tmpfs /run
for below in log lib; do
  mkdir -p /run/overlay/$below/upper /run/overlay/$below/work
  layers=lowerdir=/var/$below,upperdir=/run/overlay/$below/upper,workdir=/run/overlay/$below/work
  mount -t overlay overlay -o $layers /var/$below
done
echo 1 > /proc/sys/net/ipv4/ip_forward
"""

_CONTAINERD = """
version = 2
root = "{directory}/containerd"
state = "/run/containerd"
[grpc]
  address = "{directory}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = {restrict}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def _program(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()


def _static_image(name: str, program: str, *cmd: str) -> Path:
    config = images.Config(entrypoint=[f"/{program}"], cmd=cmd)
    return images.scratch_image(name, {f"/{program}": build.binary(program)}, config)


def _may_lower_oom_score() -> bool:
    """Whether this process has CAP_SYS_RESOURCE; without it runc fails where it must lower it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & 1 << 24)
    return False
