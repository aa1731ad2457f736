"""A real demo for tests: started on a free port, read, and interrupted without a rest."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.testcluster.processes import free_port

DEMO = Path(__file__).parents[2] / "example_project" / "demo.py"


@dataclass
class Demo:
    process: subprocess.Popen[str]
    folder: Path
    site: str
    passwords: dict[str, str]
    #: The addresses of people's pods.
    pods: dict[str, str]
    seconds: float


def start(folder: Path, *, port: int, **env: str) -> subprocess.Popen[str]:
    """Start the demo with its data in a folder and some more variables."""
    return subprocess.Popen(
        [sys.executable, str(DEMO)],
        env={**os.environ, "DEMO_PORT": str(port), "DEMO_DIR": str(folder), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until_up(process: subprocess.Popen[str]) -> list[tuple[str, str, str]]:
    """Read what a demo prints until it is up; return its people: name, password, pod's address."""
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if "Ctrl-C ends everything" in line:
            return re.findall(r"^    (alice|bob|admin) +(\S+) +(\S+)$", told, re.MULTILINE)
    process.wait()
    pytest.fail(f"the demo ended:\n{told}")


def started(folder: Path, **env: str) -> Demo:
    """Start a demo and read what it prints until it is up."""
    port = free_port()
    begun = time.monotonic()
    process = start(folder, port=port, **env)
    people = read_until_up(process)
    seconds = time.monotonic() - begun
    return Demo(
        process,
        folder,
        site=f"http://localhost:{port}",
        passwords={name: password for name, password, _ in people},
        pods={name: url for name, _, url in people},
        seconds=seconds,
    )


def left_running(folder: Path) -> list[str]:
    """Return the processes that belong to a demo: its folder is in their words or environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if int(entry.name) != os.getpid() and str(folder) in words + environment:
            found.append(f"{entry.name}: {words}")
    return found


def end(demo: Demo, number: int = signal.SIGINT) -> str:
    """Interrupt a demo, check that nothing is left, and return its last words."""
    if demo.process.poll() is None:
        demo.process.send_signal(number)
    told, _ = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 0, told
    assert left_running(demo.folder) == []
    return told
