"""The supervisor of the local cluster and its reaper: when they come, go and are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from django_userpods.clusters.local import LocalCluster
from django_userpods.clusters.local.__main__ import main, supervisor_pid
from django_userpods.clusters.local.paths import StateDir
from django_userpods.clusters.local.reaper import MARK, marked
from tests.clusters.local import (
    COMMAND,
    alive,
    all_marked,
    ask,
    deployment,
    port_of,
    ref,
    service,
    wait_for,
    wait_ready,
)

pytestmark = pytest.mark.processes


@pytest.fixture
def cluster(local_cluster: LocalCluster) -> LocalCluster:
    return local_cluster


class TestSupervisor:
    def test_a_killed_supervisor_takes_all_with_it_and_the_next_carries_on(
        self, cluster: LocalCluster, state_dir: Path
    ) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        before, port = ask(cluster, "/stray"), port_of(cluster)
        pid = supervisor_pid(StateDir(state_dir))
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not all_marked(state_dir))
        assert not alive(before["pid"])
        assert not alive(before["child"])

        wait_ready(cluster)  # the first call starts the next one
        assert supervisor_pid(StateDir(state_dir)) not in {None, pid}
        assert port_of(cluster) == port
        assert ask(cluster)["pid"] != before["pid"]

    def test_one_killed_together_with_its_reaper_leaves_nothing_to_the_next(
        self, cluster: LocalCluster, state_dir: Path
    ) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        before = ask(cluster, "/stray")
        pid = supervisor_pid(StateDir(state_dir))
        assert pid is not None
        task = Path(f"/proc/{pid}/task/{pid}/children")
        children = {int(word) for word in task.read_text().split()}
        (reaper,) = children - {before["pid"]}
        os.kill(reaper, signal.SIGSTOP)  # or it would reap before it is killed
        os.kill(pid, signal.SIGKILL)
        os.kill(reaper, signal.SIGKILL)
        wait_for(lambda: not alive(before["pid"]))
        wait_ready(cluster)
        assert not alive(before["child"]), "the next supervisor cleans up"
        assert len(all_marked(state_dir)) == 2

    def test_a_killed_reaper_is_replaced(self, cluster: LocalCluster, state_dir: Path) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        before = ask(cluster)
        pid = supervisor_pid(StateDir(state_dir))
        assert pid is not None
        task = Path(f"/proc/{pid}/task/{pid}/children")
        (reaper,) = {int(word) for word in task.read_text().split()} - {before["pid"]}
        os.kill(reaper, signal.SIGKILL)
        wait_for(lambda: len(set(task.read_text().split()) - {str(reaper)}) == 2)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(before["child"]))

    def test_ends_when_nobody_uses_it(self, cluster: LocalCluster, state_dir: Path) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        told = ask(cluster)
        time.sleep(1.5)
        assert alive(told["pid"]), "we are still here"
        cluster.close()
        wait_for(lambda: supervisor_pid(StateDir(state_dir)) is None)
        assert not alive(told["pid"])
        wait_ready(cluster)

    def test_survives_a_restart_of_its_user(self, cluster: LocalCluster, state_dir: Path) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        told = ask(cluster)
        cluster.close()
        again = LocalCluster(state_dir=str(state_dir), command=COMMAND, idle_grace=1.0)
        again.attach()
        time.sleep(2.0)
        assert ask(again)["pid"] == told["pid"]
        again.close()

    def test_another_command_in_the_options_restarts(
        self, cluster: LocalCluster, state_dir: Path
    ) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        first = ask(cluster)["pid"]
        again = LocalCluster(state_dir=str(state_dir), command=[*COMMAND, "second"])
        again.attach()
        wait_for(lambda: not alive(first))
        wait_ready(again)
        assert ask(again)["argv"] == ["second"]
        again.close()

    def test_the_commands_status_and_stop_do_what_they_say(
        self, cluster: LocalCluster, state_dir: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        pid = ask(cluster)["pid"]
        assert main(["status", str(state_dir)]) == 0
        told = capsys.readouterr().out
        assert f"default/user-alice 127.0.0.1:{port_of(cluster)}" in told
        assert "MinimumReplicasAvailable: ready" in told
        assert main(["stop", str(state_dir)]) == 0
        assert not alive(pid)
        assert main(["stop", str(state_dir)]) == 0
        assert main(["status", str(state_dir)]) == 0
        told = capsys.readouterr().out
        assert "supervisor: not running" in told
        assert "the local cluster is not running" in told
        assert main(["stop", str(state_dir / "none")]) == 1

    def test_many_processes_at_once_start_one_supervisor(self, state_dir: Path) -> None:
        script = f"""
import sys
from django_userpods.clusters.local import LocalCluster
from tests.clusters.local import deployment, service, wait_ready
cluster = LocalCluster(state_dir={str(state_dir)!r}, command={COMMAND!r})
name = "user-" + sys.argv[1]
cluster.create(deployment(name))
cluster.create(service(name))
wait_ready(cluster, name)
print(cluster.peer(cluster.create(service(name + "-x"))) and "done", flush=True)
sys.stdin.read()
"""
        root = Path(__file__).parents[2]
        users = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(number)],
                cwd=root,
                env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(6)
        ]
        try:
            for user in users:
                assert user.stdout is not None
                assert user.stdout.readline() == "done\n"
            cluster = LocalCluster(state_dir=str(state_dir), command=COMMAND)
            ports = {port_of(cluster, f"user-{number}") for number in range(6)}
            assert len(ports) == 6
            pids = {ask(cluster, name=f"user-{number}")["pid"] for number in range(6)}
            supervisor = supervisor_pid(StateDir(state_dir))
            parents = {Path(f"/proc/{pid}/stat").read_text().split()[3] for pid in pids}
            assert parents == {str(supervisor)}
            cluster.close()
        finally:
            for user in users:
                user.communicate("")

    def test_a_removed_state_directory_ends_the_workloads_and_is_made_again(
        self, cluster: LocalCluster, state_dir: Path
    ) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        pid = ask(cluster)["pid"]
        state_dir.rename(state_dir.with_name("elsewhere"))
        wait_for(lambda: not alive(pid))
        assert cluster.get(ref()) is None
        cluster.create(deployment())
        wait_ready(cluster)


def test_the_mark_is_ours() -> None:
    assert marked(lambda mark: mark == "no/such/mark") == []
    environment = {**os.environ, MARK: f"test/{os.getpid()}/x"}
    process = subprocess.Popen(["sleep", "60"], env=environment)
    try:
        assert marked(lambda mark: mark == f"test/{os.getpid()}/x") == [process.pid]
    finally:
        process.kill()
        process.wait()
