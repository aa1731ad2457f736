"""The nginx in Django's pods: no client holds a thread, and none speaks for a gateway."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from django_userpods.deploy import shipped
from tests.router.harness import Process, eventually, is_open, nginx_binary
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.router


class OneThread(BaseHTTPRequestHandler):
    """Answers with the headers that it got; while it reads one request nobody else is served."""

    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps({key.lower(): value for key, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("X-Heard", self.headers.get("Connection", "-"))
        self.end_headers()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def django() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), OneThread)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@contextlib.contextmanager
def front(folder: Path, django: int, *, gateway: str) -> Iterator[int]:
    """The port of the shipped nginx in front of this Django; *gateway* may bring requests."""
    folder.mkdir()
    port = free_port()
    text = (shipped.source() / "example" / "front.conf").read_text()
    for shipped_word, ours in (
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8000", f"127.0.0.1:{django}"),
        ("/tmp/", f"{folder}/"),  # noqa: S108 - the container's
        ("10.0.0.0/8", gateway),
    ):
        assert shipped_word in text
        text = text.replace(shipped_word, ours)
    (folder / "front.conf").write_text(text)
    command = [nginx_binary(), "-e", "stderr", "-c", str(folder / "front.conf")]
    command += ["-g", "user root;"] if os.geteuid() == 0 else []
    with Process(command, folder / "log"):
        eventually(lambda: is_open(port) or "[emerg]" in (folder / "log").read_text())
        assert is_open(port), (folder / "log").read_text()
        yield port


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory, django: int) -> Iterator[int]:
    """As in a cluster: this machine is no gateway."""
    with front(tmp_path_factory.mktemp("front") / "a", django, gateway="10.0.0.0/8") as port:
        yield port


@pytest.fixture(scope="module")
def behind_us(tmp_path_factory: pytest.TempPathFactory, django: int) -> Iterator[int]:
    """This machine is the gateway."""
    with front(tmp_path_factory.mktemp("front") / "b", django, gateway="127.0.0.0/8") as port:
        yield port


def ask(
    port: int,
    method: str = "GET",
    path: str = "/",
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as link:
        said = {"Host": "userpods.example.org", **(headers or {})}
        link.request(method, path, body or None, said)
        answer = link.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read()


def test_clients_that_dawdle_with_their_bodies_hold_up_nobody(open_to_all: int) -> None:
    head = b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{"
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", open_to_all)))
            link.sendall(head)
        # Django has a single thread here, and answers within `ask`'s five seconds.
        assert ask(open_to_all)[0] == 200
        # One client has 64 requests at a time and no more.
        for _ in range(4):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", open_to_all)))
            link.sendall(head)
        eventually(lambda: ask(open_to_all)[0] == 429)
    eventually(lambda: ask(open_to_all)[0] == 200)


def test_the_passwords_that_one_client_tries_are_limited(behind_us: int) -> None:
    def attempts(path: str, address: str) -> list[int]:
        said = {"X-Forwarded-For": address}
        return [ask(behind_us, "POST", path, body=b"{}", headers=said)[0] for _ in range(30)]

    for path in ("/accounts/login/", "/api/login"):
        codes = attempts(path, f"203.0.113.{len(path)}")
        assert codes[0] == 200
        assert codes[-1] == 429
    # Somebody else is not held up by it.
    other = {"X-Forwarded-For": "203.0.113.99"}
    assert ask(behind_us, "POST", "/api/login", body=b"{}", headers=other)[0] == 200


def test_a_body_that_is_too_large_is_refused(open_to_all: int) -> None:
    assert ask(open_to_all, "POST", "/x", body=b"x" * (2 << 20))[0] == 200
    assert ask(open_to_all, "POST", "/x", body=b"x" * ((2 << 20) + 1))[0] == 413


SAID = {
    "X-Forwarded-For": "198.51.100.1, 203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "198.51.100.2",
    "X-Userpods-Host": "alice.pods.example.org",
    "X-Userpods-Path": "/pods/alice/",
    "X-Forwarded-Ssl": "off",
    "Forwarded": "for=198.51.100.3",
}


def test_what_a_stranger_says_of_itself_is_not_believed(open_to_all: int) -> None:
    seen = json.loads(ask(open_to_all, headers=SAID)[2])
    assert seen["x-real-ip"] == seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert not {"x-userpods-host", "x-userpods-path", "x-forwarded-ssl", "forwarded"} & set(seen)
    assert seen["host"] == "userpods.example.org"


def test_what_a_gateway_says_of_the_client_is(behind_us: int) -> None:
    seen = json.loads(ask(behind_us, headers=SAID)[2])
    assert seen["x-real-ip"] == "203.0.113.9"
    assert seen["x-forwarded-for"] == "198.51.100.1, 203.0.113.9, 127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    # Of the host and anything else not even a gateway speaks otherwise.
    assert not {"x-userpods-host", "x-userpods-path", "x-forwarded-ssl", "forwarded"} & set(seen)


def test_many_cookies_lock_nobody_out(open_to_all: int) -> None:
    for size in (8 << 10, 16 << 10, 60 << 10):
        status, _, body = ask(open_to_all, headers={"Cookie": f"big={'x' * size}"})
        assert (status, len(json.loads(body)["cookie"])) == (200, size + 4)
    status, headers, _ = ask(open_to_all, headers={"Cookie": f"big={'x' * (90 << 10)}"})
    assert (status, headers["clear-site-data"]) == (431, '"cookies"')


LINES_WITHOUT_VERSION = [
    b"GET /",
    b"GET /hid;HTTP/1.1",
    b"GET http://userpods.example.org/x",
    b"POST /",
    b"HEAD /",
    b"CONNECT /",
    b"GET /%zz",
    b"GET /../..",
    b"GET http://a..b/",
    b"GET /_unreadable",
]


def test_a_line_that_cannot_be_read_is_told_so(open_to_all: int) -> None:
    for line in (
        b"GET /%zz HTTP/1.1\r\nHost: x",
        b"GET /a b HTTP/1.1\r\nHost: x",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y",
    ):
        with socket.create_connection(("127.0.0.1", open_to_all), timeout=10) as link:
            link.sendall(line + b"\r\n\r\n")
            assert link.recv(1 << 16).startswith(b"HTTP/1.1 400 ")


def test_nobody_else_gets_a_body_that_comes_for_head(open_to_all: int) -> None:
    """No connection to Django is used again."""
    assert ask(open_to_all, "HEAD")[1]["x-heard"] == "close"
    assert json.loads(ask(open_to_all)[2])["connection"] == "close"


def test_a_request_without_a_version_is_not_answered(open_to_all: int) -> None:
    """Its answer would have no head, and nobody could tell where it begins."""
    first = b"GET /x HTTP/1.1\r\nHost: userpods.example.org\r\n\r\n"
    for before in (b"", first):
        for line in LINES_WITHOUT_VERSION:
            with socket.create_connection(("127.0.0.1", open_to_all), timeout=10) as link:
                link.sendall(before + line + b"\r\n\r\n")
                link.settimeout(10)
                said = b""
                while part := link.recv(1 << 16):
                    said += part
            assert said.count(b"HTTP/1.1 200 OK\r\n") == said.count(b"{") == bool(before)
