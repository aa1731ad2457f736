"""What the node needs from the distribution, in one place."""

from __future__ import annotations

import shutil

# Debian's package and a program of it that must be there.
NODE_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "nftables": "nft",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "iproute2": "ip",
    "util-linux": "nsenter",
    "mmdebstrap": "mmdebstrap",
}


def missing() -> list[str]:
    """The packages of ``NODE_PACKAGES`` that are not installed."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return [
        package
        for package, program in NODE_PACKAGES.items()
        if not (shutil.which(program) or shutil.which(program, path=path))
    ]


def command() -> str:
    """The command that installs what is missing."""
    return "apt-get install --no-install-recommends " + " ".join(missing() or NODE_PACKAGES)
