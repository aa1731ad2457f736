"""Programs that belong to one run, and the certainty that they end with it.

Every program is started with the run's directory in its environment, and so are the programs
that it starts. To end a run is to end every process that carries that mark. A janitor, a small
process of its own, does the same if Python is killed and could not.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.testcluster import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MARK = "USERPODS_TESTCLUSTER_RUN"
#: Has programs in Go collect their garbage less often, until they hold this much.
_LESS_COLLECTING = {"GOGC": "400", "GOMEMLIMIT": "2GiB"}
#: From, and up to but without.
_PORTS = (12000, 20000)


class StartError(Exception):
    """A program of the cluster ended or did not become ready; the message has its last words."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of this machine's loopback that nobody listens on.

    Below the range that the kernel picks outgoing ports from, so that a server which is stopped
    for a while finds its port free when it comes back, and outside of the one that the local
    cluster gives to pods. For a minute no other test is given it: a demo takes seconds until it
    listens, while others look for ports, too.
    """
    while True:
        port = random.randrange(*_PORTS)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                continue
        if _claim(port):
            return port


def _claim(port: int) -> bool:
    """Say whether nobody asked for a port within a minute; from now on somebody has."""
    folder = Path(tempfile.gettempdir()) / f"userpods-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    claim = folder / str(port)
    with (folder / "lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        # (A file of the future is of a clock that was wrong.)
        if claim.exists() and 0 <= time.time() - claim.stat().st_mtime < 60:
            return False
        claim.touch()
        return True


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Ask *condition* until it is true; ``TimeoutError`` that names *what* after *seconds*."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)


class Run:
    """The directory of one run and the programs in it."""

    def __init__(self) -> None:
        # Short, because socket paths may not exceed 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="userpods-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = self.directory / "logs"
        self._logs.mkdir()
        self._janitor = subprocess.Popen(
            [sys.executable, "-m", "tests.testcluster.janitor", str(self.directory)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            # Its own session: Ctrl-C in a terminal reaches Python only, and Python cleans up.
            start_new_session=True,
        )

    def start(
        self, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> None:
        """Start *command*, known as *name*; its output goes to ``logs/<name>.log``."""
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.directory,
                env={
                    **_LESS_COLLECTING,
                    **os.environ,
                    **(env or {}),
                    MARK: str(self.directory),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        """The file with everything that the program *name* said."""
        return self._logs / f"{name}.log"

    def pid(self, name: str) -> int:
        """The process id of the program *name*."""
        return self._processes[name].pid

    def wait(self, name: str) -> None:
        """Wait until the program *name* has ended."""
        self._processes.pop(name).wait()

    def wait_ready(self, name: str, ready: Callable[[], object], seconds: float = 60) -> None:
        """Wait until *ready* is true; ``StartError`` if *name* ends, or takes longer."""

        def ready_or_ended() -> object:
            if (code := self._processes[name].poll()) is not None:
                raise StartError(f"{name} ended with {code}:\n{self._last_words(name)}")
            return ready()

        try:
            wait_for(ready_or_ended, f"{name} to be ready", seconds)
        except TimeoutError as error:
            raise StartError(f"{error}:\n{self._last_words(name)}") from None

    def stop(self, name: str, *, grace: float = 10) -> None:
        """End the program *name*: ask, and after *grace* seconds insist."""
        process = self._processes.pop(name)
        # Its whole process group: it may be the child of a wrapper such as nsenter.
        _signal_group(process.pid, signal.SIGTERM)
        end = time.monotonic() + grace
        while process.poll() is None or _signal_group(process.pid, 0):
            if time.monotonic() > end:
                _signal_group(process.pid, signal.SIGKILL)
            time.sleep(0.02)

    def close(self) -> None:
        """End everything and remove the directory."""
        end_marked(self.directory)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        clean(self.directory)
        janitor_input: IO[bytes] | None = self._janitor.stdin
        if janitor_input:
            janitor_input.close()
        self._janitor.wait()

    def _last_words(self, name: str) -> str:
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-20:])


def marked(directory: Path) -> list[int]:
    """The ids of the living processes that belong to the run in *directory*."""
    mark = f"{MARK}={directory}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


def end_marked(directory: Path) -> None:
    """Kill every process of the run in *directory*.

    Without asking first: nothing of a test cluster is worth keeping, and asking takes seconds.
    """
    # More than once: a program may have started another one while we looked.
    for _ in range(100):
        pids = marked(directory)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        # Our own children stay, without an environment, until they are waited for.
        time.sleep(0.02)


def clean(directory: Path) -> None:
    """End the run in *directory* and remove what it left; the janitor's work too."""
    end_marked(directory)
    # A node's pods have theirs under the name of its run.
    wait_for(lambda: cgroups.remove(directory.name), "the cgroups to be empty", 10)
    # Whatever the modes of what is in it.
    subprocess.run(["rm", "-rf", "--one-file-system", str(directory)], check=True)


def _signal_group(pid: int, number: int) -> bool:
    """Send a signal to the process group *pid*; whether there is such a group."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    return True
