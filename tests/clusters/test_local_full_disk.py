"""A disk that is full ends neither the local cluster nor what runs on it, and is said plainly.

A limit on the size of files does to a process what a full disk does to all.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from django_userpods.clusters.local.__main__ import supervisor_pid
from django_userpods.clusters.local.paths import StateDir
from tests.clusters.local import COMMAND, ask, deployment, ref, service, wait_for, wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.clusters.local import LocalCluster

pytestmark = pytest.mark.processes

NO_LIMIT = resource.RLIM_INFINITY


@contextmanager
def no_room_for(pid: int) -> Iterator[None]:
    """Let a process add nothing to any file."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, NO_LIMIT))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (NO_LIMIT, NO_LIMIT))


def test_the_supervisor_outlives_it_and_so_does_every_workload(
    local_cluster: LocalCluster, state_dir: Path
) -> None:
    local_cluster.create(deployment())
    local_cluster.create(service())
    wait_ready(local_cluster)
    before = ask(local_cluster)["pid"]
    pid = supervisor_pid(StateDir(state_dir))
    assert pid is not None
    with no_room_for(pid):
        # Its status is to be written, fails, and a line of the log is to say so.
        broken = deployment("user-bob", command=["no-such-command"])
        local_cluster.create(broken)
        time.sleep(2.5)
        assert supervisor_pid(StateDir(state_dir)) == pid
        assert ask(local_cluster)["pid"] == before

    def reasons() -> list[str]:
        found = local_cluster.get(ref("user-bob")) or {}
        return [item["reason"] for item in found.get("status", {}).get("conditions", [])]

    wait_for(lambda: "CommandNotFound" in reasons())
    assert ask(local_cluster)["pid"] == before


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_django_is_told_what_is_wrong_and_where(
    local_cluster: LocalCluster, state_dir: Path, used: bool
) -> None:
    if used:
        local_cluster.create(service("user-carol"))
    code = f"""
        import resource
        from django_userpods.clusters.local import LocalCluster
        from django_userpods.exceptions import ClusterUnavailable
        from tests.clusters.local import service

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        try:
            LocalCluster(state_dir={str(state_dir)!r}, command={COMMAND!r}).create(service())
        except ClusterUnavailable as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert str(state_dir) in done.stdout
    assert "rollback" not in done.stdout
    assert any(words in done.stdout for words in ("disk I/O error", "disk is full", "too large"))
    # With room again it goes on.
    assert local_cluster.create(service())["metadata"]["name"] == "user-alice"
