"""Nothing outlives the supervisor: a reaper process, marks in environments, parent death signals.

Three layers, each for what the one before cannot do. The kernel kills a workload's own process
when the supervisor dies (Linux). The reaper, a fork of the supervisor that waits on a pipe, then
kills what those processes had started. A mark in the environment finds what left its process
group, and what is left when supervisor and reaper were killed together (Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Environment variable of every workload: ``<state directory's id>/<supervisor run>/<UID>``.
MARK = "DJANGO_USERPODS_LOCAL"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(parent: int) -> None:
    """Have the kernel kill the calling process when the thread that forked it ends (Linux).

    Called between fork and exec, so it does nothing that takes a lock.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Signal a process group, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def marked(accept: Callable[[str], bool]) -> list[int]:
    """Return the ids of living processes whose mark is accepted; empty where there is no /proc."""
    prefix = f"{MARK}=".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid != os.getuid():
                continue
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # gone meanwhile, or a kernel thread, or not ours to read
            continue
        marks = (word[len(prefix) :] for word in words if word.startswith(prefix))
        if any(accept(mark.decode(errors="replace")) for mark in marks):
            found.append(int(entry.name))
    return found


def kill_marked(accept: Callable[[str], bool], *, patience: float = 2.0) -> int:
    """Kill every process whose mark is accepted, with what they fork meanwhile; say how many."""
    killed: set[int] = set()
    deadline = time.monotonic() + patience
    while (found := marked(accept)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
        time.sleep(0.02)
    return len(killed)


class Reaper:
    """The supervisor's hold on its reaper process.

    ``run`` is the first two parts of the mark. ``not_kept`` are descriptors that the reaper must
    not keep open. The supervisor's lock it does keep: the next supervisor waits for it.
    """

    def __init__(self, run: str) -> None:
        self.not_kept: list[int] = []
        self._run = run
        self._groups: set[int] = set()
        self._pipe = -1
        self.pid = -1
        self._fork()

    def add(self, group: int) -> None:
        """A workload was started in this process group."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """The process group is gone."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def check(self) -> None:
        """Make a new reaper where somebody killed it."""
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(self.pid, os.WNOHANG) == (0, 0):
                return
        os.close(self._pipe)
        self._fork()

    def close(self) -> None:
        """Let the reaper kill what is left, and wait until it has."""
        os.close(self._pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # check() makes a new one, which knows all
            os.write(self._pipe, line.encode())

    def _fork(self) -> None:
        reading, self._pipe = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._pipe)
                for descriptor in self.not_kept:
                    os.close(descriptor)
                self._wait_and_kill(reading)
            finally:
                os._exit(0)
        os.close(reading)

    def _wait_and_kill(self, reading: int) -> None:
        signal.set_wakeup_fd(-1)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        groups = set(self._groups)
        with open(reading, encoding="ascii") as lines:
            for line in lines:
                (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
        for group in groups:
            kill_group(group)
        kill_marked(lambda mark: mark.startswith(f"{self._run}/"))
