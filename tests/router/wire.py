"""Reads HTTP/1.1 answers from a socket to the letter (RFC 9112), and keeps every byte.

Clients and gateways differ in what they forgive; the router's answers must need no forgiveness.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.([01]) ([0-9]{3}) [\t\x20-\x7e\x80-\xff]*")
# nginx passes a pod's header on under any name without blanks and control characters. In a value
# control characters may be kept (RFC 9110, 5.5), but for three.
_FIELD = re.compile(rb"([^\x00-\x20\x7f:]+):[ \t]*([^\0\r\n]*?)[ \t]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
# As many as nginx takes: what is longer does not fit into its off_t.
_DIGITS = re.compile(rb"[0-9]{1,18}")


class Malformed(Exception):  # noqa: N818 - says what it is
    """These bytes are no HTTP/1.1 answer; the message says why."""


class Gone(ConnectionError):  # noqa: N818 - says what it is
    """The other side closed before the first byte of an answer."""


@dataclass(frozen=True)
class Answer:
    """One answer: header names in lower case, in order, duplicates kept."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    #: Whether the connection ended before the body did, as it does when a pod goes away.
    cut: bool
    #: Whether the next answer may follow on the connection.
    keeps: bool

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]


class Wire:
    """A client's connection; ``seen`` is all that was ever read from it."""

    def __init__(self, port: int, timeout: float = 10, source: str = "127.0.0.1") -> None:
        #: The address that it comes from.
        self.source = source
        self.connection = socket.create_connection(
            ("127.0.0.1", port), timeout=timeout, source_address=(source, 0)
        )
        self.seen = bytearray()
        self._at = 0

    def close(self) -> None:
        self.connection.close()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, method: str = "GET") -> Answer:
        """Read one answer to a request of this method; Malformed, Gone, TimeoutError."""
        if self._at == len(self.seen) and not self._more():
            raise Gone
        while True:
            version, status = self._status_line()
            headers = self._fields()
            # The router asks for a body; nothing else may come before an answer.
            if status != 100:
                break
            if headers:
                raise Malformed("100 with headers")
        if status < 200 and status != 101:
            raise Malformed(f"interim answer {status}")
        keeps = version == b"1" and not any(
            b"close" in value.lower() for key, value in headers if key == b"connection"
        )
        body, cut, ended = self._body(method, status, headers)
        return Answer(status, tuple(headers), body, cut, keeps and not ended)

    def rest(self, seconds: float) -> bytes:
        """Return whatever else comes within this number of seconds, or before the end."""
        self.connection.settimeout(seconds)
        try:
            while self._more():
                pass
        except TimeoutError:
            pass
        taken = bytes(self.seen[self._at :])
        self._at = len(self.seen)
        return taken

    def _more(self) -> bool:
        try:
            data = self.connection.recv(65536)
        except ConnectionResetError:
            return False
        self.seen += data
        return bool(data)

    def _line(self) -> bytes:
        while (end := self.seen.find(b"\n", self._at)) < 0:
            if not self._more():
                raise Malformed(f"ends within a line: {bytes(self.seen[self._at :])[:80]!r}")
        line = bytes(self.seen[self._at : end])
        self._at = end + 1
        if not line.endswith(b"\r"):
            raise Malformed(f"a line ends without CR: {line[:80]!r}")
        return line[:-1]

    def _status_line(self) -> tuple[bytes, int]:
        line = self._line()
        if not (match := _STATUS.fullmatch(line)):
            raise Malformed(f"no status line: {line[:80]!r}")
        return match[1], int(match[2])

    def _fields(self) -> list[tuple[bytes, bytes]]:
        found = []
        while line := self._line():
            if not (match := _FIELD.fullmatch(line)):
                raise Malformed(f"no header: {line[:80]!r}")
            found.append((match[1].lower(), match[2]))
        return found

    def _body(
        self, method: str, status: int, headers: list[tuple[bytes, bytes]]
    ) -> tuple[bytes, bool, bool]:
        """Return the body, whether it was cut, and whether the connection ended with it."""
        lengths = [value for key, value in headers if key == b"content-length"]
        codings = [value for key, value in headers if key == b"transfer-encoding"]
        if len(lengths) + len(codings) > 1:
            raise Malformed(f"more than one framing: {lengths + codings}")
        if lengths and not _DIGITS.fullmatch(lengths[0]):
            raise Malformed(f"no length: {lengths[0]!r}")
        if codings and codings[0].lower() != b"chunked":
            raise Malformed(f"unknown coding: {codings[0]!r}")
        if status in {101, 204, 304} or method == "HEAD":
            if codings and status == 204:
                raise Malformed("a coding on 204")
            return b"", False, status == 101
        if codings:
            return self._chunks()
        if lengths:
            body = self._take(int(lengths[0]))
            cut = len(body) < int(lengths[0])
            return body, cut, cut
        while self._more():
            pass
        return self._take(len(self.seen)), False, True

    def _chunks(self) -> tuple[bytes, bool, bool]:
        body = bytearray()
        while True:
            if self._at == len(self.seen) and not self._more():
                return bytes(body), True, True
            line = self._line()
            if not (match := _CHUNK.fullmatch(line)):
                raise Malformed(f"no chunk: {line[:80]!r}")
            if not (size := int(match[1], 16)):
                break
            part = self._take(size)
            body += part
            if len(part) < size:
                return bytes(body), True, True
            if self._line():
                raise Malformed("a chunk is longer than it says")
        if trailers := self._fields():
            raise Malformed(f"trailers: {trailers}")
        return bytes(body), False, False

    def _take(self, count: int) -> bytes:
        """Take this number of bytes, or what there is before the end."""
        while len(self.seen) - self._at < count and self._more():
            pass
        taken = bytes(self.seen[self._at : self._at + count])
        self._at += len(taken)
        return taken
