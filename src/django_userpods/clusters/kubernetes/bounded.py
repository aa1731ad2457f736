"""Connections that keep a deadline: from the name's lookup to the last byte of an answer.

They also ask whether a call may be sent, once nothing stands between the answer and its bytes.

urllib3 and the standard library bound each single wait for the network, so a peer that sends a
byte now and then can hold a caller for days. Here what is waited for is the rest of the time that
the whole call has, at each wait. Looking a name up has no bound of its own at all.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import ConnectTimeoutError

from django_userpods.clusters.kubernetes.errand import Errand
from django_userpods.clusters.kubernetes.retry import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import urllib3

#: Bytes that are sent under one look at the clock.
_PIECE = 1 << 16
#: For a connection that is used outside of ``keep``.
_USUAL = 30.0


class Patience(Deadline):
    """The deadline of a call whose answer does not end: seconds until it begins, then silence.

    ``hang_up`` breaks its connection, whoever is waiting for it, and lets none be made any more.
    """

    __slots__ = ("_is_over", "_line", "_listens", "_lock", "silence")

    def __init__(self, seconds: float, *, silence: float) -> None:
        super().__init__(seconds)
        #: Seconds that each wait for a byte may take once ``listen`` was called.
        self.silence = silence
        self._listens = self._is_over = False
        self._line: socket.socket | None = None
        self._lock = threading.Lock()

    def remaining(self) -> float:
        """Seconds that the next wait may take."""
        if self._is_over:
            return 0.0
        return self.silence if self._listens else super().remaining()

    def listen(self) -> None:
        """From now on what counts is silence."""
        self._listens = True

    def hold(self, sock: Any) -> None:  # noqa: ANN401 - a socket, or TLS in TLS
        """Take note of the connection that is used."""
        # A handle of our own: the other may be closed, and its number be another's, at any time.
        line = socket.socket(fileno=os.dup(sock.fileno()))
        with self._lock:
            self._drop()
            self._line = line
            if self._is_over:
                self._drop()

    def hang_up(self) -> None:
        """Break the connection off."""
        with self._lock:
            self._is_over = True
            self._drop()

    def let_go(self) -> None:
        """Leave the connection as it is, for others to use."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._line is not None:
            if self._is_over:
                with suppress(OSError):  # the other end was quicker
                    self._line.shutdown(socket.SHUT_RDWR)
            self._line.close()
            self._line = None


class _Calls(threading.local):
    """The deadline of the call that this thread is in, and its guard."""

    deadline: Deadline | None = None
    guard: Callable[[], None] | None = None


_calls = _Calls()


@contextmanager
def keep(deadline: Deadline, guard: Callable[[], None] | None = None) -> Iterator[None]:
    """Have this thread's connections keep a deadline, and call ``guard`` before they send.

    The ClusterError that a guard raises comes out of the call, and closes the connection.
    """
    before = _calls.deadline, _calls.guard
    _calls.deadline, _calls.guard = deadline, guard
    try:
        yield
    finally:
        _calls.deadline, _calls.guard = before


def bound(pools: urllib3.PoolManager) -> None:
    """Make a pool manager's connections keep deadlines."""
    classes: dict[str, Any] = pools.pool_classes_by_scheme
    pools.pool_classes_by_scheme = {
        scheme: type(
            f"Bounded{pool.__name__}",
            (pool,),
            {"ConnectionCls": type("BoundedConnection", (_Connection, pool.ConnectionCls), {})},
        )
        for scheme, pool in classes.items()
    }


@contextmanager
def pool_of(host: str, port: int, *, seconds: float) -> Iterator[urllib3.HTTPConnectionPool]:
    """Yield a pool of plain connections to one place; all that is asked of it takes no longer."""
    import urllib3

    with urllib3.PoolManager() as pools, keep(Deadline(seconds)):
        bound(pools)
        yield pools.connection_from_host(host, port, scheme="http")


def _deadline() -> Deadline:
    return _calls.deadline or Deadline(_USUAL)


def _set_timeout(sock: Any, deadline: Deadline) -> None:  # noqa: ANN401 - a socket, or TLS in TLS
    remaining = deadline.remaining()
    if remaining <= 0:
        raise TimeoutError
    sock.settimeout(remaining)


class _Answer(http.client.HTTPResponse):
    """An answer whose every read keeps the deadline of the call that it is for."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **kwargs)
        raw: Any = self.fp
        self.fp = io.BufferedReader(_Reader(raw.detach(), sock, _deadline()))


class _Reader(io.RawIOBase):
    """What is read of a socket by a deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - a buffer
        _set_timeout(self._sock, self._deadline)
        return self._sock.recv_into(buffer)

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Connection:
    """Mixed into urllib3's connections."""

    response_class = _Answer
    sock: Any
    host: str
    close: Callable[[], None]

    def connect(self) -> None:
        """Look the name up, connect, pass a proxy, agree on TLS: all in the rest of the time."""
        deadline = _deadline()
        late = threading.Event()

        def work() -> None:
            with keep(deadline):
                super(_Connection, self).connect()  # type: ignore[misc] # of urllib3's class
            if late.is_set():
                self.close()

        try:
            Errand(work, name="connect").wait(deadline.remaining())
        except TimeoutError as error:
            late.set()
            message = f"no connection to {self.host} within {deadline.seconds:g} s"
            raise ConnectTimeoutError(self, message) from error

    def send(self, data: Any) -> None:  # noqa: ANN401 - bytes, as our calls send them
        """Send, and let a peer that takes a byte at a time do so for no longer either."""
        if self.sock is None:
            self.connect()
        deadline, whole = _deadline(), memoryview(data)
        if isinstance(deadline, Patience):
            deadline.hold(self.sock)
        for start in range(0, len(whole), _PIECE):
            # To connect may have taken seconds.
            if _calls.guard is not None:
                _calls.guard()
            _set_timeout(self.sock, deadline)
            super().send(whole[start : start + _PIECE])  # type: ignore[misc]
