"""Bytes that the site's own server sends where nobody expects any: nobody else gets them.

nginx keeps connections to Django and takes them for other users' requests.
"""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import Router, eventually
from tests.router.raw_pod import MARK, read_quiet, split_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.router

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"


class Server(socketserver.ThreadingTCPServer):
    """A Django site's server, for /admin/, the waiting page and whoami."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        #: What is answered as it is, to anything but whoami.
        self.raw = b""
        #: Whether something comes behind it once ``late`` is set.
        self.is_late = False
        self.late = threading.Event()
        #: The paths that were asked for, by connection.
        self.connections: list[list[str]] = []
        #: Those that were asked for by who means to keep the connection, whatever becomes of it.
        self.kept: set[str] = set()


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        paths: list[str] = []
        self.server.connections.append(paths)
        while first := self.rfile.readline():
            lines = list(iter(self.rfile.readline, b"\r\n"))
            path = first.split()[1]
            if b"connection: close\r\n" not in [line.lower() for line in lines]:
                self.server.kept.add(path.decode())
            paths.append(path.decode())
            if path == b"/whoami":
                # A pod that starts.
                self.wfile.write(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")
            elif raw := self.server.raw:
                self.wfile.write(raw)
                if self.server.is_late:
                    self.server.late.wait(10)
                    self.wfile.write(EVIL)
            else:
                body = b"page of %b" % path
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def site(tmp_path: Path, server: Server) -> Iterator[Router]:
    with Router(tmp_path / "nginx", server.server_address[1], workers=1) as router:
        yield router


def ask(router: Router, *requests: bytes) -> tuple[bytes, bool]:
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as gateway:
        gateway.sendall(b"".join(requests))
        return read_quiet(gateway)


def request(path: str, method: str = "GET", more: str = "") -> bytes:
    cookie = "Cookie: sessionid=s-alice\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: site.test\r\n{cookie}{more}\r\n".encode()


HEAD = b"HTTP/1.1 %b\r\n%b\r\n"
#: A request, and the head of its answer, after which nginx takes nothing more for a part of that.
ENDED = {
    "HEAD": ("HEAD", "", b"200 OK", b"Content-Length: 4\r\n"),
    "HEAD, as some say it": ("HEAD", "", b"200 OK", b"Connection: close\r\n"),
    "HEAD and Upgrade": ("HEAD", "Upgrade: x\r\n", b"200 OK", b"Content-Length: 4\r\n"),
    "204": ("GET", "", b"204 No Content", b""),
    "304": ("GET", "", b"304 Not Modified", b""),
    "nothing": ("GET", "", b"200 OK", b"Content-Length: 0\r\n"),
    "103": ("GET", "", b"103 Early Hints", b"Content-Length: 0\r\n"),
    "HEAD and 103": ("HEAD", "", b"103 Early Hints", b""),
}


@pytest.mark.parametrize("how", ENDED)
def test_what_comes_after_an_answer_is_nobody_elses(site: Router, server: Server, how: str) -> None:
    """As some servers send a body for HEAD where a page streams."""
    method, more, status, headers = ENDED[how]
    server.raw, server.is_late = HEAD % (status, headers), True
    ask(site, request("/admin/alices", method, more))
    server.raw = b""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as bob:
        bob.sendall(request("/admin/bobs"))
        eventually(lambda: any("/admin/bobs" in paths for paths in server.connections), 10)
        server.late.set()
        found, _ = read_quiet(bob)
    assert split_answer(found)[2] == b"page of /admin/bobs"


def test_whoami_is_heard_over_connections_of_its_own(site: Router, server: Server) -> None:
    """What any page leaves behind on one is not taken for its word."""
    for more in ("", "Prefer: wait=1\r\n", ""):
        assert split_answer(ask(site, request("/admin/"))[0])[0] == 200
        # Whose page asks Django for a start, and a request that is held as well.
        assert split_answer(ask(site, request("/of-alices-pod", more=more))[0])[0] == 200
    asked = [paths for paths in server.connections if "/whoami" in paths]
    others = [paths for paths in server.connections if "/whoami" not in paths]
    assert set(itertools.chain(*asked)) == {"/whoami"}
    assert set(itertools.chain(*others)) == {"/admin/", "/userpods/waiting/"}
    # These are kept, and those never.
    assert max(map(len, asked)) >= 4
    assert max(map(len, others)) == 1
    assert server.kept == {"/whoami"}


@pytest.mark.parametrize("path", ["/admin/", "/of-alices-pod"])
@pytest.mark.parametrize(
    "raw",
    [
        b"EVIL no head\n",
        b"HTTP/0.9 200 OK\r\n\r\nEVIL",
        b"HTTP/1.1 103 EVIL\r\n\r\n" + EVIL,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + EVIL,
        b"HTTP/1.1 000 EVIL\r\n\r\n" + EVIL,
    ],
)
def test_what_has_no_end_is_not_passed_on(
    site: Router, server: Server, path: str, raw: bytes
) -> None:
    """Of a page, nor of the waiting page; and nothing else is answered on that connection."""
    server.raw = raw
    found, is_closed = ask(site, request(path), request("/admin/next"))
    assert is_closed
    assert MARK not in found
    assert found == b"" or split_answer(found)[3] == b""
