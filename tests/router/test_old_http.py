"""HTTP/0.9: what answers a request line without a version has no head, so nobody can tell its end.

Behind an answer on a connection that a gateway keeps it would be the beginning of the next one. So
there is none: the connection is closed, without a byte.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import Router
from tests.router.hosts_site import Site, hosts_site
from tests.router.raw_pod import read_quiet, split_answer
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

#: The first line, or what nginx takes for one: to a pod, the site, what is nginx's own, nowhere.
LINES = [
    b"GET /",
    b"GET / ",
    b"GET /hid;HTTP/1.1",
    b"GET /admin/?next=HTTP/1.1%20200%20OK",
    b"GET http://site.test/x",
    b"GET http://site.test/admin/",
    b"GET http://www.example.org/admin/login/",
    b"GET http://alice.pods.example.org/.userpods/status/",
    b"GET /.userpods/waiting/",
    b"GET /_userpods/whoami",
    b"GET /%zz",
    b"GET /../..",
    b"POST /",
    b"HEAD /admin/",
]


def after(port: int, framed: bytes, line: bytes) -> tuple[bytes, bool]:
    """What comes behind a first answer, of which there is none to b"", and whether that is all."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(framed + line + b"\r\n\r\n")
        data, is_closed = read_quiet(connection)
    return (split_answer(data)[3] if framed else data), is_closed


def ask(host: str, cookie: str = "") -> bytes:
    return f"GET /first HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n".encode()


@pytest.mark.parametrize("line", LINES)
def test_a_request_without_a_version_is_not_answered(
    router: Router, django: FakeDjango, line: bytes
) -> None:
    asked = len(django.seen)
    for first in (b"", ask("site.test", "Cookie: sessionid=s-alice\r\n"), ask("site.test")):
        assert after(router.port, first, line) == (b"", True)
    assert [it["path"] for it in django.seen[asked:] if it["path"] != "/whoami"] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, alice_pod: str, bob_pod: str) -> Iterator[Site]:
    peers = {"alice": alice_pod, "bob": bob_pod}
    with hosts_site(tmp_path_factory.mktemp("hosts"), peers) as running:
        yield running


@pytest.mark.parametrize("line", LINES)
def test_nor_is_it_where_pods_and_site_have_hosts(site: Site, line: bytes) -> None:
    first = ask("alice.pods.example.org", "X-Forwarded-Proto: https\r\n")
    for framed in (b"", first, ask("www.example.org")):
        assert after(site.router.port, framed, line) == (b"", True)


@pytest.mark.parametrize("line", LINES)
def test_nor_is_it_where_the_site_has_a_port_of_its_own(
    own_port: int, django: FakeDjango, line: bytes
) -> None:
    for framed in (b"", ask("www.example.org")):
        assert after(own_port, framed, line) == (b"", True)


@pytest.mark.parametrize(
    "line",
    [
        b"GET /%zz HTTP/1.1\r\nHost: site.test",
        b"GET /a b HTTP/1.1\r\nHost: site.test",
        b"GET /\x01 HTTP/1.1\r\nHost: site.test",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y",
        b"GET / HTTP/1.1",
    ],
)
def test_one_with_a_version_that_cannot_be_read_is_told_so(
    own_port: int, router: Router, line: bytes
) -> None:
    for port in (own_port, router.port):
        data, is_closed = after(port, b"", line)
        assert split_answer(data)[0] == 400
        assert is_closed


@pytest.fixture(scope="module")
def own_port(tmp_path_factory: pytest.TempPathFactory, running_django: FakeDjango) -> Iterator[int]:
    """Of a server like the one that docs/router.md shows, but with no pods' server beside it."""
    port = free_port()
    server = f"server {{ listen 127.0.0.1:{port}; include site-server.conf;"
    server += " location / { include site.conf; } }"
    folder = tmp_path_factory.mktemp("own")
    with Router(folder / "nginx", running_django.port, servers=server):
        yield port


def test_no_error_is_logged_of_it(router: Router) -> None:
    begun = len(router.log())
    for line in LINES:
        after(router.port, b"", line)
    assert "[error]" not in router.log()[begun:]
