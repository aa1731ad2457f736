"""Published holes of proxies that lose count of messages in a connection.

What was published, and where, is in docs/published-holes.md. Behind a gateway that reuses its
connections to the router, an answer too many is the next user's answer.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import eventually
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = pytest.mark.router

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-bob\r\n\r\n"
#: Asked last on a connection. Whoever does not answer it as asked has lost count.
LAST = (
    b"GET /last HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-alice\r\n"
    b"Connection: close\r\n\r\n"
)

WHO = {
    "nobody": b"",
    "a browser of nobody": b"Accept: text/html\r\n",
    "a wrong token": b"Authorization: Bearer nonsense\r\n",
    "alice": b"Cookie: sessionid=s-alice\r\n",
}
BODIES = {
    "by length": b"Content-Length: %d\r\n\r\n%s" % (len(HIDDEN), HIDDEN),
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
}


def said(port: int, data: bytes, seconds: float = 10) -> bytes:
    """All that comes back on one connection, until its other side closes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
        return answer


def statuses(answer: bytes) -> list[int]:
    """The statuses of the answers in what a connection said."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def assert_nothing_came_out(router: Router, django: FakeDjango, request: bytes) -> int:
    """Send the request and, on the same connection, the last; return the first one's status."""
    answer = said(router.port, request + LAST)
    assert b"smuggled" not in answer, answer
    # One answer each, or one and the connection closed.
    assert len(statuses(answer)) in {1, 2}, answer
    if len(statuses(answer)) == 2:
        assert b'"/last"' in answer
    assert not [seen for seen in django.seen if "smuggled" in str(seen["path"])]
    return statuses(answer)[0]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("method", [b"HEAD", b"GET", b"POST"])
@pytest.mark.parametrize("path", [b"/", b"/api/x"])
@pytest.mark.parametrize("who", WHO)
def test_no_request_comes_out_of_a_body(
    router: Router, django: FakeDjango, who: str, path: bytes, method: bytes, body: str
) -> None:
    """CVE-2024-33452: lua-nginx-module left the body of a HEAD for the next request."""
    head = b"%s %s HTTP/1.1\r\nHost: site.test\r\n" % (method, path)
    assert_nothing_came_out(router, django, head + WHO[who] + BODIES[body])


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("method", [b"HEAD", b"GET", b"POST"])
@pytest.mark.parametrize("state", ["no address", "refuses", "breaks off", "Django is silent"])
def test_no_request_comes_out_of_a_body_that_an_error_page_answers(
    router: Router, django: FakeDjango, state: str, method: bytes, body: str
) -> None:
    """CVE-2019-20372: nginx's error_page left the body, too. All our own pages are such."""
    path = b"/"
    if state == "no address":
        django.user("alice", None)
    elif state == "refuses":
        django.user("alice", f"127.0.0.1:{free_port()}")
    elif state == "breaks off":
        path = b"/close"
    else:
        django.odd = lambda handler: setattr(handler, "close_connection", True)
    head = b"%s %s HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-alice\r\n" % (method, path)
    answer = said(router.port, head + BODIES[body] + LAST.replace(b"/last", b"/accounts/last"))
    assert b"smuggled" not in answer, answer
    assert len(statuses(answer)) in {1, 2}, answer
    assert statuses(answer)[0] in {502, 503}
    assert not [seen for seen in django.seen if "smuggled" in str(seen["path"])]


@pytest.mark.parametrize("path", [b"/_userpods/whoami", b"/_userpods/variables"])
def test_nothing_follows_a_body_in_chunks_that_is_for_nobody(router: Router, path: bytes) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n" % path
    assert statuses(said(router.port, head + b"0\n\n" + HIDDEN)) == [404]


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\n\n", b"0\n\r\n"])
@pytest.mark.parametrize("path", [b"/", b"/api/x"])
@pytest.mark.parametrize("who", WHO)
def test_nothing_follows_a_body_in_chunks(
    router: Router, django: FakeDjango, who: str, path: bytes, end: bytes
) -> None:
    """nginx takes a bare LF there, after which a gateway may be in the middle of a chunk's line."""
    head = b"POST %s HTTP/1.1\r\nHost: site.test\r\n" % path + WHO[who]
    # The second time the router knows whose it is.
    for _ in range(2):
        answer = said(router.port, head + b"Transfer-Encoding: Chunked\r\n\r\n" + end + HIDDEN)
        assert len(statuses(answer)) == 1, answer
        assert b"Connection: close\r\n" in answer
    # A body with a length has one end, and the connection goes on.
    answer = said(router.port, head + b"Content-Length: 2\r\n\r\nhi" + LAST)
    assert len(statuses(answer)) == 2


