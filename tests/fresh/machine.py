"""A bare Debian in a folder: nothing is installed in it but what it takes to clone and to make.

Programs run in it by ``chroot``, in a mount namespace of their own, so that ``/proc``, ``/sys`` and
``/dev`` are there for them only and go with the last of them. The network is this machine's: what
listens on a port in there answers on this side's loopback.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fresh import surroundings
from tests.testcluster import apt, images

if TYPE_CHECKING:
    from collections.abc import Mapping

TOP = Path(__file__).resolve().parents[2]
CHECKOUT = "/root/django-userpods"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENTER = """
set -e
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --bind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/dev/shm"
mount -t devpts devpts "$1/dev/pts"
exec chroot "$@"
"""


@dataclass(frozen=True)
class Machine:
    """One bare machine; *root* is its root file system."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> Machine:
        """Lay out a bare machine at *root*, a folder that is not there yet.

        The base comes from the cache of the test images, where it is made the first time. Raises
        ``build.BuildError``.
        """
        layer = images.debian_layer(list(apt.packages("bare")))
        root.mkdir()
        subprocess.run(["tar", "-C", root, "--numeric-owner", "-xf", layer], check=True)
        surroundings.lay_out(root)
        return cls(root)

    def clone(self) -> str:
        """Clone the commit that is checked out here into the machine; its hash."""
        target = self.root / CHECKOUT.lstrip("/")
        clone = ["git", "clone", "--quiet", "--no-hardlinks", str(TOP), str(target)]
        subprocess.run(clone, check=True)
        head = ["git", "-C", str(TOP), "rev-parse", "HEAD"]
        commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
        checkout = ["git", "-C", str(target), "checkout", "--quiet", "--detach", commit]
        subprocess.run(checkout, check=True)
        return commit

    def start(
        self, script: str, *, folder: str = "/root", env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a shell's script, in a process group of its own that SIGINT can be sent to."""
        inside = {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", **surroundings.environment()}
        settings = [f"{name}={value}" for name, value in {**inside, **(env or {})}.items()]
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh"]
        shell = ["/bin/sh", "-ec", f"cd {folder}\n{script}"]
        return subprocess.Popen(
            [*enter, str(self.root), "/usr/bin/env", "-i", *settings, *shell],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(
        self, script: str, *, folder: str = "/root", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell's script to its end; output and errors are in ``stdout``."""
        process = self.start(script, folder=folder, env=env)
        out, _ = process.communicate()
        return subprocess.CompletedProcess(script, process.returncode, out)

    def processes(self) -> list[str]:
        """What runs in the machine: each process's number and words."""
        mine = self.root.stat()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.path.samestat((entry / "root").stat(), mine):
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append(f"{entry.name}: {words}")
            except OSError:  # it has just ended
                continue
        return found

    def mounts(self) -> list[str]:
        """What is mounted below the machine's root, as this side sees it."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if line.split()[4].startswith(f"{self.root}/")]

    def files(self, *places: str) -> set[str]:
        """Every file and folder below some places of the machine."""
        found = (path for place in places for path in (self.root / place.lstrip("/")).rglob("*"))
        return {str(path.relative_to(self.root)) for path in found}

    def remove(self) -> None:
        """Remove it with all its files."""
        subprocess.run(["rm", "-rf", "--one-file-system", self.root], check=True)


def why_not() -> str:
    """Why this machine cannot have a bare one inside; empty where it can."""
    if os.geteuid():
        return "a bare machine is entered by chroot, which needs root"
    if missing := apt.missing("fresh"):
        return f"{', '.join(missing)} missing: {apt.command('fresh')}"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr.strip()
