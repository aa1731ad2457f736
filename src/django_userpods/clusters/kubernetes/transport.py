"""One call to an API server: its time, its retries, its rate; knows HTTP, not Kubernetes' kinds.

A call may take ``timeout`` seconds in all: waiting for its turn and for credentials, looking the
name up, connecting, sending, the answer from its first byte to its last, and every retry
(``bounded``, ``errand``). An answer may have a size, too.
"""

from __future__ import annotations

import threading
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import urllib3
from urllib3.exceptions import HTTPError

from django_userpods.clusters.kubernetes import bounded, errors
from django_userpods.clusters.kubernetes.errand import OneErrand
from django_userpods.clusters.kubernetes.retry import parse_retry_after, pause_before_retry
from django_userpods.exceptions import (
    BadAnswer,
    ClusterConfigurationError,
    ClusterError,
    ClusterTimeout,
    Conflict,
    Unauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping

    from urllib3.response import BaseHTTPResponse

    from django_userpods.clusters.kubernetes.ratelimit import RateLimiter
    from django_userpods.clusters.kubernetes.request import ApiCall
    from django_userpods.clusters.kubernetes.retry import Deadline

_PIECE = 1 << 18
#: Maximum number of bytes of an answer, as sent and as unpacked. A page of 500 objects of the usual
#: 4 KiB has 2 MiB; an object has at most 1.5 MiB (etcd's ``--max-request-bytes``).
LARGEST = 128 << 20
#: Credentials are asked for anew after this many seconds; the official client then looks whether
#: the token in the pod's file (every minute) or of an exec plugin (before it expires) is due.
_CREDENTIALS_LAST = 10.0
_NO_RETRIES = urllib3.Retry(total=False, redirect=False)
#: OSError: a CA file that has gone; ValueError: a URL that urllib3 cannot read.
_FAILURES = (HTTPError, OSError, ValueError, zlib.error)


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
    _headers: dict[tuple[str, bool, str], MutableMapping[str, str]] = field(default_factory=dict)
    _renewal: OneErrand[None] = field(default_factory=lambda: OneErrand(name="credentials"))

    def __post_init__(self) -> None:
        bounded.bound(self.pools)

    def headers(self, request: ApiCall, deadline: Deadline, agent: str) -> MutableMapping[str, str]:
        """Return the headers of a request; the same dict as long as the credentials hold."""
        if time.monotonic() >= self._header_until:
            try:
                self._renewal.run(self._renew, deadline.remaining())
            except TimeoutError as error:
                raise _credentials_late(deadline, request.what) from error
        content_type = request.content_type if request.body is not None else ""
        key = (content_type, request.compress, request.accept)
        headers = self._headers.get(key)
        if headers is None:
            headers = {"Accept": request.accept, "User-Agent": agent}
            headers["Accept-Encoding"] = "gzip" if request.compress else "identity"
            if key[0]:
                headers["Content-Type"] = key[0]
            if self._header:
                headers["Authorization"] = self._header
            if self.impersonation:
                headers = _with_repeats(headers, self.impersonation)
            self._headers[key] = headers
        return headers

    def _renew(self) -> None:
        header = self.authorization()
        if header != self._header:
            self._header, self._headers = header, {}
        self._header_until = time.monotonic() + _CREDENTIALS_LAST


class Transport:
    """Sends requests; ``connect`` makes a connection and raises ClusterConfigurationError."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        limiter: RateLimiter,
        connect_timeout: float,
        agent: str,
        on_answer: Callable[[str, int], object] = lambda _method, _status: None,
    ) -> None:
        self._on_answer = on_answer
        self._connect = connect
        self._limiter = limiter
        self._connect_timeout = connect_timeout
        self._agent = agent
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._connecting: OneErrand[None] = OneErrand(name="connection")

    @property
    def server(self) -> str:
        """The URL of the server, for an error's text; empty before the first call."""
        return self._connection.server if self._connection is not None else ""

    @property
    def rate(self) -> float:
        """Calls a second in the long run, as of now; 0: no limit."""
        return self._limiter.rate

    def close(self) -> None:
        """Close what is open; the next call connects anew."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.pools.clear()

    def call(self, request: ApiCall, deadline: Deadline) -> bytes:
        """Send a request, again where that may help, and return the body of its success."""
        attempt = 0
        renewed = False
        connection = self._connected(None, deadline, request.what)
        while True:
            attempt += 1
            self._wait_for_turn(request, deadline)
            error, retry_after = None, None
            try:
                status, headers, body = self._exchange(connection, request, deadline)
            except _Failure as failure:
                error, cause = failure.error, failure.__cause__
                self._on_answer(request.method, 0)
            else:
                self._note(request, status)
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

    def open(self, request: ApiCall, deadline: Deadline) -> BaseHTTPResponse:
        """Send a request once, and return its success with the body still to be read.

        What ``deadline`` says when the body is read holds for that, too.
        """
        connection = self._connected(None, deadline, request.what)
        for renewed in (False, True):
            self._wait_for_turn(request, deadline)
            try:
                response = self._begin(connection, request, deadline)
                self._note(request, response.status)
                if response.status == 200:
                    if "json" not in response.headers.get("Content-Type", ""):
                        response.close()
                        raise errors.not_json(
                            response.status, b"", what=request.what, server=connection.server
                        )
                    return response
                status, headers, body = self._finish(response, connection, request, deadline)
            except _Failure as failure:
                raise failure.error from failure.__cause__
            error = errors.from_answer(
                status,
                body,
                what=request.what,
                server=connection.server,
                retry_after=parse_retry_after(headers.get("Retry-After")),
            )
            if renewed or not isinstance(error, Unauthorized):
                break
            connection = self._connected(connection, deadline, request.what)
        raise error

    def _note(self, request: ApiCall, status: int) -> None:
        self._on_answer(request.method, status)
        if status == 429:
            self._limiter.slow_down()

    def _wait_for_turn(self, request: ApiCall, deadline: Deadline) -> None:
        if not self._limiter.wait(deadline.remaining()):
            raise ClusterTimeout(
                f"{request.what}: too many calls are waiting for their turn (qps and burst "
                f"of USERPODS_CLUSTER); {deadline.seconds:g} s were not enough"
            )

    def _connected(self, refused: Connection | None, deadline: Deadline, what: str) -> Connection:
        """Return the connection, or a new one if the server refused the credentials of this."""

        def replace() -> None:
            if self._connection is None or self._connection is refused:
                self._connection = self._connect()
                if refused is not None:
                    refused.pools.clear()

        while True:
            connection = self._connection
            if connection is not None and connection is not refused:
                return connection
            try:
                self._connecting.run(replace, deadline.remaining())
            except TimeoutError as error:
                raise _credentials_late(deadline, what) from error

    def _exchange(
        self, connection: Connection, request: ApiCall, deadline: Deadline
    ) -> tuple[int, Mapping[str, str], bytes]:
        response = self._begin(connection, request, deadline)
        return self._finish(response, connection, request, deadline)

    def _begin(
        self, connection: Connection, request: ApiCall, deadline: Deadline
    ) -> BaseHTTPResponse:
        """Send a request, and return its answer with the body still to be read."""
        if deadline.remaining() <= 0:
            raise errors.timed_out(
                what=request.what, server=connection.server, seconds=deadline.seconds
            )
        headers = connection.headers(request, deadline, self._agent)
        remaining = deadline.remaining()
        try:
            with bounded.keep(deadline, request.guard):
                return connection.pools.urlopen(
                    request.method,
                    connection.base + request.path,
                    body=request.body,
                    headers=headers,
                    timeout=urllib3.Timeout(
                        connect=max(0.001, min(self._connect_timeout, remaining)),
                        read=max(0.001, remaining),
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
                    what=request.what,
                    server=connection.server,
                    proxy=connection.proxy,
                    seconds=deadline.seconds,
                )
            ) from error

    def _finish(
        self,
        response: BaseHTTPResponse,
        connection: Connection,
        request: ApiCall,
        deadline: Deadline,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Read an answer's body to its end."""
        what, server = request.what, connection.server
        try:
            body = _unpacked(_read(response, deadline), response)
        except TimeoutError as error:
            response.close()
            raise errors.timed_out(what=what, server=server, seconds=deadline.seconds) from error
        except _TooLarge as error:
            response.close()
            raise errors.too_large(what=what, server=server, limit=LARGEST) from error
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
        answered: Mapping[str, str] = response.headers
        wanted = "text/plain" if request.is_text else "json"
        if 200 <= response.status < 300 and wanted not in answered.get("Content-Type", ""):
            raise errors.not_json(response.status, body, what=what, server=server)
        return response.status, answered, body


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


class _TooLarge(Exception):  # noqa: N818 - never leaves this module
    """An answer has more than ``LARGEST`` bytes."""


def _read(response: BaseHTTPResponse, deadline: Deadline) -> bytes:
    """Read a body piece by piece, undecoded; TimeoutError at the deadline."""
    pieces: list[bytes] = []
    size = 0
    while True:
        if deadline.remaining() <= 0:
            raise TimeoutError
        piece = response.read1(_PIECE, decode_content=False)
        if not piece:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST:
            raise _TooLarge


def _unpacked(body: bytes, response: BaseHTTPResponse) -> bytes:
    """Return a body unpacked; zlib.error where it was cut."""
    if response.headers.get("Content-Encoding") != "gzip":
        return body
    unpacking = zlib.decompressobj(wbits=31)
    whole = unpacking.decompress(body, LARGEST)
    if unpacking.unconsumed_tail:
        raise _TooLarge
    if not unpacking.eof:
        message = "cut short"
        raise zlib.error(message)
    return whole


def _credentials_late(deadline: Deadline, what: str) -> ClusterConfigurationError:
    return ClusterConfigurationError(
        f"{what}: the credentials were not there within {deadline.seconds:g} s; "
        "does the exec plugin of the kubeconfig hang?"
    )
