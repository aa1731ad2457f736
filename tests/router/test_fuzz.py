"""A short run of the fuzzer finds nothing; a router that is set up wrong, it sees through."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.router.fuzz.clients import LATE, Clients
from tests.router.fuzz.examples import ClientExample, PodExample
from tests.router.fuzz.findings import Report, dump, load
from tests.router.fuzz.oracles import Finding, for_gunicorn, log_findings, most_requests
from tests.router.fuzz.pods import Pod, Pods, Program, Received
from tests.router.fuzz.run import Fuzzer
from tests.router.fuzz.world import World
from tests.router.harness import eventually
from tests.router.wire import Wire
from tests.router.workload import Request

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.router

SECONDS = 20
ASKED = (b"GET", b"HTTP/1.1", b"")
ALICE = b"GET / HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=@SA@\r\n\r\n"


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        report = Report(tmp_path / "findings", world.count)
        begun = time.monotonic()
        Fuzzer(world, report, begun + SECONDS).run(first_seed=1)
        summary = world.unfilled(report.summary(time.monotonic() - begun, 1))
    assert not report.times, summary
    assert world.count["compared with Django's own reading"] > 50, summary
    assert world.count["next users on the connection"] > 50, summary


def until_found(example: ClientExample | PodExample, world: World) -> list[Finding]:
    """What it leads to. Its client is impatient, and gone before a busy machine has answered."""
    found: list[Finding] = eventually(lambda: example.run(world), 60)
    return found


def test_a_router_that_knows_no_cookies_of_the_sites_is_found_out(tmp_path: Path) -> None:
    """It passes a pod's Set-Cookie for the site's session on, and the site's other cookies."""
    with World(tmp_path, {"cookies": ["other"]}) as world:
        answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: messages=x\r\nContent-Length: 0\r\n\r\n"
        cookies = ALICE.replace(b"@SA@", b"@SA@; csrftoken=@CS@")
        found = until_found(PodExample(ASKED, Program((answer,))), world)
        found += until_found(ClientExample(cookies), world)
    assert {finding.oracle for finding in found} == {"set-cookie", "secret"}


def test_a_router_that_knows_no_tokens_is_found_out(tmp_path: Path) -> None:
    """It has them reach the pod of whoever sends one beside a session."""
    with World(tmp_path, {"token_prefix": "other_"}) as world:
        both = ALICE.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer @TA@\r\n\r\n")
        found = until_found(ClientExample(both), world)
    assert {finding.oracle for finding in found} == {"secret"}