def test_nothing_follows_a_body_in_chunks_that_is_refused(
    router: Router, django: FakeDjango
) -> None:
    """One login too many: answered before anybody looked at the body."""
    head = b"POST /accounts/login/ HTTP/1.1\r\nHost: site.test\r\n"
    request = head + b"Transfer-Encoding: chunked\r\n\r\n0\n\n"
    answers = [said(router.port, request + HIDDEN) for _ in range(30)]
    assert all(len(statuses(answer)) == 1 for answer in answers), answers
    assert statuses(answers[-1]) == [429]
    eventually(lambda: statuses(said(router.port, request)) != [429], 15)


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz", b"/purge", b"/nothing"])
@pytest.mark.parametrize("method", [b"HEAD", b"GET", b"POST"])
@pytest.mark.parametrize("body", BODIES)
def test_no_purge_comes_out_of_a_body(
    router: Router, path: bytes, method: bytes, body: str
) -> None:
    head = b"%s %s HTTP/1.1\r\nHost: x\r\n" % (method, path)
    inner = BODIES[body]
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = said(router.internal, head + inner + last)
    assert len(statuses(answer)) in {1, 2}, answer


@pytest.mark.parametrize(
    "line",
    [
        # CVE-2023-25725: a header without a name ended HAProxy's list of headers.
        b": x",
        b" : x",
        # CVE-2023-40225: an empty length was passed on beside another.
        b"Content-Length:",
        b"Content-Length: \r\nContent-Length: 70",
        # CVE-2019-18802 and CVE-2026-134820: blanks around names and values.
        b"Content-Length : 70",
        b"Content-Length\t: 70",
        b"Content-Length: 70 70",
        b"Content-Length: -70",
        b"Content-Length: 7\x000",
        # CVE-2024-1135 and CVE-2024-6827: which of several encodings counts.
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: chunked, cow",
        b"Transfer-Encoding: \x00chunked",
        b"Transfer-Encoding: chunked\x00",
        b"Transfer-Encoding:\n chunked",
    ],
)
@pytest.mark.parametrize("path", [b"/", b"/api/x"])
def test_a_length_that_may_be_read_in_two_ways_is_refused_or_read_in_one(
    router: Router, django: FakeDjango, path: bytes, line: bytes
) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-alice\r\n" % path
    answer = said(router.port, head + line + b"\r\nConnection: close\r\n\r\n0\r\n\r\n" + HIDDEN)
    assert statuses(answer) in ([400], [501], [200]), answer
    assert b"smuggled" not in answer
    assert not [seen for seen in django.seen if "smuggled" in str(seen["path"])]


@pytest.mark.parametrize(
    "chunks",
    [
        # CVE-2025-22871: a bare line feed after a chunk's size, or in its extension.
        b"5\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"00000000000000000005\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length: 99\r\nX-Userpods-User: bob\r\n\r\n",
    ],
)
@pytest.mark.parametrize("path", [b"/", b"/api/x"])
def test_odd_chunks_are_refused_or_written_anew(
    router: Router, django: FakeDjango, path: bytes, chunks: bytes
) -> None:
    """The pod and Django get chunks (or a length) of the router's own making, or nothing."""
    head = (
        b"POST %s HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-alice\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" % path
    )
    answer = said(router.port, head + chunks + LAST)
    first, *rest = statuses(answer)
    assert first in {200, 400, 502}, answer
    assert len(rest) <= 1
    assert b'"bob"' not in answer


