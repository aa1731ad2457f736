"""A node's own machine: network, mounts and process ids apart from this machine's.

Everything that a node makes (bridges, packet rules, mounts, pods) it makes in namespaces of its
own, and the kernel takes it all away when their first process ends. One cable, a veth pair, leads
there, and this machine has routes over it to pods and Services.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.testcluster.processes import StartError

# The process that holds the namespaces. It is process 1 there, so it must see to orphans: with
# SIGCHLD ignored the kernel does.
_HOLDER = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"
)


@dataclass(frozen=True)
class Network:
    """The addresses of the cluster *number*: all in ``10.<number>.0.0/16``."""

    number: int

    @property
    def cable(self) -> str:
        """The name of this machine's end of the cable."""
        return f"userpods{self.number}"

    @property
    def host(self) -> str:
        """This machine's address, where the API server listens."""
        return f"10.{self.number}.0.1"

    @property
    def node(self) -> str:
        """The node's address."""
        return f"10.{self.number}.0.2"

    @property
    def pods(self) -> str:
        """Where pods get their addresses from."""
        return f"10.{self.number}.64.0/18"

    @property
    def services(self) -> str:
        """Where Services get their addresses from."""
        return f"10.{self.number}.128.0/17"

    @property
    def dns(self) -> str:
        """The address of the cluster's DNS."""
        return f"10.{self.number}.128.10"


def holder_command() -> list[str]:
    """The command that makes the namespaces and holds them until it is killed."""
    return [
        *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("--", sys.executable, "-c", _HOLDER),
    ]


def inside(pid: int) -> list[str]:
    """The beginning of a command line that runs in the namespaces of process *pid*."""
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--"]


def child_of(pid: int) -> int | None:
    """The process id of *pid*'s child, if it has one by now."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may contain anything.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            return int(stat.parent.name)
    return None


def connect(pid: int) -> Network:
    """Lay a cable to the namespaces of *pid*; the addresses that were free."""
    taken = _run("ip", "-4", "route", "show", "table", "all")
    for number in range(200, 250):
        network = Network(number)
        # Two runs may come to the same number at once; only one of them gets the name.
        if f"10.{number}." in taken or not _lay(network, pid):
            continue
        _run("ip", "address", "add", f"{network.host}/24", "dev", network.cable)
        _run("ip", "link", "set", network.cable, "up")
        there = [*inside(pid), "ip"]
        _run(*there, "link", "set", "lo", "up")
        _run(*there, "address", "add", f"{network.node}/24", "dev", "eth0")
        _run(*there, "link", "set", "eth0", "up")
        _run(*there, "route", "add", "default", "via", network.host)
        for destination in (network.pods, network.services):
            _run("ip", "route", "add", destination, "via", network.node)
        return network
    raise StartError("no network of 10.200.0.0/16 to 10.249.0.0/16 is free")


def _lay(network: Network, pid: int) -> bool:
    command = ["ip", "link", "add", network.cable, "type", "veth"]
    command += ["peer", "name", "eth0", "netns", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "File exists" not in done.stderr:
        raise StartError(f"{' '.join(command)}: {done.stderr}")
    return done.returncode == 0


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout
