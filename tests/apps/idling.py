"""Demos in which pods are stopped that nobody uses, and what became of whom."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from tests.browser.demos import Demo, end, started
from tests.testcluster import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Seconds until an idle pod is certainly gone: its time, what the router adds, and a busy machine.
GONE = 180.0


@contextmanager
def idling(folder: Path, app: str, seconds: int) -> Iterator[Demo]:
    """A demo of an application whose pods are stopped after so many seconds without use."""
    apps = str(build.cache_dir() / "apps")
    demo = started(folder, APP=app, DEMO_IDLE=str(seconds), DEMO_APPS=apps)
    try:
        yield demo
    finally:
        end(demo)


def state(demo: Demo, name: str) -> str:
    """What the local cluster says of somebody's pod: ``ready``, ``stopped`` or between them."""
    pods = str(demo.folder / "site" / "pods")
    command = [sys.executable, "-m", "django_userpods.clusters.local", "status", pods]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in told.splitlines() if f"/user-{name} " in line)
    return line.rpartition(": ")[2]


def stops(demo: Demo, name: str) -> list[str]:
    """By whom somebody's pod was stopped, each time, by its history."""
    query = (
        "SELECT actor FROM userpods_transition AS line JOIN userpods_userpod AS pod"
        " ON line.pod_id = pod.id WHERE line.operation = 'stop' AND pod.name = ?"
    )
    uri = f"file:{demo.folder / 'site' / 'db.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=30)) as database:
        return [actor for (actor,) in database.execute(query, [f"user-{name}"])]


def wait_until(true: Callable[[], bool], what: str, *, seconds: float = GONE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)