class OddPod:
    """A pod that takes one connection after the other and answers each with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.peer = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection: socket.socket) -> None:
        number = len(self.heard)
        self.heard.append(b"")
        with connection, contextlib.suppress(OSError):
            is_answered = False
            while part := connection.recv(1 << 16):
                self.heard[number] += part
                if not is_answered and b"\r\n\r\n" in self.heard[number]:
                    connection.sendall(self.answer)
                    is_answered = True


@contextlib.contextmanager
def odd_pod(answer: bytes) -> Iterator[OddPod]:
    pod = OddPod(answer)
    try:
        yield pod
    finally:
        pod.listener.close()


UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-alice\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden", b"426 Upgrade Required"])
def test_an_upgrade_that_was_refused_opens_no_tunnel(
    router: Router, django: FakeDjango, status: bytes
) -> None:
    """CVE-2024-23326: Envoy took a 200 with an Upgrade header for a change of protocols.

    CVE-2026-2833: Pingora passed on what followed the request before the upgrade was accepted.
    """
    answer = (
        b"HTTP/1.1 %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Content-Length: 2\r\n\r\nno" % status
    )
    with odd_pod(answer) as pod:
        django.user("alice", pod.peer)
        last = LAST.replace(b"s-alice", b"s-bob")
        back = said(router.port, UPGRADE + last)
        assert statuses(back)[0] == int(status[:3])
        # The second request, if the connection lives, is bob's and goes to bob's pod alone.
        assert len(statuses(back)) == 1 or b'"name": "bob"' in back
        assert all(b"/last" not in heard and b"s-bob" not in heard for heard in pod.heard)


def test_no_bytes_follow_an_upgrade_of_another_protocol(router: Router, django: FakeDjango) -> None:
    """Smuggling over h2c: a 101 that the client, but not the router, takes for its own."""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with odd_pod(answer) as pod:
        django.user("alice", pod.peer)
        upgrade = UPGRADE.replace(b"websocket", b"h2c").replace(
            b"Connection: Upgrade", b"Connection: Upgrade, HTTP2-Settings"
        )
        with socket.create_connection(("127.0.0.1", router.port), timeout=10) as connection:
            connection.sendall(upgrade + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            with contextlib.suppress(OSError):
                while connection.recv(1 << 16):
                    pass
        eventually(lambda: pod.heard)
        assert all(b"PRI *" not in heard and b"pgrade" not in heard for heard in pod.heard)


def test_an_accepted_upgrade_is_an_answer_like_any_other(
    router: Router, django: FakeDjango
) -> None:
    """CVE-2026-55458: Caddy cleaned no headers of a 101."""
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b'Set-Cookie: sessionid=evil\r\nSet-Cookie: a=1; Domain=test\r\nAlt-Svc: h3=":1"\r\n'
        b'Clear-Site-Data: "cookies"\r\nX-Accel-Redirect: /admin/\r\nX-Own: 1\r\n\r\n'
    )
    with odd_pod(answer) as pod:
        django.user("alice", pod.peer)
        with socket.create_connection(("127.0.0.1", router.port), timeout=10) as connection:
            connection.sendall(UPGRADE)
            head = connection.recv(1 << 16)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"X-Own: 1\r\n" in head
    for name in (b"set-cookie", b"alt-svc", b"clear-site-data", b"x-accel"):
        assert name not in head.lower()


@pytest.mark.parametrize(
    ("request_head", "origin"),
    # What another origin starts does not come so far.
    [(UPGRADE, b"http://site.test"), (LAST, b"https://site.test")],
    ids=["WebSocket", "fetch"],
)
def test_an_application_can_compare_origin_and_host(
    router: Router, django: FakeDjango, request_head: bytes, origin: bytes
) -> None:
    """CVE-2023-26114: code-server did not. What they compare reaches them as it was sent."""
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    said_origin = b"Origin: " + origin + b"\r\n\r\n"
    with odd_pod(answer) as pod:
        django.user("alice", pod.peer)
        back = said(router.port, request_head.replace(b"\r\n\r\n", b"\r\n" + said_origin) + LAST)
        assert statuses(back)[0] == 403
        assert b"\r\nOrigin: " + origin + b"\r\n" in pod.heard[0]
        assert b"\r\nHost: site.test\r\n" in pod.heard[0]
        assert b"\r\nX-Forwarded-Host: site.test\r\n" in pod.heard[0]
