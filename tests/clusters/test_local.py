"""The local cluster with real processes: what runs, what crashes, what is left behind."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.local import LocalCluster
from django_userpods.clusters.local.__main__ import main, supervisor_pid
from django_userpods.clusters.local.paths import StateDir
from django_userpods.clusters.local.reaper import MARK, marked
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref
from django_userpods.exceptions import (
    AlreadyExists,
    ClusterConfigurationError,
    ClusterError,
    ClusterTimeout,
    ClusterUnavailable,
    Conflict,
    Invalid,
    QuotaExceeded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.processes

# Answers with its environment, process id and arguments; forks a child that sleeps; crashes on
# /crash; on /stray it starts a process in a session of its own.
APP = r"""
import http.server, json, os, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            print("crash was asked for", flush=True)
            os._exit(7)
        if self.path == "/stray":
            subprocess.Popen(["sleep", "601"], start_new_session=True)
        body = json.dumps({"env": dict(os.environ), "pid": os.getpid(), "child": child.pid,
                           "argv": sys.argv[1:], "cwd": os.getcwd()}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
COMMAND = [sys.executable, "-c", APP]


def deployment(name: str = "user-alice", *, replicas: int = 1, **container: Any) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 3,
                    "containers": [{"name": "app", "image": "ignored", **container}],
                },
            },
        },
    }


def service(name: str = "user-alice") -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8000, "targetPort": "http"}]},
    }


def ref(name: str = "user-alice", kind: Kind = DEPLOYMENT) -> Ref:
    return Ref(kind, "default", name)


def wait_for(look: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.03)
    return found


def condition(cluster: LocalCluster, name: str = "user-alice", kind: str = "Available") -> Any:
    found = cluster.get(ref(name))
    assert found is not None
    conditions = found.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {"reason": "", "status": ""})


def wait_ready(cluster: LocalCluster, name: str = "user-alice") -> None:
    wait_for(lambda: condition(cluster, name)["reason"] == "MinimumReplicasAvailable")


def wait_reason(cluster: LocalCluster, reason: str, name: str = "user-alice") -> Any:
    wait_for(lambda: condition(cluster, name)["reason"] == reason)
    return condition(cluster, name)


def port_of(cluster: LocalCluster, name: str = "user-alice") -> int:
    found = cluster.get(ref(name, SERVICE))
    assert found is not None
    peer = cluster.peer(found)
    assert peer is not None
    host, _, port = peer.partition(":")
    assert host == "127.0.0.1"
    return int(port)


def ask(cluster: LocalCluster, path: str = "/", name: str = "user-alice") -> Any:
    url = f"http://127.0.0.1:{port_of(cluster, name)}{path}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_marked(state_dir: Path) -> list[int]:
    with closing(sqlite3.connect(state_dir / "objects.sqlite3")) as db:
        (state_id,) = db.execute("SELECT value FROM meta WHERE key = 'state_id'").fetchone()
    return marked(lambda mark: mark.startswith(f"{state_id}/"))


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    if path.is_dir():
        assert main(["stop", str(path)]) == 0
        wait_for(lambda: not all_marked(path), seconds=5)


