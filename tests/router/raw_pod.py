"""A pod that says whatever bytes a test gives it, on a real socket, and keeps the connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

from tests.real.matrix import busy

if TYPE_CHECKING:
    from collections.abc import Callable

#: Stands in everything that a hostile pod says, so that it is recognized wherever it turns up.
MARK = b"EVIL"


class RawPod:
    """Answers every request's head with `answer`; then, if `closes`, ends the connection.

    `heads` are the requests as they came in, `connections` how many there were.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.peer = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.answer: bytes | Callable[[socket.socket], None] = b""
        self.closes = False
        self.connections = 0
        self.heads: list[bytes] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            rest = b""
            while True:
                while b"\r\n\r\n" not in rest:
                    data = connection.recv(1 << 16)
                    if not data:
                        return
                    rest += data
                head, _, rest = rest.partition(b"\r\n\r\n")
                self.heads.append(head)
                if callable(self.answer):
                    self.answer(connection)
                else:
                    connection.sendall(self.answer)
                if self.closes:
                    return


def read_quiet(connection: socket.socket, quiet: float = 0.4) -> tuple[bytes, bool]:
    """Everything that comes until nothing came for ``quiet`` s, and whether that is the end.

    The seconds are those of a machine with nothing else to do, and begin with the first byte.
    """
    found = b""
    connection.settimeout(20)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            data = connection.recv(1 << 16)
        except TimeoutError:
            return found, False
        except ConnectionError:
            return found, True
        if not data:
            return found, True
        found += data
        connection.settimeout(quiet * busy())
    raise AssertionError("it never ends")


def split_answer(data: bytes, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes, bytes]:
    """Read one HTTP/1.1 answer strictly: status, headers, body, and what follows it.

    AssertionError for anything that two readers could take for two different things.
    """
    head, blank, rest = data.partition(b"\r\n\r\n")
    assert blank, data
    first, *lines = head.split(b"\r\n")
    assert first.startswith(b"HTTP/1.1 "), data
    assert first[9:12].isdigit(), data
    status = int(first[9:12])
    assert 200 <= status <= 999, data
    for byte in (b"\0", b"\r", b"\n"):
        assert byte not in b"".join([first, *lines]), data
    pairs = [line.partition(b":") for line in lines]
    assert all(colon and name and not name.isspace() for name, colon, _ in pairs), data
    names = [name.lower() for name, _, _ in pairs]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    for name in (b"content-length", b"transfer-encoding", b"connection"):
        assert names.count(name) <= 1, data
    assert not {b"content-length", b"transfer-encoding"} <= set(names), data
    if status == 204:
        assert not {b"content-length", b"transfer-encoding"} & set(names), data
    if method == "HEAD" or status in {204, 304}:
        return status, headers, b"", rest
    if headers.get(b"transfer-encoding") == b"chunked":
        body = b""
        while True:
            size, _, rest = rest.partition(b"\r\n")
            count = int(size, 16)
            body, rest = body + rest[:count], rest[count:]
            assert rest[:2] == b"\r\n", data
            rest = rest[2:]
            if count == 0:
                return status, headers, body, rest
    assert b"transfer-encoding" not in headers, data
    length = int(headers[b"content-length"])
    assert len(rest) >= length, data
    return status, headers, rest[:length], rest[length:]
