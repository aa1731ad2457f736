"""Who reaches what: signed-in users their own pod, with everything that HTTP can carry."""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from tests.router.harness import Router, eventually, raw, read_response

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")
BOB = ("Cookie", "sessionid=s-bob")


def test_each_user_reaches_their_own_pod(router: Router) -> None:
    assert router.get("/", ALICE).json()["name"] == "alice"
    assert router.get("/", BOB).json()["name"] == "bob"


def test_a_bearer_token_is_as_good_as_a_session(router: Router) -> None:
    answer = router.get("/", ("Authorization", "Bearer upt_bob"))
    assert answer.json()["name"] == "bob"
    assert answer.sent("authorization") == []


def test_the_pod_is_told_who_the_user_is(router: Router) -> None:
    answer = router.get("/", ALICE)
    assert answer.sent("x-userpods-user") == ["alice"]
    assert answer.sent("x-forwarded-for") == ["127.0.0.1"]
    assert answer.sent("x-forwarded-proto") == ["http"]
    assert answer.sent("x-forwarded-host") == ["site.test"]
    assert answer.sent("host") == ["site.test"]


@pytest.mark.parametrize(
    "path", ["/a%2Fb//c", "//x", "/x/%2e%2e/y", "/a;b?c=%00&d", "/%E2%82%AC", "/a/./b?x=//y"]
)
def test_a_path_arrives_as_it_was_sent(router: Router, path: str) -> None:
    assert router.get(path, ALICE).json()["target"] == path


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "POST"])
def test_every_method_passes(router: Router, method: str) -> None:
    assert router.get("/", ALICE, method=method).json()["method"] == method


def test_site_paths_go_to_django(router: Router) -> None:
    answer = router.get("/accounts/login/?next=/", ("X-Userpods-User", "root"))
    assert answer.json()["name"] == "django"
    assert answer.sent("x-userpods-user") == []
    assert answer.all("set-cookie") == ["csrftoken=abc; Path=/"]
    assert router.get("/userpods/waiting/", ALICE).status == 503


@pytest.mark.parametrize("is_cached", [False, True])
def test_a_websocket_passes(router: Router, is_cached: bool) -> None:
    if is_cached:
        router.get("/", ALICE)
    with connect(
        f"ws://127.0.0.1:{router.port}/chat", additional_headers=[ALICE], proxy=None
    ) as websocket:
        assert websocket.recv(timeout=5) == "hello from alice"
        websocket.send("x" * 20000)
        assert websocket.recv(timeout=5) == "alice: " + "x" * 20000


def test_events_arrive_one_by_one(router: Router) -> None:
    with socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection:
        head = f"GET /sse?every=0.3 HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\n\r\n"
        connection.sendall(head.encode())
        stream = connection.makefile("rb")
        times: list[float] = []
        while len(times) < 4:
            line = stream.readline()
            if line.startswith(b"data:"):
                times.append(time.monotonic())
        gaps = [late - early for early, late in itertools.pairwise(times)]
        assert all(0.2 < gap < 0.6 for gap in gaps), gaps


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_long_upload_arrives_whole(router: Router, is_cached: bool, is_chunked: bool) -> None:
    if is_cached:
        router.get("/", ALICE)
    block = b"0123456789abcdef" * 4096
    count = 800  # 50 MiB
    digest = hashlib.sha256(block * count).hexdigest()
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(block) * count}"
    with socket.create_connection(("127.0.0.1", router.port), timeout=20) as connection:
        head = f"POST /upload HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\n{length}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(count):
            data = b"%x\r\n%s\r\n" % (len(block), block) if is_chunked else block
            connection.sendall(data)
        if is_chunked:
            connection.sendall(b"0\r\n\r\n")
        answer = read_response(connection, "POST").json()
    assert (answer["body"], answer["sha256"]) == (len(block) * count, digest)
    assert not any((router.folder / "run" / "body").iterdir())


def test_an_upload_streams(router: Router) -> None:
    """The pod sees the request before its body is complete."""
    with socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection:
        head = (
            f"POST /close HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\nContent-Length: 9999\r\n\r\n"
        )
        connection.sendall(head.encode() + b"only a little")
        assert read_response(connection).status == 502


def test_a_long_download_arrives_whole(router: Router) -> None:
    assert len(router.get("/big?bytes=52428800", ALICE).body) == 52428800


def test_connections_to_pods_and_django_are_kept(router: Router, django: FakeDjango) -> None:
    """300 requests over one client connection, so one worker: very few connections behind."""
    django.count.clear()
    numbers = set()
    with socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection:
        for number in range(300):
            cookie = f"userpods_token={number}; sessionid=s-alice"
            connection.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
            numbers.add(read_response(connection).json()["connection"])
    assert len(numbers) <= 2
    assert django.count["/whoami"] == 300
    assert django.count["connections"] <= 2


def test_the_access_log_names_the_user_and_the_times(router: Router) -> None:
    router.get("/logged?quote=%22", ALICE)

    def line() -> str | None:
        return next((x for x in router.log().splitlines() if "/logged" in x), None)

    words = json.loads(eventually(line))
    assert words["user"] == "alice"
    assert words["status"] == 200
    assert float(words["connect"]) >= 0
    assert float(words["response"]) >= 0


def test_the_internal_port_says_that_all_is_well(router: Router) -> None:
    assert router.get("/healthz", port=router.internal).json() == {"status": "ok"}
    assert router.get("/readyz", port=router.internal).json() == {"status": "ok"}
    assert router.get("/status", port=router.internal).status == 200


def test_the_internal_port_is_not_the_public_one(router: Router) -> None:
    assert router.get("/purge", ALICE, method="POST").json()["name"] == "alice"
    assert router.get("/healthz").status == 401
    assert router.get("/", ALICE, port=router.internal).status == 404


def test_pipelined_requests_keep_their_order(router: Router) -> None:
    one = f"GET /1 HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\n\r\n".encode()
    two = f"GET /2 HTTP/1.1\r\nHost: x\r\n{': '.join(BOB)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection:
        connection.sendall(one + two + one)
        names = [read_pipelined(connection) for _ in range(3)]
    assert names == ["alice", "bob", "alice"]


def read_pipelined(connection: socket.socket) -> str:
    """The name in one response, reading not a byte past it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    name: str = json.loads(body)["name"]
    return name


def test_http_1_0_needs_no_host(router: Router) -> None:
    answer = raw(router.port, b"GET / HTTP/1.0\r\nCookie: sessionid=s-alice\r\n\r\n")
    assert answer.json()["name"] == "alice"