class Logs:
    """An example that has these lines in nginx's log, one each time that it is run."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def run(self, _: World) -> list[Finding]:
        return log_findings([self.lines.pop(0)])


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["cut short", ""], 0),
        (["cut short", "cut short"], 1),
        (["cut short", "status 400"], 1),
        (["status 400"], 1),
    ],
)
def test_a_django_that_is_silent_is_held_against_an_example_that_silences_it_twice(
    tmp_path: Path, lines: list[str], found: int
) -> None:
    world = World(tmp_path)
    report = Report(tmp_path, world.count)
    example: Any = Logs(*(line and f"whoami gave no usable answer: {line}" for line in lines))
    Fuzzer(world, report, 0).attempt(example, 1)
    assert example.lines == []
    assert sum(report.times.values()) == found


def arrives(pod: Pod, source: str) -> Received:
    received = Received(Request("GET", "/", (("X-Forwarded-For", source),)), b"")
    pod.received.append(received)
    return received


def test_a_request_that_arrives_late_is_held_against_the_client_who_sent_it() -> None:
    pod = Pod("alice")
    count: Counter[str] = Counter()
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        clients = Clients(server.getsockname()[1], count)
        early, now = clients.connect(), clients.connect()
        for wire in (early, now):
            stack.callback(wire.close)
            clients.sent(wire)
        arrives(pod, early.source)
        own = arrives(pod, now.source)
        assert clients.arrived(now, [pod]) == ([(pod, own)], [])
        assert count[LATE] == 1
        assert clients.arrived(now, [pod]) == ([], [])
        # Neither sent two, and nobody sent this.
        for source, kind in (
            (early.source, ("smuggled", "a request")),
            (now.source, ("smuggled", "a request")),
            (f"{now.source}, {now.source}", ("forged", "x-forwarded-for")),
            ("127.0.0.1", ("forged", "x-forwarded-for")),
        ):
            arrives(pod, source)
            assert [finding[:2] for finding in clients.arrived(now, [pod])[1]] == [kind]


@pytest.mark.parametrize("sent", [b"5", b"5\r\nhel", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n"])
def test_a_body_whose_client_goes_away_is_no_broken_request(sent: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Pods("alice") as pods:
        (pod,) = pods.pods
        for data, times in ((head + sent, 0), (head + b"no\r\n", 1)):
            with socket.create_connection(("127.0.0.1", pod.port), timeout=10) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                # Until the pod closes, too.
                assert connection.recv(1) == b""
            assert len(pod.broken) == times


@pytest.mark.parametrize(
    ("framing", "most"),
    [
        (b"Content-Length: 5", 2),
        (b"Content-Length: 5\r\nContent-\\Length: 7", 2),
        (b"Content-Length: 5\r\nConte\xa0nt-Length: 7", 2),
        (b"Content-Length: 5\r\nX-Content-Length: 7", 2),
        (b"Content-Length: 5\r\nAuthorization: Bearer x,Content-Length: 7", 2),
        (b"Content-Length: 5\r\nCookie: a=b Transfer-Encoding: chunked", 2),
        (b"Content-Length: 5\r\nX: y\rContent-Length: 7", 1),
        (b"Content-Length: 5\r\nContent-Length: 7", 1),
        (b"Content-Length: 5\r\nContent-Length\xa0: 7", 1),
        (b"Transfer-Encoding: chunked", 2),
        (b"Transfer-Encoding\x0b: chunked", 1),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", 1),
    ],
)
def test_a_body_that_can_be_framed_in_two_ways_ends_the_careful_reading(
    framing: bytes, most: int
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n"
    assert most_requests(head + b"0\r\n\r\n" + ALICE) == most


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (b"\r\n\r\n", 0),
        (b"\r\n\r\n" + ALICE, 1),
        (b"\n\n\r\r\n" + ALICE, 1),
        (b"\r\n" + ALICE + b"\r\n\r\n", 1),
        (ALICE + b"\r\n\r\n" + ALICE, 2),
    ],
)
def test_line_ends_before_a_request_are_none(data: bytes, most: int) -> None:
    assert most_requests(data) == most


def test_an_answer_without_a_head_is_no_answer() -> None:
    """Neither to a first request nor to a later one, whatever version their lines have."""
    old = b"GET /hid;HTTP/1.1\r\n\r\n"
    framed = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    for data, said in ((old, b"no head\n"), (ALICE + old, framed + b"no head\n")):
        with socket.create_server(("127.0.0.1", 0)) as server:
            wire = Wire(server.getsockname()[1])
            connection, _ = server.accept()
            with connection:
                connection.sendall(said)
            _, found, _ = ClientExample(data).exchange(wire, data)
        assert [finding.oracle for finding in found] == ["malformed"]


@pytest.mark.parametrize("host", ["site.test\xa0", "site.test\xc2\xa0", "\x85site.test"])
def test_a_pod_says_what_came_to_it_to_the_byte(host: str) -> None:
    """But for blanks around a value, which are none of it; to Python these are some as well."""
    with Pods("alice") as pods:
        (pod,) = pods.pods
        with socket.create_connection(("127.0.0.1", pod.port), timeout=10) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: \t{host} \r\n\r\n".encode("latin-1"))
            connection.recv(1)
        (received,) = pod.received
    assert received.all("host") == [host]


def test_gunicorn_gets_no_line_ends_before_a_request_and_one_cookie_header() -> None:
    data = b"\r\n\r\nGET / HTTP/1.1\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n"
    assert for_gunicorn(data) == b"GET / HTTP/1.1\r\nCookie: a=1; b=2\r\n\r\n"


@pytest.mark.parametrize(
    "example",
    [ClientExample(ALICE), PodExample(ASKED, Program((b"a\0", b"\xff"), keeps=True))],
    ids=["client", "pod"],
)
def test_a_reproducer_is_the_example_again(
    tmp_path: Path, example: ClientExample | PodExample
) -> None:
    path = tmp_path / "it.json"
    path.write_text(json.dumps({"example": dump(example)}))
    assert load(path) == example
