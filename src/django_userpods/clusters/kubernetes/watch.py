"""A WATCH of an API server, line by line; see Kubernetes, "API concepts".

Metadata alone is asked for, so a line is small however large the object is, and nothing is kept of
a line once it has been told.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from django_userpods.clusters.base import Event, Watch
from django_userpods.clusters.kubernetes import answers, errors
from django_userpods.clusters.kubernetes.bounded import Patience
from django_userpods.clusters.kubernetes.jsontext import loads
from django_userpods.exceptions import BadAnswer, ClusterTimeout, ClusterUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3.response import BaseHTTPResponse

    from django_userpods.clusters.kubernetes.retry import Deadline
    from django_userpods.core.objects import Kind, Manifest

#: Seconds that a server may be late in ending a watch.
LATE = 30.0
_PIECE = 1 << 16
#: Maximum number of bytes of a line. An object has at most 1.5 MiB (see ``transport``).
LONGEST = 4 << 20
_TYPES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})


class KubernetesWatch(Watch):
    """One WATCH, connected at the first ``next``.

    ``begin`` sends the call within a deadline and returns its answer, whose body is still to come.
    """

    def __init__(
        self,
        begin: Callable[[Deadline], BaseHTTPResponse],
        kind: Kind,
        *,
        what: str,
        server: Callable[[], str],
        timeout: float,
        silence: float,
        seconds: float,
    ) -> None:
        self._begin, self._kind, self._what, self._server = begin, kind, what, server
        self._patience = Patience(timeout, silence=silence)
        self._longest = seconds + LATE
        self._end = float("inf")
        self._response: BaseHTTPResponse | None = None
        self._buffer = bytearray()
        #: Up to which byte of the buffer there is no end of a line.
        self._searched = 0
        self._reading = threading.Lock()
        self._is_closed = self._was_open = False

    @property
    def is_open(self) -> bool:
        """Whether the server has answered that it tells."""
        return self._response is not None and not self._is_closed

    @property
    def was_open(self) -> bool:
        """Whether the server has answered that it tells, be that over or not."""
        return self._was_open

    def __next__(self) -> Event:
        with self._reading:
            try:
                line = self._next_line()
                if line is not None:
                    return self._event(line)
            except BaseException:
                self._is_closed = True
                self._release()
                raise
            self._is_closed = True
            self._release()
            raise StopIteration

    def close(self) -> None:
        """End it now; whoever waits for the next event sees the end."""
        self._is_closed = True
        self._patience.hang_up()
        # Whoever reads just now lets go of the rest.
        if self._reading.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._reading.release()

    def _release(self) -> None:
        # What has ended well is in the pool again by now; what has not, ``close`` ends.
        self._patience.let_go()
        response, self._response = self._response, None
        self._buffer.clear()
        if response is not None:
            response.close()

    def _next_line(self) -> bytes | None:
        """Return the next line, or None at the end."""
        while not self._is_closed:
            at = self._buffer.find(b"\n", self._searched)
            if at >= 0:
                line = bytes(self._buffer[:at])
                del self._buffer[: at + 1]
                self._searched = 0
                if line.strip():
                    return line
                continue
            self._searched = len(self._buffer)
            if len(self._buffer) > LONGEST:
                message = (
                    f"{self._what}: {self._server()} sends a line of more than {LONGEST >> 20} MiB"
                )
                raise BadAnswer(message)
            if time.monotonic() >= self._end:
                return None
            try:
                piece = self._read()
            except ClusterUnavailable:
                if self._was_closed():
                    return None
                raise
            if not piece:
                if self._buffer and not self._was_closed():
                    raise BadAnswer(self._broken())
                return None
            self._buffer += piece
        return None

    def _was_closed(self) -> bool:
        """Tell whether another thread has closed it by now."""
        return self._is_closed

    def _read(self) -> bytes:
        if self._response is None:
            self._response = self._begin(self._patience)
            self._was_open = True
            self._patience.listen()
            self._end = time.monotonic() + self._longest
        try:
            return self._response.read1(_PIECE, decode_content=False)
        except (HTTPError, OSError, ValueError) as error:
            seen: BaseException | None = error
            while seen is not None:
                if isinstance(seen, TimeoutError):
                    raise ClusterTimeout(
                        f"{self._what}: nothing was heard of {self._server()} for "
                        f"{self._patience.silence:g} s"
                    ) from error
                seen = seen.__cause__ or seen.__context__
            raise ClusterUnavailable(self._broken()) from error

    def _broken(self) -> str:
        return f"{self._what}: the answer of {self._server()} broke off in the middle"

    def _event(self, line: bytes) -> Event:
        try:
            said = loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("object"), dict):
            raise BadAnswer(f"{self._what}: {self._server()} sent a line that is not an event")
        found: dict[str, Any] = said["object"]
        if said.get("type") == "ERROR":
            raise errors.from_answer(
                int(found.get("code") or 500),
                json.dumps(found).encode(),
                what=self._what,
                server=self._server(),
                retry_after=None,
            )
        metadata = found.get("metadata")
        if (
            said.get("type") not in _TYPES
            or not isinstance(metadata, dict)
            or not metadata.get("resourceVersion")
        ):
            raise BadAnswer(f"{self._what}: {self._server()} sent an event that says nothing")
        if said["type"] == "BOOKMARK":
            metadata = {"resourceVersion": metadata["resourceVersion"]}
        return Event(said["type"], answers.trimmed(self._manifest(metadata)))

    def _manifest(self, metadata: dict[str, Any]) -> Manifest:
        return {
            "apiVersion": self._kind.api_version,
            "kind": self._kind.kind,
            "metadata": metadata,
        }
