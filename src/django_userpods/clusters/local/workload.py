"""One workload: a process that is started, probed, started again after a crash, and stopped."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from django_userpods.clusters.local.ports import LOOPBACK, is_free
from django_userpods.clusters.local.reaper import MARK, die_with_parent, kill_group, kill_marked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from django_userpods.clusters.local.reaper import Reaper

#: Seconds between tries after a crash: 1, 2, 4, ... and at most this.
MAX_BACKOFF = 30.0
#: A process that ran this long before it ended has not crashed at its start.
SETTLED = 30.0
#: Seconds between looks at the port of a process that is not yet, or is, ready.
PROBE_STARTING, PROBE_READY = 0.1, 3.0
#: Seconds after which it is said that a process takes no connections yet.
SLOW_START = 10.0
#: A log is cut when it is longer than this, in bytes; the part before is kept beside it.
MAX_LOG = 5_000_000
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True, slots=True)
class Spec:
    """What should run; two equal ones need no restart."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    port: int
    work: Path
    log: Path
    grace: float
    template: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """How a workload is: ``reason`` as Kubernetes would name it, ``message`` for a person."""

    ready: bool
    reason: str
    message: str


class Workload:
    """A process and what should become of it."""

    def __init__(self, uid: str, *, run: str, reaper: Reaper) -> None:
        self.uid = uid
        self.desired: Spec | None = None
        self.report = Readiness(ready=False, reason="Pending", message="waiting to be started")
        #: What its processes and theirs have in their environment, as ``MARK``.
        self.mark = f"{run}/{uid}"
        self._reaper = reaper
        self._process: subprocess.Popen[bytes] | None = None
        self._running: Spec | None = None
        self._started = 0.0
        self._failures = 0
        self._next_try = 0.0
        self._next_probe = 0.0
        self._kill_at: float | None = None

    @property
    def busy_port(self) -> int | None:
        """The port that a living process of ours may still hold."""
        return None if self._running is None else self._running.port

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return self._process is None

    @property
    def ended(self) -> int | None:
        """The id of a process that has ended, until note is taken of it."""
        if self._process is None:
            return None
        # Without reaping it: its group's number stays taken until then.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self._process.pid, flags) is None:
                return None
        return self._process.pid

    def want(self, spec: Spec | None) -> None:
        """Set what should run; a change is tried at once, whatever failed before."""
        if spec != self.desired:
            self.desired = spec
            self._failures = 0
            self._next_try = 0.0
        if spec is None and self._process is None:
            self._stopped()

    def step(self, now: float, *, port_busy: bool) -> float:
        """Do what is due at the monotonic time ``now``; return when something is due again."""
        if self.ended is not None:
            return now
        if self._process is not None:
            if self.desired != self._running:
                return self._stop(self._process, now)
            return self._probe(now)
        if self.desired is None:
            return now + 3600
        if port_busy:
            return now + PROBE_STARTING
        if now < self._next_try:
            return self._next_try
        return self._start(self.desired, now)

    def _start(self, spec: Spec, now: float) -> float:
        if not spec.argv:
            message = (
                "nothing to run: give the container a command in the template, or the cluster "
                "OPTIONS['command']"
            )
            return self._failed(now, "NoCommand", message)
        if not is_free(spec.port):
            message = f"port {spec.port} of this workload is in use by another program"
            return self._failed(now, "PortInUse", message)
        environment = dict(spec.env)
        environment[MARK] = self.mark
        try:
            spec.work.mkdir(parents=True, exist_ok=True)
            spec.log.parent.mkdir(parents=True, exist_ok=True)
            program = shutil.which(spec.argv[0], path=environment.get("PATH", os.defpath))
            if program is None:
                message = (
                    f"command not found: {spec.argv[0]!r}. The local cluster runs commands of "
                    "this machine, not of the image: install it or name it with its whole path"
                )
                return self._failed(now, "CommandNotFound", message)
            with spec.log.open("ab", buffering=0) as log:
                if log.tell() > MAX_LOG:
                    self._cut_log(spec.log)
                stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                with contextlib.suppress(OSError):  # a full disk is no reason not to run
                    log.write(f"--- {stamp} start on port {spec.port}: {spec.argv}\n".encode())
                process = subprocess.Popen(  # noqa: S603 - running the template's command is its purpose
                    [program, *spec.argv[1:]],
                    cwd=spec.work,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    # The supervisor has one thread, so this is safe between fork and exec.
                    preexec_fn=partial(die_with_parent, os.getpid()),
                )
        except (OSError, ValueError) as error:  # ValueError: a NUL in a word
            return self._failed(now, "CannotStart", f"cannot start {spec.argv[0]!r}: {error}")
        self._reaper.add(process.pid)
        # Not `now`: on a busy machine the start itself takes a while.
        self._process, self._running, self._started = process, spec, time.monotonic()
        if self._failures == 0:
            message = f"started as process {process.pid}, waiting for port {spec.port}"
            self.report = Readiness(ready=False, reason="Starting", message=message)
        self._next_probe = now + PROBE_STARTING
        return self._next_probe

    def _failed(self, now: float, reason: str, message: str) -> float:
        self._failures += 1
        delay = min(MAX_BACKOFF, 2.0 ** (self._failures - 1))
        self._next_try = now + delay
        if reason == "CrashLoopBackOff":
            message += f"; next try in {delay:g} s"
        self.report = Readiness(ready=False, reason=reason, message=message)
        return self._next_try

    def take_note(self, now: float) -> None:
        """Remember how a process has ended of which nothing is left."""
        assert self._process is not None  # noqa: S101 - it has ended
        code = self._process.wait()
        self._reaper.remove(self._process.pid)
        spec, asked = self._running, self._kill_at is not None
        self._process = self._running = self._kill_at = None
        if self.desired is None:
            self._stopped()
        elif asked:
            self.report = Readiness(ready=False, reason="Restarting", message="being started again")
        elif spec is not None:
            if now - self._started >= SETTLED:
                self._failures = 0
            self._failed(now, "CrashLoopBackOff", self._epitaph(code, spec))

    def _stopped(self) -> None:
        self.report = Readiness(ready=False, reason="Stopped", message="stopped")

    def _epitaph(self, code: int, spec: Spec) -> str:
        how = f"exited with status {code}"
        if code < 0:
            how = f"was killed by signal {-code}"
            with contextlib.suppress(ValueError):  # a real-time signal has no name
                how = f"was killed by {signal.Signals(-code).name}"
        times = f", {self._failures + 1} times in a row" if self._failures else ""
        last = _last_line(spec.log)
        words = f": {last}" if last else ""
        return f"the process {how}{times}{words} (log: {spec.log})"

    def _stop(self, process: subprocess.Popen[bytes], now: float) -> float:
        spec = self._running
        if self._kill_at is None:
            kill_group(process.pid, signal.SIGTERM)
            # Not `now`: a turn in which hundreds are started or stopped takes a while.
            self._kill_at = time.monotonic() + (spec.grace if spec else 0.0)
            self.report = Readiness(ready=False, reason="Stopping", message="being stopped")
        elif now >= self._kill_at:
            kill_group(process.pid)
            return now + PROBE_STARTING
        return min(self._kill_at, now + 1.0)

    def _probe(self, now: float) -> float:
        if now < self._next_probe:
            return self._next_probe
        spec = self._running
        assert spec is not None  # noqa: S101 - set with the process
        if accepts(spec.port):
            if now - self._started >= SETTLED:
                self._failures = 0
            self.report = Readiness(ready=True, reason="MinimumReplicasAvailable", message="ready")
            self._next_probe = now + PROBE_READY
            self._limit_log(spec.log)
        else:
            if self.report.ready or now - self._started > SLOW_START:
                message = f"the process runs but takes no connections on port {spec.port} ($PORT)"
                self.report = Readiness(ready=False, reason="NotListening", message=message)
            waited = now - self._started
            self._next_probe = now + (PROBE_STARTING if waited < SLOW_START else 1.0)
        return self._next_probe

    def _limit_log(self, log: Path) -> None:
        with contextlib.suppress(OSError):
            if log.stat().st_size > MAX_LOG:
                self._cut_log(log)

    def _cut_log(self, log: Path) -> None:
        """Keep the log's present beside it and empty it; writers append, so they go on."""
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def bury(workloads: Iterable[Workload], now: float) -> None:
    """Take note of the processes that have ended, and kill what they left behind.

    What left its process group is found by a look at all processes of this machine. There is one
    look for all that ended: where hundreds do, it takes a tenth of a second each time.
    """
    ended = {one: process for one in workloads if (process := one.ended) is not None}
    for process in ended.values():
        kill_group(process)
    if marks := {one.mark for one in ended}:
        kill_marked(lambda mark: mark in marks)
    for one in ended:
        one.take_note(now)


def accepts(port: int) -> bool:
    """Say whether the loopback port takes connections."""
    with closing(socket.socket()) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((LOOPBACK, port)) == 0


def expand(word: str, env: Mapping[str, str]) -> str:
    """Fill in ``$(NAME)`` from the environment; unknown ones stay, ``$$`` is a dollar sign.

    As Kubernetes does in a container's command, args and env ("Define a Command and Arguments").
    """

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return env.get(match[1], match[0])

    return _REFERENCE.sub(value, word)


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 2000))
            lines = deque((line for line in file if line.strip()), maxlen=1)
    except OSError:
        return ""
    text = lines[0].decode(errors="replace").strip() if lines else ""
    return "" if text.startswith("---") else text[:200]
