"""One call to an API server: its time, its retries, its rate; knows HTTP, not Kubernetes' kinds.

A call may take ``timeout`` seconds in all: waiting for its turn, connecting, sending, the answer
and every retry. What it may not do is wait for ever: bodies are read piece by piece against that
deadline, so a server that sends a byte a second does not hold a caller either.
"""

from __future__ import annotations

import threading
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import urllib3
from urllib3.exceptions import HTTPError

from django_userpods.clusters.kubernetes import errors
from django_userpods.clusters.kubernetes.retry import (
    Deadline,
    parse_retry_after,
    pause_before_retry,
)
from django_userpods.exceptions import (
    BadAnswer,
    ClusterConfigurationError,
    ClusterError,
    ClusterTimeout,
    Conflict,
    Unauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

    from urllib3.response import BaseHTTPResponse

    from django_userpods.clusters.kubernetes.ratelimit import RateLimiter

_T = TypeVar("_T")
_PIECE = 1 << 18
#: Credentials are asked for anew after this many seconds; the official client then looks whether
#: the token in the pod's file (every minute) or of an exec plugin (before it expires) is due.
_CREDENTIALS_LAST = 10.0
_NO_RETRIES = urllib3.Retry(total=False, redirect=False)
#: OSError: a CA file that has gone; ValueError: a URL that urllib3 cannot read.
_FAILURES = (HTTPError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Request:
    """A call, built and not yet sent. ``what`` says in an error's text what was being done."""

    method: str
    path: str
    what: str
    body: bytes | None = None
    content_type: str = "application/json"
    compress: bool = False
    #: Whether a 409 Conflict is the server's own race (with a quota, say) and not a refusal.
    conflict_passes: bool = False


@dataclass(slots=True)
class Connection:
    """A way to one API server, with credentials; made anew when they are refused."""

    #: With TLS and proxy set up.
    pools: urllib3.PoolManager
    #: The server's URL, and the same as it may be shown.
    base: str
    server: str
    authorization: Callable[[], str | None]
    #: Headers for whom we act as; a name may come more than once.
    impersonation: tuple[tuple[str, str], ...] = ()
    #: The URL of the proxy in between, for an error's text, or empty.
    proxy: str = ""
    _header: str | None = None
    _header_until: float = 0.0
    _headers: dict[tuple[str, bool], MutableMapping[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def headers(self, request: Request, deadline: Deadline, agent: str) -> MutableMapping[str, str]:
        """Return the headers of a request; the same dict as long as the credentials hold."""
        now = time.monotonic()
        if now >= self._header_until:
            with held(self._lock, deadline, what=request.what):
                if now >= self._header_until:
                    header = within(deadline, self.authorization, what=request.what)
                    if header != self._header:
                        self._header, self._headers = header, {}
                    self._header_until = time.monotonic() + _CREDENTIALS_LAST
        key = (request.content_type if request.body is not None else "", request.compress)
        headers = self._headers.get(key)
        if headers is None:
            headers = {"Accept": "application/json", "User-Agent": agent}
            headers["Accept-Encoding"] = "gzip" if request.compress else "identity"
            if key[0]:
                headers["Content-Type"] = key[0]
            if self._header:
                headers["Authorization"] = self._header
            if self.impersonation:
                headers = _with_repeats(headers, self.impersonation)
            self._headers[key] = headers
        return headers


class Transport:
    """Sends requests; ``connect`` makes a connection and raises ClusterConfigurationError."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        limiter: RateLimiter,
        connect_timeout: float,
        agent: str,
    ) -> None:
        self._connect = connect
        self._limiter = limiter
        self._connect_timeout = connect_timeout
        self._agent = agent
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    @property
    def server(self) -> str:
        """The URL of the server, for an error's text; empty before the first call."""
        return self._connection.server if self._connection is not None else ""

    def close(self) -> None:
        """Close what is open; the next call connects anew."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.pools.clear()

    def call(self, request: Request, deadline: Deadline) -> bytes:
        """Send a request, again where that may help, and return the body of its success."""
        attempt = 0
        renewed = False
        connection = self._connected(None, deadline, request.what)
        while True:
            attempt += 1
            if not self._limiter.wait(deadline.remaining()):
                raise ClusterTimeout(
                    f"{request.what}: too many calls are waiting for their turn (qps and burst "
                    f"of USERPODS_CLUSTER); {deadline.seconds:g} s were not enough"
                )
            error, retry_after = None, None
            try:
                status, headers, body = self._exchange(connection, request, deadline)
            except _Failure as failure:
                error, cause = failure.error, failure.__cause__
            else:
                if 200 <= status < 300:
                    return body
                cause = None
                retry_after = parse_retry_after(headers.get("Retry-After"))
                error = errors.from_answer(
                    status,
                    body,
                    what=request.what,
                    server=connection.server,
                    retry_after=retry_after,
                )
            if isinstance(error, Unauthorized) and not renewed:
                renewed = True
                connection = self._connected(connection, deadline, request.what)
                continue
            if isinstance(error, Conflict) and not request.conflict_passes:
                raise error from cause
            pause = pause_before_retry(error, attempt=attempt, retry_after=retry_after)
            if pause is None or pause >= deadline.remaining():
                raise error from cause
            time.sleep(pause)

    def _connected(self, refused: Connection | None, deadline: Deadline, what: str) -> Connection:
        """Return the connection, or a new one if the server refused the credentials of this."""
        connection = self._connection
        if connection is not None and connection is not refused:
            return connection
        with held(self._lock, deadline, what=what):
            if self._connection is None or self._connection is refused:
                self._connection = within(deadline, self._connect, what=what)
                if refused is not None:
                    refused.pools.clear()
            return self._connection

    def _exchange(
        self, connection: Connection, request: Request, deadline: Deadline
    ) -> tuple[int, Mapping[str, str], bytes]:
        remaining = deadline.remaining()
        what, server = request.what, connection.server
        if remaining <= 0:
            raise errors.timed_out(what=what, server=server, seconds=deadline.seconds)
        try:
            response = connection.pools.urlopen(
                request.method,
                connection.base + request.path,
                body=request.body,
                headers=connection.headers(request, deadline, self._agent),
                timeout=urllib3.Timeout(
                    connect=min(self._connect_timeout, remaining), read=remaining
                ),
                retries=_NO_RETRIES,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except _FAILURES as error:
            raise _Failure(
                errors.from_failure(
                    error,
                    what=what,
                    server=server,
                    proxy=connection.proxy,
                    seconds=deadline.seconds,
                )
            ) from error
        try:
            body = _read(response, deadline)
        except TimeoutError as error:
            response.close()
            raise errors.timed_out(what=what, server=server, seconds=deadline.seconds) from error
        except _FAILURES as error:
            response.close()
            if deadline.remaining() <= 0.001:
                raise errors.timed_out(
                    what=what, server=server, seconds=deadline.seconds
                ) from error
            raise _Failure(
                BadAnswer(f"{what}: the answer of {server} broke off in the middle")
            ) from error
        response.release_conn()
        headers: Mapping[str, str] = response.headers
        if headers.get("Content-Encoding") == "gzip":
            try:
                body = zlib.decompress(body, wbits=31)
            except zlib.error as error:
                raise _Failure(
                    BadAnswer(f"{what}: the answer of {server} broke off in the middle")
                ) from error
        if 200 <= response.status < 300 and "json" not in headers.get("Content-Type", ""):
            raise errors.not_json(response.status, body, what=what, server=server)
        return response.status, headers, body


def _with_repeats(
    headers: Mapping[str, str], more: Iterable[tuple[str, str]]
) -> MutableMapping[str, str]:
    """Return the headers and more of them, in which a name may come more than once."""
    from urllib3 import HTTPHeaderDict

    every = HTTPHeaderDict(headers)
    for name, value in more:
        every.add(name, value)
    return every


class _Failure(Exception):  # noqa: N818 - never leaves this module
    """Carries one of our errors to the place that decides about another try."""

    def __init__(self, error: ClusterError) -> None:
        self.error = error
        super().__init__(str(error))


def _read(response: BaseHTTPResponse, deadline: Deadline) -> bytes:
    """Read a body piece by piece, undecoded; TimeoutError at the deadline."""
    pieces: list[bytes] = []
    while True:
        remaining = deadline.remaining()
        if remaining <= 0:
            raise TimeoutError
        # urllib3 sets the socket's timeout once, for a whole request.
        sock = getattr(response.connection, "sock", None)
        if sock is not None:
            sock.settimeout(remaining)
        piece = response.read1(_PIECE, decode_content=False)
        if not piece:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.append(piece)


@contextmanager
def held(lock: threading.Lock, deadline: Deadline, *, what: str) -> Iterator[None]:
    """Hold a lock under which credentials are fetched, but do not wait for it for ever."""
    if not lock.acquire(timeout=max(0.0, deadline.remaining())):
        raise _credentials_late(deadline, what)
    try:
        yield
    finally:
        lock.release()


def within(deadline: Deadline, work: Callable[[], _T], *, what: str) -> _T:
    """Do work that knows no deadline (an exec plugin) in a thread, and wait only so long for it."""
    results: list[_T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            failures.append(error)

    thread = threading.Thread(target=run, name="userpods-credentials", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline.remaining()))
    if failures:
        raise failures[0]
    if not results:
        raise _credentials_late(deadline, what)
    return results[0]


def _credentials_late(deadline: Deadline, what: str) -> ClusterConfigurationError:
    return ClusterConfigurationError(
        f"{what}: the credentials were not there within {deadline.seconds:g} s; "
        "does the exec plugin of the kubeconfig hang?"
    )
