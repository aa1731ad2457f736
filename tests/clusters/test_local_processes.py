"""The processes of the local cluster: what runs, what crashes, what is left behind."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.local import LocalCluster, workload
from django_userpods.clusters.local.reaper import Reaper
from django_userpods.core import step_times
from tests.clusters.local import (
    APP,
    COMMAND,
    alive,
    all_marked,
    ask,
    condition,
    deployment,
    port_of,
    ref,
    service,
    wait_for,
    wait_ready,
    wait_reason,
)
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.processes


@pytest.fixture
def cluster(local_cluster: LocalCluster) -> LocalCluster:
    return local_cluster


class TestProcesses:
    def test_runs_with_its_environment_and_is_stopped(self, cluster: LocalCluster) -> None:
        os.environ["SITE_SECRET"] = "not for users"
        try:
            env = [
                {"name": "GREETING", "value": "hello"},
                {"name": "URL", "value": "http://localhost:$(PORT)/$(GREETING)/$$(X)/$(UNKNOWN)"},
                {"name": "PORT", "value": "8000"},
                {"name": "FROM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ]
            cluster.create(deployment(env=env, args=["--port=$(PORT)"]))
        finally:
            del os.environ["SITE_SECRET"]
        cluster.create(service())
        wait_ready(cluster)
        told = ask(cluster)
        port = port_of(cluster)
        assert told["env"]["GREETING"] == "hello"
        assert told["env"]["URL"] == f"http://localhost:{port}/hello/$(X)/$(UNKNOWN)"
        assert told["env"]["PORT"] == str(port)
        assert told["argv"] == [f"--port={port}"]
        assert "FROM" not in told["env"]
        assert "SITE_SECRET" not in told["env"]
        assert "DJANGO_SETTINGS_MODULE" not in told["env"]
        status = (cluster.get(ref()) or {})["status"]
        assert status["readyReplicas"] == status["replicas"] == 1
        assert status["observedGeneration"] == 1

        cluster.apply(deployment(replicas=0))
        wait_reason(cluster, "Stopped")
        assert not alive(told["pid"])
        assert not alive(told["child"])
        assert "readyReplicas" not in (cluster.get(ref()) or {})["status"]

        cluster.apply(deployment())
        wait_ready(cluster)
        assert port_of(cluster) == port, "the port stays over a stop"

    def test_how_far_it_has_come_is_told(self, cluster: LocalCluster) -> None:
        stored = cluster.create(deployment(command=["sleep", "600"]))
        assert cluster.step_times({**stored, "status": {}}) is None, "it was not started yet"
        told = wait_for(lambda: cluster.step_times(cluster.get(ref()) or stored))
        # It has its place, there is nothing to fetch, and it does not answer.
        assert told == step_times.OF_PROCESS
        cluster.apply(deployment(replicas=0))
        wait_for(lambda: cluster.step_times(cluster.get(ref()) or stored) is None)

    def test_its_log_and_how_it_is_are_shown(self, cluster: LocalCluster) -> None:
        script = "for n in 1 2 3 4; do echo line $n; done; exec sleep 600"
        cluster.create(deployment(command=["sh", "-c", script]))
        where: dict[str, Any] = {"namespace": "default", "labels": {"app": "user-alice"}}

        def text() -> str:
            return "".join(log.text for log in cluster.logs(**where, lines=2, size=1000))

        wait_for(lambda: text() == "line 3\nline 4")
        (log,) = cluster.logs(**where, lines=2, size=1000)
        assert (log.container, log.is_cut) == ("app", True)
        (event,) = cluster.events(**where, limit=5)
        # The port that it does not listen on is waited for.
        assert event.type == "Warning"
        assert event.reason in ("Starting", "NotListening")
        assert list(cluster.logs(namespace="default", labels={"app": "x"}, lines=2, size=9)) == []

    def test_deletion_ends_the_process_and_all_it_started(
        self, cluster: LocalCluster, state_dir: Path
    ) -> None:
        created = cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        told = ask(cluster, "/stray")
        assert len(all_marked(state_dir)) == 3
        assert Path(told["cwd"]).is_dir()
        cluster.delete(ref(), uid=created["metadata"]["uid"])
        wait_for(lambda: not all_marked(state_dir))
        wait_for(lambda: not Path(told["cwd"]).exists())
        log = state_dir / "logs" / "default" / "user-alice.log"
        assert "listening" in log.read_text(), "logs are kept"

    def test_a_crash_is_said_and_started_again(self, cluster: LocalCluster) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        before = ask(cluster)
        with pytest.raises(OSError):
            ask(cluster, "/crash")
        found = wait_reason(cluster, "CrashLoopBackOff")
        assert "exited with status 7: crash was asked for" in found["message"]
        assert "user-alice.log" in found["message"]
        assert found["status"] == "False"
        wait_ready(cluster)
        after = ask(cluster)
        assert after["pid"] != before["pid"]
        assert not alive(before["child"]), "the crashed one's children are gone"

    def test_backoff_grows(self, cluster: LocalCluster, state_dir: Path) -> None:
        cluster.create(deployment(command=["sh", "-c", "echo no luck >&2; exit 3"]))
        wait_for(lambda: "3 times in a row" in condition(cluster).get("message", ""))
        message = condition(cluster)["message"]
        assert "exited with status 3, 3 times in a row: no luck" in message
        assert "next try in 4 s" in message
        assert condition(cluster, kind="Progressing")["status"] == "False"
        log = state_dir / "logs" / "default" / "user-alice.log"
        assert log.read_text().count("--- ") == 3

    @pytest.mark.parametrize(
        ("container", "reason", "words"),
        [
            ({"command": ["no-such-program"]}, "CommandNotFound", "no-such-program"),
            ({"command": [__file__]}, "CommandNotFound", "whole path"),
            ({"command": [sys.executable, "-c", "a\0b"]}, "CannotStart", "null byte"),
        ],
    )
    def test_what_cannot_start_is_said_on_the_deployment(
        self, cluster: LocalCluster, container: dict[str, Any], reason: str, words: str
    ) -> None:
        cluster.create(deployment(**container))
        assert words in wait_reason(cluster, reason)["message"]
        assert condition(cluster, kind="ReplicaFailure")["status"] == "True"
        cluster.apply(deployment(command=COMMAND))
        wait_ready(cluster)
        assert condition(cluster, kind="ReplicaFailure")["reason"] == ""

    def test_without_a_command_the_deployment_says_where_to_give_one(self, state_dir: Path) -> None:
        cluster = LocalCluster(state_dir=str(state_dir))
        cluster.create(deployment())
        assert "OPTIONS['command']" in wait_reason(cluster, "NoCommand")["message"]
        cluster.close()

    def test_a_process_that_does_not_listen_is_said_not_to(self, cluster: LocalCluster) -> None:
        cluster.create(deployment(command=["sleep", "600"]))
        assert "takes no connections" in wait_reason(cluster, "NotListening")["message"]

    def test_a_changed_template_restarts_and_a_changed_label_does_not(
        self, cluster: LocalCluster
    ) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        first = ask(cluster)["pid"]
        labelled = deployment()
        labelled["metadata"]["labels"]["more"] = "x"
        cluster.apply(labelled)
        changed = deployment()
        changed["spec"]["template"]["metadata"]["annotations"] = {"restarted-at": "now"}
        time.sleep(0.5)
        assert ask(cluster)["pid"] == first
        cluster.apply(changed)
        wait_for(lambda: not alive(first))

        def another_answers() -> bool:
            # The status is that of the last look, which may have seen the first one.
            with suppress(OSError):
                return bool(ask(cluster)["pid"] != first)
            return False

        wait_for(another_answers)
        wait_ready(cluster)
        assert ask(cluster)["pid"] != first

    def test_one_that_ignores_sigterm_is_killed(self, cluster: LocalCluster) -> None:
        ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        stubborn = deployment(command=[sys.executable, "-c", ignore + APP])
        stubborn["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
        created = cluster.create(stubborn)
        cluster.create(service())
        wait_ready(cluster)
        pid = ask(cluster)["pid"]
        asked = time.monotonic()
        cluster.delete(ref(), uid=created["metadata"]["uid"])
        wait_for(lambda: not alive(pid))
        assert time.monotonic() - asked > 0.9

    def test_deleted_and_made_again_at_once_gets_its_port_back(self, cluster: LocalCluster) -> None:
        created = cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        port, pid = port_of(cluster), ask(cluster)["pid"]
        cluster.delete(ref(), uid=created["metadata"]["uid"])
        cluster.create(deployment())
        wait_ready(cluster)
        assert port_of(cluster) == port
        wait_for(lambda: not alive(pid))
        wait_for(lambda: ask(cluster)["pid"] != pid)


def have_ended(workloads: list[workload.Workload]) -> bool:
    return all(one.ended for one in workloads)


#: It takes a second of its time to end.
ENDS_SLOWLY = """
import signal, sys, time
def end(*_):
    time.sleep(1)
    sys.exit("clean end")
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(600)
"""


def sleeping(folder: Path, name: str) -> workload.Spec:
    """A process that listens nowhere."""
    return workload.Spec(
        argv=("sleep", "600"),
        env=(("PATH", os.environ["PATH"]),),
        port=free_port(),
        work=folder / name,
        log=folder / f"{name}.log",
        grace=5.0,
        template="",
    )


def test_the_time_to_listen_begins_with_the_start_of_the_process(tmp_path: Path) -> None:
    """Where hundreds are started in one turn, the last had none of what that turn has taken."""
    reaper = Reaper("run")
    one = workload.Workload("a", run="run", reaper=reaper)
    try:
        one.want(sleeping(tmp_path, "a"))
        begin_of_the_turn = time.monotonic() - 2 * workload.SLOW_START
        one.step(begin_of_the_turn, port_busy=False)
        one.step(time.monotonic() + 2 * workload.PROBE_STARTING, port_busy=False)
        assert one.report.reason == "Starting"
        one.step(time.monotonic() + 2 * workload.SLOW_START, port_busy=False)
        assert one.report.reason == "NotListening"
    finally:
        one.want(None)
        one.step(time.monotonic(), port_busy=False)
        wait_for(lambda: one.ended)
        workload.bury([one], time.monotonic())
        reaper.close()


def test_the_time_to_end_begins_with_the_signal(tmp_path: Path) -> None:
    """Not with the turn, in which hundreds of others were started before."""
    reaper = Reaper("run")
    one = workload.Workload("a", run="run", reaper=reaper)
    spec = sleeping(tmp_path, "a")
    try:
        one.want(replace(spec, argv=(sys.executable, "-c", ENDS_SLOWLY)))
        one.step(time.monotonic(), port_busy=False)
        wait_for(lambda: spec.log.read_text().endswith("\nup\n"))
        one.want(None)
        one.step(time.monotonic() - 2 * spec.grace, port_busy=False)
        one.step(time.monotonic(), port_busy=False)
        wait_for(lambda: one.ended)
        workload.bury([one], time.monotonic())
    finally:
        reaper.close()
    assert spec.log.read_text().splitlines()[-1] == "clean end"


def test_of_those_that_end_together_there_is_one_look_at_the_machines_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[set[str]] = []

    def look(accept: Callable[[str], bool]) -> int:
        looks.append({mark for mark in ("run/a", "run/b", "run/c") if accept(mark)})
        return 0

    monkeypatch.setattr(workload, "kill_marked", look)
    reaper = Reaper("run")
    found = {uid: workload.Workload(uid, run="run", reaper=reaper) for uid in "abc"}
    try:
        for uid, one in found.items():
            one.want(sleeping(tmp_path, uid))
            one.step(time.monotonic(), port_busy=False)
        for together in ("ab", "c"):
            for uid in together:
                found[uid].want(None)
                found[uid].step(time.monotonic(), port_busy=False)
            asked = [found[uid] for uid in together]
            wait_for(partial(have_ended, asked))
            workload.bury(found.values(), time.monotonic())
        assert all(one.idle for one in found.values())
        assert looks == [{"run/a", "run/b"}, {"run/c"}]
    finally:
        reaper.close()