@pytest.fixture
def cluster(state_dir: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster(state_dir=str(state_dir), command=COMMAND, idle_grace=1.0)
    yield cluster
    cluster.close()


class TestObjects:
    def test_life_of_an_object(self, cluster: LocalCluster) -> None:
        created = cluster.create(service())
        assert created["metadata"]["uid"]
        assert created["metadata"]["generation"] == 1
        assert created["spec"]["clusterIP"] == "127.0.0.1"
        assert cluster.get(ref(kind=SERVICE)) == created
        with pytest.raises(AlreadyExists, match="Service default/user-alice"):
            cluster.create(service())
        changed = service()
        changed["metadata"]["labels"] = {"new": "yes"}
        applied = cluster.apply(changed)
        assert applied["metadata"]["labels"] == {"new": "yes"}
        assert applied["metadata"]["uid"] == created["metadata"]["uid"]
        assert applied["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
        assert "labels" not in cluster.apply(service())["metadata"]
        with pytest.raises(Conflict, match="another object"):
            cluster.delete(ref(kind=SERVICE), uid="other")
        cluster.delete(ref(kind=SERVICE), uid=created["metadata"]["uid"])
        assert cluster.get(ref(kind=SERVICE)) is None
        cluster.delete(ref(kind=SERVICE), uid=created["metadata"]["uid"])

    def test_apply_makes_a_missing_object_and_an_equal_one_changes_nothing(
        self, cluster: LocalCluster
    ) -> None:
        first = cluster.apply(service())
        assert cluster.apply(service()) == first

    def test_what_was_read_may_be_sent_back(self, cluster: LocalCluster) -> None:
        created = cluster.create(service())
        again = cluster.apply(created)
        assert again["metadata"]["uid"] == created["metadata"]["uid"]
        assert cluster.peer(again) == cluster.peer(created)
        stale = {**created, "metadata": {**created["metadata"], "resourceVersion": "999"}}
        with pytest.raises(Conflict, match="changed meanwhile"):
            cluster.apply(stale)

    def test_list_by_namespace_and_labels(self, cluster: LocalCluster) -> None:
        kind = Kind("v1", "ConfigMap")
        for namespace, name, labels in (
            ("a", "one", {"x": "1", "y": "1"}),
            ("a", "two", {"x": "2"}),
            ("b", "three", {"x": "1"}),
        ):
            metadata = {"name": name, "namespace": namespace, "labels": labels}
            cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

        def names(namespace: str | None, labels: dict[str, str]) -> list[str]:
            found = cluster.list(kind, namespace=namespace, labels=labels)
            return [item["metadata"]["name"] for item in found]

        assert names(None, {}) == ["one", "two", "three"]
        assert names("a", {"x": "1"}) == ["one"]
        assert names(None, {"x": "1"}) == ["one", "three"]
        assert names("c", {}) == []
        assert list(cluster.list(Kind("v1", "Secret"), namespace=None, labels={})) == []

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda m: m.pop("kind"), "no kind"),
            (lambda m: m.pop("metadata"), "metadata has to be a mapping"),
            (lambda m: m["metadata"].pop("name"), "metadata.name is missing"),
            (lambda m: m["metadata"].update(name="Alice"), "lower case"),
            (lambda m: m["metadata"].update(name="../../x"), "lower case"),
            (lambda m: m["metadata"].update(namespace="a/b"), "lower case"),
            (lambda m: m["metadata"].update(labels={"a": 1}), "has to be a string"),
            (lambda m: m["spec"].update(replicas=-1), "replicas"),
            (lambda m: m["spec"].update(replicas="1"), "replicas"),
            (lambda m: m["spec"]["selector"].update(matchLabels={"a": "b"}), "does not match"),
            (lambda m: m["spec"]["template"]["spec"].update(containers=[]), "is empty"),
            (lambda m: m["spec"].update(template=object()), "JSON"),
        ],
    )
    def test_nonsense_is_refused(
        self, cluster: LocalCluster, change: Callable[[Manifest], object], words: str
    ) -> None:
        manifest = deployment()
        change(manifest)
        with pytest.raises(Invalid, match=words):
            cluster.create(manifest)

    def test_a_selector_cannot_change(self, cluster: LocalCluster) -> None:
        cluster.create(deployment(replicas=0))
        changed = deployment(replicas=0)
        labels = {"app": "user-alice", "more": "x"}
        changed["spec"]["selector"]["matchLabels"] = labels
        changed["spec"]["template"]["metadata"]["labels"] = labels
        with pytest.raises(Invalid, match="immutable"):
            cluster.apply(changed)


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

    def test_no_command_at_all(self, state_dir: Path) -> None:
        cluster = LocalCluster(state_dir=str(state_dir))
        cluster.create(deployment())
        assert "OPTIONS['command']" in wait_reason(cluster, "NoCommand")["message"]
        cluster.close()

    def test_a_process_that_does_not_listen(self, cluster: LocalCluster) -> None:
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


class TestPorts:
    def test_never_one_for_two(self, cluster: LocalCluster) -> None:
        def make(number: int) -> None:
            cluster.create(deployment(f"user-{number}", replicas=0))
            cluster.create(service(f"user-{number}"))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(make, range(30)))
        ports = {port_of(cluster, f"user-{number}") for number in range(30)}
        assert len(ports) == 30

    def test_service_first_and_its_deployment_later_share_one(self, cluster: LocalCluster) -> None:
        cluster.create(service())
        port = port_of(cluster)
        cluster.create(deployment())
        wait_ready(cluster)
        assert ask(cluster)["env"]["PORT"] == str(port)

    def test_address_before_there_is_one_takes_no_connection(self, cluster: LocalCluster) -> None:
        bare = {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {}}
        assert cluster.peer(bare) is None

        def address(peer: str | None) -> str:
            return cluster.address(namespace="default", name="user-alice", port=80, peer=peer)

        assert address(None) == "127.0.0.1:0"
        assert address("127.0.0.1:20001") == "127.0.0.1:20001"

    def test_a_released_port_is_used_last_and_the_end_is_said(self, state_dir: Path) -> None:
        first = 20000 + os.getpid() % 10000
        cluster = LocalCluster(state_dir=str(state_dir), ports=(first, first + 2))
        for name in ("a", "b"):
            cluster.create(service(name))
        gone = port_of(cluster, "a")
        found = cluster.get(ref("a", SERVICE))
        assert found is not None
        cluster.delete(ref("a", SERVICE), uid=found["metadata"]["uid"])
        cluster.create(service("c"))
        assert port_of(cluster, "c") != gone
        cluster.create(service("d"))
        assert port_of(cluster, "d") == gone
        with pytest.raises(QuotaExceeded, match="in use"):
            cluster.create(service("e"))
        cluster.close()

    def test_a_port_that_another_program_took_is_said_not_believed(
        self, cluster: LocalCluster
    ) -> None:
        cluster.create(service())
        blocker = subprocess.Popen(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port_of(cluster))],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port_of(cluster)}"

            def up() -> bool:
                try:
                    urllib.request.urlopen(url, timeout=1).close()
                except OSError:
                    return False
                return True

            wait_for(up)
            cluster.create(deployment())
            assert "in use by another program" in wait_reason(cluster, "PortInUse")["message"]
        finally:
            blocker.kill()
            blocker.wait()
        wait_ready(cluster)


