"""What the demo asks of the machine that it runs on: ports, a folder of its own, nginx."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEMD = Path("/run/systemd/system")  # there where systemd runs the machine
PACKAGES = Path(__file__).resolve().parents[1] / "tools" / "debian-packages"
HOST = "127.0.0.1"


class DemoError(Exception):
    """The demo cannot go on; the text is for the person who started it."""


def say(text: str) -> None:
    """Print, unless the terminal is gone."""
    try:
        print(text, flush=True)  # noqa: T201 - a command
    except OSError:
        # What could not be written would be tried again at exit, and make that a failure.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def reserved_ports(count: int) -> Iterator[list[int]]:
    """Yield ports of the loopback interface that nobody else is given meanwhile.

    They stay bound, without a listener: on Linux a program that names one may listen there beside
    that, if it sets ``SO_REUSEADDR`` as servers do, and no other program that asks for any free
    port gets it, a second demo included. Elsewhere they were free a moment ago.
    """
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, 0))
        ports = [probe.getsockname()[1] for probe in probes]
        if sys.platform != "linux":
            for probe in probes:
                probe.close()
        yield ports
    finally:
        for probe in probes:
            probe.close()


def loopback(port: int) -> list[str]:
    """Return the addresses that ``localhost`` may stand for here, as nginx writes them.

    DemoError where somebody else listens on this port of one.
    """
    found = []
    for family, address, written in (
        (socket.AF_INET, HOST, HOST),
        (socket.AF_INET6, "::1", "[::1]"),
    ):
        try:
            with socket.socket(family) as probe:
                probe.bind((address, 0))
        except OSError:
            continue  # this machine has no such address
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                msg = (
                    f"port {port} of {address} cannot be used: {error.strerror}. "
                    f"Take another one: make demo DEMO_PORT={port + 1}"
                )
                raise DemoError(msg) from error
        found.append(written)
    return found


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the folder's lock; DemoError where another demo does."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another demo uses {data}; end it first, or name another folder in DEMO_DIR"
            raise DemoError(msg) from error
        yield


def found(shows: str) -> str:
    """Return the path of a program, which may be outside a user's PATH, or of a file's pattern."""
    if shows.startswith("/"):
        return next(map(str, Path("/").glob(shows.lstrip("/"))), "")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which(shows, path=path) or ""


def missing_packages(group: str) -> list[str]:
    """Return the packages of a group that are not there, by the list of tools/."""
    rows = [
        line.split() for line in PACKAGES.read_text().splitlines() if line.startswith(f"{group} ")
    ]
    return [package for _, package, shows in rows if not found(shows)]


def install_packages() -> None:
    """Install from the distribution what the router needs and this machine lacks."""
    packages = missing_packages("router")
    if not packages:
        return
    manual = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        msg = f"the router lacks {' and '.join(packages)}. On Debian or Ubuntu: {manual}"
        raise DemoError(msg)
    prefix = []
    if os.geteuid() != 0:
        if not shutil.which("sudo") or not sys.stdin.isatty():
            msg = f"the router lacks {' and '.join(packages)}. As root: {manual}"
            raise DemoError(msg)
        prefix = ["sudo"]
    had_nginx = bool(found("nginx"))
    say(f"Installing {' and '.join(packages)} ...")
    install = [*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(install, env=env, check=False, stdout=subprocess.DEVNULL).returncode:
        subprocess.run([*prefix, "apt-get", "update", "-qq"], env=env, check=False)
        if subprocess.run(install, env=env, check=False).returncode:
            msg = f"the installation failed; try it by hand: {' '.join(prefix)} {manual}"
            raise DemoError(msg)
    if not had_nginx and SYSTEMD.is_dir():
        # The package starts a server on port 80, which nobody asked for.
        subprocess.run([*prefix, "systemctl", "disable", "--now", "nginx"], check=False)
