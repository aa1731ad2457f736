"""``python -m django_userpods.clusters.local``: look at, stop and start a local cluster."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from django_userpods.clusters.local.paths import StateDir
from django_userpods.clusters.local.store import Store
from django_userpods.clusters.local.supervisor import Supervisor, say, take_lock
from django_userpods.core.objects import DEPLOYMENT
from django_userpods.exceptions import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

#: The supervisor's own log begins anew when it is longer than this, in bytes.
MAX_LOG = 1_000_000


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m django_userpods.clusters.local")
    parser.add_argument("command", choices=["status", "stop", "start", "run"])
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("--idle-grace", type=float, default=5.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    if options.command in {"status", "stop"} and not options.state_dir.is_dir():
        return _complain(f"{options.state_dir} is not a directory")
    try:
        state = StateDir.open(options.state_dir)
        if options.command == "status":
            return status(state)
        if options.command == "stop":
            return stop(state)
        return start(state, idle_grace=options.idle_grace, foreground=options.command == "run")
    except (ClusterError, OSError) as error:
        return _complain(str(error))


def status(state: StateDir) -> int:
    """Print the supervisor and every workload."""
    pid = supervisor_pid(state)
    print(f"supervisor: {f'process {pid}' if pid else 'not running'}")  # noqa: T201 - a command
    store = Store(state, ports=(1024, 65535))
    store.prepare(timeout=5)
    for item in store.list(DEPLOYMENT, namespace=None, labels={}, timeout=5):
        conditions = (item.status or {}).get("conditions") or [{"reason": "", "message": ""}]
        words = f"{conditions[0]['reason']}: {conditions[0]['message']}"
        print(f"{item.ref.namespace}/{item.ref.name} 127.0.0.1:{item.port} {words}")  # noqa: T201 - a command
    return 0


def stop(state: StateDir, *, patience: float = 30.0) -> int:
    """Ask the supervisor to end, and wait until it and every workload has."""
    pid = supervisor_pid(state)
    if pid is None:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while supervisor_pid(state) == pid:
        if time.monotonic() > deadline:
            return _complain(f"the supervisor, process {pid}, does not end")
        time.sleep(0.05)
    return 0


def supervisor_pid(state: StateDir) -> int | None:
    """Return the id of the process that holds the supervisor's lock, None where nobody does."""
    try:
        descriptor = os.open(state.supervisor_lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(ValueError):
            return int(os.read(descriptor, 32))
        return None  # between the lock and the number: it is just beginning
    else:
        return None
    finally:
        os.close(descriptor)


def start(state: StateDir, *, idle_grace: float, foreground: bool) -> int:
    """Supervise: here, or in a process of its own that is at work when this returns."""
    if foreground:
        if not _supervise(state, idle_grace=idle_grace, on_ready=lambda: say("at work")):
            return _complain(f"a supervisor of {state.root} is at work already")
        return 0
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        # One read: the supervisor's reaper keeps the other end open.
        answer = os.read(reading, 4096).decode(errors="replace")
        return 0 if answer == "ok" else _complain(answer or f"see {state.supervisor_log}")
    code = 1
    try:
        os.close(reading)
        _leave_terminal(state)
        _supervise(state, idle_grace=idle_grace, on_ready=lambda: _tell(writing, "ok"))
        _tell(writing, "ok")  # where another one is at work
        code = 0
    except BaseException as error:  # noqa: BLE001 - the end of the process: into the log with it
        say(traceback.format_exc())
        _tell(writing, f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def _leave_terminal(state: StateDir) -> None:
    os.setsid()
    os.chdir("/")
    log = os.open(state.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(log).st_size > MAX_LOG:
        os.ftruncate(log, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)


def _tell(writing: int, answer: str) -> None:
    with contextlib.suppress(OSError):  # nobody waits for the answer any more
        os.write(writing, answer.encode())


def _supervise(state: StateDir, *, idle_grace: float, on_ready: Callable[[], None]) -> bool:
    """Be the supervisor until the end; False at once where another one is at work."""
    lock = take_lock(state)
    if lock is None:
        return False
    Supervisor(state, lock=lock, idle_grace=idle_grace).run(on_ready)
    return True


def _complain(text: str) -> int:
    print(text, file=sys.stderr)  # noqa: T201 - a command
    return 1


if __name__ == "__main__":
    sys.exit(main())
