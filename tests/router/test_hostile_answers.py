"""Answers that are no proper HTTP: no byte of one pod is ever seen by another user.

A gateway that reuses its connections sends requests of different users over one of them, one after
the other. So every test here sends alice's request, takes what comes back as strictly as it can be
taken, and sends bob's on the same connection if that is still open.
"""

from __future__ import annotations

import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.router.raw_pod import MARK, RawPod, read_quiet, split_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = pytest.mark.router

OK = b"HTTP/1.1 200 OK\r\n"
EVIL = OK + b"Set-Cookie: sessionid=EVIL; Path=/\r\nContent-Length: 4\r\n\r\nEVIL"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
OK_CHUNKS = b"2\r\nok\r\n0\r\n\r\n"
EVIL_CHUNKS = b"4\r\nEVIL\r\n0\r\n\r\n"
REFUSED_103 = b"HTTP/1.1 103 EVIL\r\n\r\n" + EVIL
WEBSOCKET = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"


@pytest.fixture
def pod(django: FakeDjango, router: Router) -> Iterator[RawPod]:
    """Alice's pod, which says what it is told to."""
    with RawPod() as pod:
        django.user("alice", pod.peer)
        yield pod


def request(name: str, method: str = "GET", more: str = "") -> bytes:
    cookie = f"Cookie: sessionid=s-{name}\r\n"
    return f"{method} /x HTTP/1.1\r\nHost: site.test\r\n{cookie}{more}\r\n".encode()


def ask(router: Router, method: str = "GET", more: str = "") -> tuple[bytes, bool]:
    """All that alice gets, and whether her connection is closed; if it is not, bob gets his own."""
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as gateway:
        gateway.sendall(request("alice", method, more))
        found, is_closed = read_quiet(gateway)
        if is_closed:
            return found, True
        *_, following = split_answer(found, method)
        assert following == b"", found
        gateway.sendall(request("bob"))
        bobs, _ = read_quiet(gateway)
        assert MARK not in bobs, bobs
        status, _, body, following = split_answer(bobs)
        assert status == 200
        assert b'"name": "bob"' in body
        assert following == b""
    return found, False


def assert_refused(answer: tuple[bytes, bool], method: str = "GET") -> None:
    """A 502 of the router's own, the connection closed, and nothing of the pod's in it."""
    data, is_closed = answer
    status, headers, _, following = split_answer(data, method)
    assert status == 502
    assert headers[b"connection"] == b"close"
    assert is_closed
    assert following == b""
    assert MARK not in data
    assert b"set-cookie" not in headers


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", ["100", "101", "102", "103", "150", "199", "099", "000", "001"])
def test_a_status_below_200_ends_the_request(
    router: Router, pod: RawPod, status: str, method: str, *, closes: bool
) -> None:
    head = f"HTTP/1.1 {status} EVIL\r\n".encode()
    pod.closes = closes
    more = "Content-Length: 0\r\n" if method == "POST" else ""
    for lines in (b"", b"Set-Cookie: sessionid=EVIL\r\nEVIL_x: EVIL\r\nEtag: EVIL\r\n"):
        pod.answer = head + lines + b"\r\n" + EVIL
        assert_refused(ask(router, method, more), method)
        if method == "HEAD":
            # Such a pod's address rests for a while: see below.
            break


def test_a_client_of_a_later_http_1_is_answered_and_guarded(router: Router, pod: RawPod) -> None:
    """Of such a version nginx's Lua knows no number."""
    later = request("alice").replace(b" HTTP/1.1\r\n", b" HTTP/1.7\r\n")
    for answer, status in ((OK + b"Content-Length: 2\r\n\r\nok", 200), (REFUSED_103, 502)):
        pod.answer = answer
        with socket.create_connection(("127.0.0.1", router.port), timeout=10) as gateway:
            gateway.sendall(later)
            found, _ = read_quiet(gateway)
        assert split_answer(found)[0] == status
        assert split_answer(found)[3] == b""
        assert MARK not in found


@pytest.mark.parametrize(
    "more",
    [
        "Upgrade: h2c\r\nConnection: Upgrade\r\n",
        "Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: websocket\r\nConnection: close\r\n",
        "Connection: Upgrade\r\n",
    ],
)
def test_a_101_that_nobody_asked_for_ends_the_request(
    router: Router, pod: RawPod, more: str
) -> None:
    for upgrade in (b"", b"Upgrade: h2c\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"):
        pod.answer = b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + b"\r\n" + EVIL
        assert_refused(ask(router, more=more))


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
def test_no_method_but_get_becomes_a_websocket(router: Router, pod: RawPod, method: str) -> None:
    pod.answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n" + EVIL
    assert_refused(ask(router, method, WEBSOCKET + "Content-Length: 0\r\n"), method)


@pytest.mark.parametrize("status", ["100", "103", "199"])
def test_asking_for_a_websocket_admits_a_101_alone(
    router: Router, pod: RawPod, status: str
) -> None:
    pod.answer = f"HTTP/1.1 {status} EVIL\r\n\r\n".encode() + EVIL
    assert_refused(ask(router, more=WEBSOCKET))


@pytest.mark.parametrize("asked", ["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade,x"])
def test_after_a_101_the_connection_carries_no_other_request(
    router: Router, pod: RawPod, asked: str
) -> None:
    """What is sent after it goes to alice's pod, and when the pod is done it is closed."""
    pod.answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nEVIL"
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as gateway:
        gateway.sendall(request("alice", more=WEBSOCKET.replace(": Upgrade", f": {asked}")))
        found, is_closed = read_quiet(gateway)
        assert found.startswith(b"HTTP/1.1 101 ")
        assert not is_closed
        pod.closes = True
        pod.answer = OK + b"Content-Length: 4\r\n\r\nEVIL"
        gateway.sendall(request("bob"))
        _, is_closed = read_quiet(gateway)
        assert is_closed
        # To her it came as bytes of her own WebSocket.
        assert b"sessionid=s-bob" in pod.heads[-1]


def test_a_request_sent_along_with_a_websocket_is_not_answered_by_its_own_pod(
    router: Router, pod: RawPod
) -> None:
    pod.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nEVIL"
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as gateway:
        gateway.sendall(request("alice", more=WEBSOCKET) + request("bob"))
        found, _ = read_quiet(gateway)
    status, _, body, following = split_answer(found)
    assert (status, body) == (404, MARK)
    status, _, body, _ = split_answer(following)
    assert status == 200
    assert b'"name": "bob"' in body
    assert MARK not in following


def test_a_connection_with_a_word_outstanding_is_not_used_again(
    router: Router, pod: RawPod
) -> None:
    """A 103 without a body, after which nginx alone would keep the connection to the pod."""
    pod.answer = b"HTTP/1.1 103 EVIL\r\nContent-Length: 0\r\n\r\n"
    assert_refused(ask(router))
    pod.answer = OK + b"Content-Length: 2\r\n\r\nok"
    before = pod.connections
    end = time.monotonic() + 10
    while (status := split_answer(ask(router)[0])[0]) == 503:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert status == 200
    assert pod.connections > before


REFUSED = {
    "two words, no status": b"HTTP/1.1\r\n\r\nEVIL",
    "no HTTP": b"EVIL",
    "HTTP/0.9 with a look of headers": b"EVIL: x\r\nSet-Cookie: sessionid=EVIL\r\n\r\nEVIL",
    "a status of four digits": b"HTTP/1.1 1030 EVIL\r\n\r\n" + EVIL,
    "a status of two digits": b"HTTP/1.1 20 EVIL\r\n\r\n" + EVIL,
    "a status with a letter": b"HTTP/1.1 2x0 EVIL\r\n\r\n" + EVIL,
    "a blank line first": b"\r\n" + EVIL,
    "another protocol": b"ICY 200 EVIL\r\n\r\nEVIL",
    "a bare CR in the status line": b"HTTP/1.1 200 O\rEVIL\r\n\r\nEVIL",
    "a folded header": OK + b"X: EVIL\r\n EVIL\r\nContent-Length: 4\r\n\r\nEVIL",
    "a folded first header": OK + b" EVIL: x\r\nContent-Length: 4\r\n\r\nEVIL",
    "a NUL in a value": OK + b"X: a\0EVIL\r\nContent-Length: 4\r\n\r\nEVIL",
    "a NUL in a name": OK + b"X\0EVIL: a\r\nContent-Length: 4\r\n\r\nEVIL",
    "a bare CR in a value": OK + b"X: a\rEVIL: b\r\nContent-Length: 4\r\n\r\nEVIL",
    "a blank before the colon": OK + b"Transfer-Encoding : chunked\r\n\r\n" + EVIL_CHUNKS,
    "no name": OK + b": EVIL\r\nContent-Length: 4\r\n\r\nEVIL",
    "a header without an end": OK + b"X: " + b"EVIL" * 10000,
}


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_an_answer_that_is_not_http_says_nothing(
    router: Router, pod: RawPod, answer: bytes, *, closes: bool
) -> None:
    """502, or the end of the connection where nginx has no way to say so; never the pod's bytes."""
    pod.answer, pod.closes = answer, closes
    data, is_closed = ask(router)
    assert is_closed
    assert MARK not in data
    if data:
        assert split_answer(data)[0] == 502


# What is clear about them passes; what is not is left out.
PASSED = {
    "two status lines": OK + OK + b"Content-Length: 2\r\n\r\nok",
    "chunks and a length": CHUNKED + b"Content-Length: 9\r\n\r\n" + OK_CHUNKS,
    "a length and chunks": OK + b"Content-Length: 9\r\n" + CHUNKED[len(OK) :] + b"\r\n" + OK_CHUNKS,
    "two lengths": OK + b"Content-Length: 9\r\nContent-Length: 2\r\n\r\nokEVILEVI",
    "a length spelt otherwise": OK + b"Content_Length: 9\r\nContent-Length: 2\r\n\r\nok",
    "trailers": CHUNKED + b"Trailer: EVIL\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: EVIL=1\r\n\r\n",
    "an extension of a chunk": CHUNKED + b"\r\n2;x=EVIL\r\nok\r\n0\r\n\r\n",
    "an answer after the chunks": CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
    "an answer after the length": OK + b"Content-Length: 2\r\n\r\nok" + EVIL,
    "an answer after nothing": OK + b"Content-Length: 0\r\n\r\n" + EVIL,
    "a body with a 204": b"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nEVIL",
    "chunks with a 204": b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n" + EVIL_CHUNKS,
    "a body with a 304": b"HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\nEVIL",
    "control bytes in the reason": b"HTTP/1.1 200 O\0EVIL\x01\x7f\r\nContent-Length: 2\r\n\r\nok",
    "a status of its own": b"HTTP/1.1 999 EVIL\r\nContent-Length: 2\r\n\r\nok",
    "another version": b"HTTP/3.7 200 EVIL\r\nContent-Length: 2\r\n\r\nok",
    "headers of a connection": OK
    + b"Connection: EVIL\r\nKeep-Alive: EVIL\r\nProxy-Connection: EVIL\r\n"
    + b"Content-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("answer", PASSED.values(), ids=PASSED)
def test_an_unclear_answer_is_framed_anew(router: Router, pod: RawPod, answer: bytes) -> None:
    pod.answer = answer
    data, is_closed = ask(router)
    assert not is_closed
    status, _, body, _ = split_answer(data)
    assert MARK not in data
    assert body == (b"ok" if status in {200, 999} and body else b"")


UNENDED = {
    "too short": OK + b"Content-Length: 9\r\n\r\nok",
    "an unended chunk": CHUNKED + b"\r\n9\r\nok",
    "no last chunk": CHUNKED + b"\r\n2\r\nok\r\n",
    "a chunk too large for any number": CHUNKED + b"\r\n" + b"f" * 20 + b"\r\nok",
    "a negative chunk": CHUNKED + b"\r\n-1\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("answer", UNENDED.values(), ids=UNENDED)
def test_an_answer_that_breaks_off_ends_the_connection(
    router: Router, pod: RawPod, answer: bytes
) -> None:
    pod.answer, pod.closes = answer, True
    assert ask(router)[1]


@pytest.mark.parametrize("status", ["100", "103", "199"])
def test_curl_keeps_its_session_cookie(
    router: Router, pod: RawPod, tmp_path: Path, status: str
) -> None:
    """An HttpOnly cookie of the site, which the pod tries to replace behind an interim answer."""
    pod.answer = f"HTTP/1.1 {status} EVIL\r\n\r\n".encode() + EVIL
    jar = tmp_path / "jar"
    jar.write_text("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tsessionid\ts-alice\n")
    command = ["curl", "-s", "-b", str(jar), "-c", str(jar), f"http://127.0.0.1:{router.port}/"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert MARK not in done.stdout
    assert "sessionid\ts-alice\n" in jar.read_text()
    assert "EVIL" not in jar.read_text()
