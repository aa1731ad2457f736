"""What the tests of the local cluster share: an app, its manifests, and what became of them."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django_userpods.clusters.local.reaper import marked
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.local import LocalCluster

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
    """Tell whether a process may still do something: not if it is on its way out, or was reaped.

    One on its way out has no environment any more, so it bears no mark (``PF_EXITING`` among the
    flags of ``proc_pid_stat(5)``).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state, flags = fields[0], int(fields[6])
    return state != "Z" and not flags & 0x4


def all_marked(state_dir: Path) -> list[int]:
    with closing(sqlite3.connect(state_dir / "objects.sqlite3")) as db:
        (state_id,) = db.execute("SELECT value FROM meta WHERE key = 'state_id'").fetchone()
    return marked(lambda mark: mark.startswith(f"{state_id}/"))
