"""The one process per state directory that runs the workloads.

It reads what is wanted from the store and writes how things are into the Deployments' status; it
takes no orders beside a wake-up through a FIFO and SIGTERM. So it can die at any moment and the
next one carries on.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import sqlite3
import stat
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django_userpods.clusters.local.link import PASSED_ON, wake
from django_userpods.clusters.local.reaper import Reaper, kill_marked
from django_userpods.clusters.local.store import Store, Stored
from django_userpods.clusters.local.workload import Readiness, Spec, Workload, bury, expand
from django_userpods.core.objects import DEPLOYMENT
from django_userpods.exceptions import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.local.paths import StateDir

#: Seconds between looks at whether anybody uses the cluster.
TICK = 1.0
_STORE_TIMEOUT = 30.0
_MAX_GRACE = 10.0


def take_lock(state: StateDir, *, patience: float = 15.0) -> int | None:
    """Become the supervisor: return the lock's descriptor, or None where one is at work.

    A supervisor that is ending is waited for. TimeoutError where it does not end.
    """
    descriptor = os.open(state.supervisor_lock, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wake(state):
                os.close(descriptor)
                return None
            if time.monotonic() > deadline:
                os.close(descriptor)
                msg = f"{state.supervisor_lock} is held, but nobody is at work"
                raise TimeoutError(msg) from None
            time.sleep(0.05)
        else:
            # Over the number before, which needs no room on a disk that is full.
            os.pwrite(descriptor, f"{os.getpid():>20}\n".encode(), 0)
            return descriptor


class Supervisor:
    """Runs the workloads of one state directory; the caller holds its lock."""

    def __init__(self, state: StateDir, *, lock: int, idle_grace: float) -> None:
        self._state = state
        self._lock = lock
        self._idle_grace = idle_grace
        self._store = Store(state, ports=(1024, 65535))
        self._store.prepare(timeout=_STORE_TIMEOUT)
        state_id = self._store.get_meta("state_id", timeout=_STORE_TIMEOUT)
        self._run = f"{state_id}/{secrets.token_hex(4)}"
        # What a supervisor that was killed together with its reaper left behind.
        kill_marked(lambda mark: mark.startswith(f"{state_id}/"))
        self._reaper = Reaper(self._run)
        self._workloads: dict[str, Workload] = {}
        self._stored: dict[str, Stored] = {}
        self._shown: dict[str, dict[str, Any]] = {}
        self._command: list[str] = []
        self._gone: set[str] = set()
        self._stopping = False
        self._unused_since: float | None = None
        self._base_env = {key: os.environ[key] for key in PASSED_ON if key in os.environ}

    def run(self, on_ready: Callable[[], None]) -> None:
        """Work until asked to stop or unused; ``on_ready`` is called when at work."""
        fifo = self._open_fifo()
        self._reaper.not_kept.append(fifo)
        signals, wakeup = os.pipe()
        for descriptor in (signals, wakeup):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            with closing(sqlite3.connect(self._state.objects, isolation_level=None)) as watch:
                version = self._refresh(watch, None)
                self._step()
                on_ready()
                while not self._stopping:
                    due = self._step()
                    timeout = max(0.0, min(TICK, due - time.monotonic()))
                    select.select([fifo, signals], [], [], timeout)
                    for descriptor in (fifo, signals):
                        with contextlib.suppress(BlockingIOError):
                            os.read(descriptor, 4096)
                    version = self._refresh(watch, version)
                    self._reaper.check()
                    if self._is_homeless():
                        say("the state directory was removed")
                        break
                    if self._is_unused():
                        fifo = self._leave(fifo)
        finally:
            if fifo >= 0:
                os.close(fifo)  # from here on, whoever needs a supervisor starts the next one
            self._stop_all()
            self._reaper.close()

    def _open_fifo(self) -> int:
        path = self._state.wake
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISFIFO(path.stat().st_mode):
                path.unlink()
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def _ask_to_stop(self, *_: object) -> None:
        self._stopping = True

    def _is_homeless(self) -> bool:
        """Say whether the state directory was removed, and perhaps another one made since."""
        try:
            there = self._state.supervisor_lock.stat()
        except FileNotFoundError:
            return True
        return there.st_ino != os.fstat(self._lock).st_ino

    def _is_unused(self) -> bool:
        """Say whether no process has held the clients' lock for the time of grace."""
        descriptor = os.open(self._state.clients_lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._unused_since = None
            return False
        finally:
            os.close(descriptor)
        now = time.monotonic()
        if self._unused_since is None:
            self._unused_since = now
        return now - self._unused_since >= self._idle_grace

    def _leave(self, fifo: int) -> int:
        """Close the FIFO unless somebody came in this moment; return -1 when it is closed.

        Under the clients' lock: a client is either counted before, or finds no supervisor after.
        """
        descriptor = os.open(self._state.clients_lock, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._unused_since = None
            return fifo
        else:
            os.close(fifo)
            self._stopping = True
            return -1
        finally:
            os.close(descriptor)

    def _refresh(self, watch: sqlite3.Connection, version: int | None) -> int:
        """Read what is wanted where the database changed since ``version``."""
        (now,) = watch.execute("PRAGMA data_version").fetchone()
        if now != version:
            try:
                self._read()
            except ClusterError as error:
                say(f"cannot read what is wanted: {error}")
                return -1  # look again at the next turn
        return int(now)

    def _read(self) -> None:
        command = json.loads(self._store.get_meta("command", timeout=_STORE_TIMEOUT) or "[]")
        stored = {
            item.uid: item
            for item in self._store.list(
                DEPLOYMENT, namespace=None, labels={}, timeout=_STORE_TIMEOUT
            )
        }
        for uid, item in stored.items():
            known = self._stored.get(uid)
            if known and known.generation == item.generation and command == self._command:
                continue
            if uid not in self._workloads:
                self._workloads[uid] = Workload(uid, run=self._run, reaper=self._reaper)
                self._shown[uid] = item.status or {}
            self._workloads[uid].want(self._spec(item, command))
        for uid in self._workloads.keys() - stored.keys():
            self._workloads[uid].want(None)
            self._shown.pop(uid, None)
        # Of a Deployment that is gone, the last known form stays until its process is.
        gone = {uid: old for uid, old in self._stored.items() if uid in self._workloads}
        self._stored = {**gone, **stored}
        self._gone = self._workloads.keys() - stored.keys()
        self._command = command

    def _spec(self, item: Stored, command: list[str]) -> Spec | None:
        spec = item.declared["spec"]
        if spec.get("replicas", 1) == 0 or item.port is None:
            return None
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        env = dict(self._base_env)
        own = {"PORT": str(item.port)}
        for entry in container.get("env") or []:
            if entry["name"] != "PORT" and "valueFrom" not in entry:
                own[entry["name"]] = expand(entry.get("value", ""), own)
        env.update(own)
        words = container.get("command") or command
        argv = [*words, *(container.get("args") or [])]
        where = {"namespace": item.ref.namespace, "name": item.ref.name}
        return Spec(
            argv=tuple(expand(word, env) for word in argv),
            env=tuple(sorted(env.items())),
            port=item.port,
            work=self._state.work(**where),
            log=self._state.log(**where),
            grace=min(_MAX_GRACE, float(pod.get("terminationGracePeriodSeconds", _MAX_GRACE))),
            template=json.dumps(spec["template"], sort_keys=True),
        )

    def _step(self) -> float:
        """Let every workload do what is due; return when the next one is due."""
        now = time.monotonic()
        bury(self._workloads.values(), now)
        due = now + TICK
        held = {w.busy_port: uid for uid, w in self._workloads.items() if w.busy_port is not None}
        for uid, workload in list(self._workloads.items()):
            desired = workload.desired
            port_busy = desired is not None and held.get(desired.port, uid) != uid
            due = min(due, workload.step(now, port_busy=port_busy))
            if uid in self._gone and workload.idle:
                where = self._stored.pop(uid).ref
                del self._workloads[uid]
                self._remove_work(namespace=where.namespace, name=where.name)
            elif uid not in self._gone:
                self._show(uid, workload.report)
        return due

    def _remove_work(self, *, namespace: str, name: str) -> None:
        """Remove a working directory, unless a new Deployment of that name has it by now."""
        taken = {(item.ref.namespace, item.ref.name) for item in self._stored.values()}
        if (namespace, name) not in taken:
            shutil.rmtree(self._state.work(namespace=namespace, name=name), ignore_errors=True)

    def _show(self, uid: str, report: Readiness) -> None:
        status = status_of(self._stored[uid], report, self._shown.get(uid))
        if status != self._shown.get(uid):
            try:
                self._store.set_status(uid, status, timeout=_STORE_TIMEOUT)
            except ClusterError as error:
                say(f"cannot write the status of {self._stored[uid].ref}: {error}")
            else:
                self._shown[uid] = status

    def _stop_all(self) -> None:
        """Stop everything, each in its own time of grace, and say so in the statuses."""
        for workload in self._workloads.values():
            workload.want(None)
        while not all(workload.idle for workload in self._workloads.values()):
            bury(self._workloads.values(), time.monotonic())
            for workload in self._workloads.values():
                workload.step(time.monotonic(), port_busy=False)
            time.sleep(0.02)
        if self._is_homeless():
            return
        report = Readiness(
            ready=False, reason="Pending", message="the local cluster is not running"
        )
        for uid in self._workloads.keys() - self._gone:
            if self._stored[uid].declared["spec"].get("replicas", 1):
                self._show(uid, report)


def status_of(item: Stored, report: Readiness, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return a Deployment's status; conditions keep the time of their last transition."""
    replicas = item.declared["spec"].get("replicas", 1)
    up = replicas if report.ready else 0
    counts = {
        "replicas": replicas if report.reason != "Pending" else 0,
        "updatedReplicas": replicas if report.reason not in {"Pending", "Restarting"} else 0,
        "readyReplicas": up,
        "availableReplicas": up,
        "unavailableReplicas": replicas - up,
    }
    available = report.ready or replicas == 0
    failing = not report.ready and report.reason in FAILURES
    conditions = [
        ("Available", available, report.reason, report.message),
        ("Progressing", not failing, report.reason, report.message),
    ]
    if report.reason in CANNOT_START:
        conditions.append(("ReplicaFailure", True, report.reason, report.message))
    since = {
        (condition["type"], condition["status"]): condition["lastTransitionTime"]
        for condition in (before or {}).get("conditions", [])
    }
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "observedGeneration": item.generation,
        # The API leaves out what is zero.
        **{key: value for key, value in counts.items() if value},
        "conditions": [
            {
                "type": kind,
                "status": str(value),
                "reason": reason,
                "message": message,
                "lastTransitionTime": since.get((kind, str(value)), now),
            }
            for kind, value, reason, message in conditions
        ],
    }


#: Reasons of which nothing comes without a change by somebody.
CANNOT_START = frozenset({"NoCommand", "CommandNotFound", "CannotStart", "PortInUse"})
FAILURES = CANNOT_START | {"CrashLoopBackOff", "NotListening"}


def say(text: str) -> None:
    """Write a line to the supervisor's log, which is its standard error.

    A line for which there is no room is left out: workloads do not end with it.
    """
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with contextlib.suppress(OSError):
        os.write(2, f"{stamp} {text}\n".encode())