class TestSupervisor:
    def test_killed_with_everything_it_ran_and_carried_on_by_the_next(
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

    def test_killed_together_with_its_reaper(self, cluster: LocalCluster, state_dir: Path) -> None:
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

    def test_stop_and_status_commands(
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
from tests.clusters.test_local import LocalCluster, deployment, service, wait_ready
cluster = LocalCluster(state_dir={str(state_dir)!r}, command={COMMAND!r})
name = "user-" + sys.argv[1]
cluster.create(deployment(name))
cluster.create(service(name))
wait_ready(cluster, name)
print(cluster.peer(cluster.create(service(name + "-x"))) and "done")
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

    def test_a_removed_state_directory(self, cluster: LocalCluster, state_dir: Path) -> None:
        cluster.create(deployment())
        cluster.create(service())
        wait_ready(cluster)
        pid = ask(cluster)["pid"]
        state_dir.rename(state_dir.with_name("elsewhere"))
        wait_for(lambda: not alive(pid))
        assert cluster.get(ref()) is None
        cluster.create(deployment())
        wait_ready(cluster)


class TestBadConfiguration:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"state_dir": ""}, "state_dir"),
            ({"state_dir": "x", "command": "python app.py"}, "list of strings"),
            ({"state_dir": "x", "ports": (9, 5)}, "two ports"),
        ],
    )
    def test_options_that_make_no_sense(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(ClusterConfigurationError, match=words):
            LocalCluster(**options)

    def test_a_state_dir_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        cluster = LocalCluster(state_dir=str(tmp_path / "file" / "state"))
        with pytest.raises(ClusterConfigurationError, match="cannot write to its state_dir"):
            cluster.get(ref())

    def test_a_damaged_database(self, tmp_path: Path) -> None:
        (tmp_path / "objects.sqlite3").write_bytes(b"not a database" * 100)
        cluster = LocalCluster(state_dir=str(tmp_path))
        with pytest.raises(ClusterConfigurationError, match="damaged"):
            cluster.get(ref())

    def test_a_locked_database_is_a_timeout(self, cluster: LocalCluster, state_dir: Path) -> None:
        cluster.create(service())
        with closing(sqlite3.connect(state_dir / "objects.sqlite3", isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(ClusterTimeout, match="locked"):
                cluster.create(service("other"), timeout=0.2)

    def test_a_supervisor_that_cannot_start(self, cluster: LocalCluster, state_dir: Path) -> None:
        cluster.create(service())
        (state_dir / "wake").mkdir()
        with pytest.raises(ClusterUnavailable, match="did not start"):
            cluster.create(deployment())
        (state_dir / "wake").rmdir()
        wait_ready(cluster)

    def test_threads_share_one_cluster(self, cluster: LocalCluster) -> None:
        failures: list[ClusterError] = []

        def work(number: int) -> None:
            try:
                for _ in range(5):
                    found = cluster.apply(service(f"user-{number}"))
                    cluster.delete(ref(f"user-{number}", SERVICE), uid=found["metadata"]["uid"])
            except ClusterError as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


def test_the_mark_is_ours() -> None:
    assert marked(lambda mark: mark == "no/such/mark") == []
    environment = {**os.environ, MARK: f"test/{os.getpid()}/x"}
    process = subprocess.Popen(["sleep", "60"], env=environment)
    try:
        assert marked(lambda mark: mark == f"test/{os.getpid()}/x") == [process.pid]
    finally:
        process.kill()
        process.wait()
