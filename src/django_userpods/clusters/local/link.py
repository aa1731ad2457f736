"""Django's end of the line to the supervisor: be counted as a user of it, start it, wake it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from django_userpods.exceptions import ClusterConfigurationError, ClusterTimeout, ClusterUnavailable

if TYPE_CHECKING:
    from django_userpods.clusters.local.paths import StateDir

#: What a workload and the supervisor see of Django's environment: no secrets of the site.
PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("LD_LIBRARY_PATH", "VIRTUAL_ENV"),
)


class Link:
    """One process' hold on the supervisor of a state directory."""

    def __init__(self, state: StateDir, *, idle_grace: float) -> None:
        self._state = state
        self._idle_grace = idle_grace
        self._mutex = threading.Lock()
        self._lock: int | None = None

    def attach(self, *, timeout: float) -> None:
        """Be counted: while anyone is, the supervisor stays. Ends with :meth:`detach` or death."""
        with self._mutex:
            if self._lock is not None:
                return
            try:
                descriptor = os.open(self._state.clients_lock, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                msg = f"the local cluster cannot use {self._state.clients_lock}: {error.strerror}"
                raise ClusterUnavailable(msg) from error
            try:
                # The supervisor holds it for moments only.
                wait_for_lock(descriptor, fcntl.LOCK_SH, timeout=timeout)
            except BaseException:
                os.close(descriptor)
                raise
            self._lock = descriptor

    def detach(self) -> None:
        """Be counted no more."""
        with self._mutex:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def wake(self) -> bool:
        """Tell the supervisor that something changed; False where there is none."""
        return wake(self._state)

    def ensure(self, *, timeout: float) -> None:
        """Start the supervisor if there is none, and wait until it is at work.

        Raises ClusterUnavailable with the supervisor's own words where it cannot start.
        """
        if self.wake():
            return
        package = Path(__file__).parents[3]
        environment = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        environment["PYTHONPATH"] = str(package)
        command = [sys.executable, "-P", "-m", __package__, "start", str(self._state.root)]
        command.append(f"--idle-grace={self._idle_grace}")
        try:
            # Whoever starts it at the same time waits for the same one: see the supervisor.
            done = subprocess.run(  # noqa: S603 - our own module
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"the local cluster's supervisor did not start within {timeout:g} s"
            raise ClusterTimeout(msg) from error
        except OSError as error:
            msg = f"the local cluster cannot run {sys.executable}: {error.strerror}"
            raise ClusterConfigurationError(msg) from error
        if done.returncode:
            words = done.stderr.strip().splitlines() or [f"see {self._state.supervisor_log}"]
            msg = f"the local cluster's supervisor did not start: {words[-1]}"
            raise ClusterUnavailable(msg)


def wake(state: StateDir) -> bool:
    """Write to the FIFO if it has a reader; a full one is being read anyway."""
    try:
        descriptor = os.open(state.wake, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        os.write(descriptor, b"!")
    except BlockingIOError:
        pass
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_for_lock(descriptor: int, operation: int, *, timeout: float) -> None:
    """Take a file lock within ``timeout`` seconds, or raise ClusterTimeout."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                msg = f"the local cluster was busy for {timeout:g} s"
                raise ClusterTimeout(msg) from None
            time.sleep(0.02)
        else:
            return
