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
        #: Set once the bytes behind an answer to HEAD may come.
        self.late = threading.Event()
        #: The paths that were asked for, by connection.
        self.connections: list[list[str]] = []


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        paths: list[str] = []
        self.server.connections.append(paths)
        while first := self.rfile.readline():
            lines = list(iter(self.rfile.readline, b"\r\n"))
            method, path, _ = first.split()
            paths.append(path.decode())
            closes = b"connection: close\r\n" in [line.lower() for line in lines]
            said = b"Connection: close\r\n" if closes else b""
            if path == b"/whoami":
                # A pod that starts.
                self.wfile.write(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")
            elif self.server.raw:
                self.wfile.write(self.server.raw)
            else:
                body = b"page of %b" % path
                head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (said, len(body))
                self.wfile.write(head)
                if method == b"HEAD":
                    self.server.late.wait(10)
                    body = EVIL
                self.wfile.write(body)
            if closes:
                return


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


def request(path: str, method: str = "GET") -> bytes:
    cookie = "Cookie: sessionid=s-alice\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: site.test\r\n{cookie}\r\n".encode()


def test_a_body_for_head_is_nobody_elses_answer(site: Router, server: Server) -> None:
    """As some servers send one for a page that streams."""
    found, _ = ask(site, request("/admin/alices", "HEAD"))
    assert split_answer(found, "HEAD")[0] == 200
    server.connections.clear()
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as bob:
        bob.sendall(request("/admin/bobs"))
        eventually(lambda: ["/admin/bobs"] in server.connections, 10)
        server.late.set()
        found, _ = read_quiet(bob)
    assert split_answer(found)[2] == b"page of /admin/bobs"


def test_whoami_is_heard_over_connections_of_its_own(site: Router, server: Server) -> None:
    """What any page leaves behind on one is not taken for its word."""
    for _ in range(3):
        assert split_answer(ask(site, request("/admin/"))[0])[0] == 200
        assert split_answer(ask(site, request("/of-alices-pod"))[0])[0] == 200
    asked: list[list[str]] = []
    others: list[list[str]] = []
    for paths in server.connections:
        (asked if "/whoami" in paths else others).append(paths)
    assert set(itertools.chain(*asked)) == {"/whoami"}
    assert set(itertools.chain(*others)) == {"/admin/", "/userpods/waiting/"}
    # Both are kept.
    assert max(map(len, asked)) == 3
    assert max(map(len, others)) == 6


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
