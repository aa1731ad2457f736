"""Requests that run for long end when their user may not be there any more."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.router.harness import Router, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango, Handler

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")
BOB = ("Cookie", "sessionid=s-bob")
TOKEN = ("Authorization", "Bearer upt_alice")

# conftest: recheck 2 s, grace 3 s; a tick and a question more.
BOUND = 2 + 2
PURGED = 2


@contextlib.contextmanager
def websocket(router: Router, *headers: tuple[str, str]) -> Iterator[ClientConnection]:
    """An open WebSocket to a pod that has said hello."""
    with connect(
        f"ws://127.0.0.1:{router.port}/", additional_headers=headers, proxy=None, close_timeout=1
    ) as connection:
        assert str(connection.recv(timeout=5)).startswith("hello from ")
        yield connection


def is_alive(connection: ClientConnection) -> bool:
    try:
        connection.send("ping")
        return str(connection.recv(timeout=5)).endswith(": ping")
    except ConnectionClosed:
        return False


def seconds_until_cut(connection: ClientConnection, limit: float) -> float:
    begin = time.monotonic()
    try:
        connection.recv(timeout=limit)
    except ConnectionClosed:
        return time.monotonic() - begin
    except TimeoutError:
        pass
    raise AssertionError(f"still open after {limit} s")


def deactivate(django: FakeDjango) -> None:
    django.inactive.add("alice")


def log_out(django: FakeDjango) -> None:
    del django.sessions["s-alice"]


def revoke(django: FakeDjango) -> None:
    del django.tokens["upt_alice"]


def become_another(django: FakeDjango) -> None:
    django.sessions["s-alice"] = "bob"


def move(django: FakeDjango) -> None:
    django.peers["alice"] = "127.0.0.1:9"


@pytest.mark.parametrize("happens", [deactivate, log_out, become_another, move])
def test_a_websocket_is_cut_within_the_bound(
    router: Router, django: FakeDjango, happens: Callable[[FakeDjango], None]
) -> None:
    with websocket(router, ALICE) as alice, websocket(router, BOB) as bob:
        happens(django)
        assert seconds_until_cut(alice, BOUND + 2) < BOUND
        assert is_alive(bob)


def test_a_websocket_of_a_revoked_token_is_cut(router: Router, django: FakeDjango) -> None:
    with websocket(router, TOKEN) as alice:
        revoke(django)
        assert seconds_until_cut(alice, BOUND + 2) < BOUND


def test_a_purge_cuts_at_once(router: Router, django: FakeDjango) -> None:
    with websocket(router, ALICE) as first, websocket(router, ALICE) as second:
        # Just asked about, so that only the purge can be the reason.
        time.sleep(0.2)
        log_out(django)
        router.purge("id-alice")
        # In whichever workers they are, each of which looks once a second by a clock of its own.
        both = [seconds_until_cut(it, PURGED + 2) for it in (first, second)]
        assert sum(both) < PURGED


@pytest.fixture
def patient(tmp_path: Path, django: FakeDjango) -> Iterator[Router]:
    """A router that asks about running requests only when it is told to."""
    options: dict[str, object] = {"recheck_seconds": 30}
    with Router(tmp_path / "nginx", django.port, options=options, workers=1) as router:
        yield router


def test_a_purge_cuts_what_began_while_it_came(patient: Router, django: FakeDjango) -> None:
    """Django said yes, then the user logged out and was purged, then the yes arrived."""

    def say_late(handler: Handler) -> None:
        django.odd = None
        headers = handler.target("alice")
        log_out(django)
        patient.purge("id-alice")
        # So that the timer has seen the purge before there is anything to watch.
        time.sleep(1.5)
        handler.say(200, b"{}", *headers)

    django.odd = say_late
    with websocket(patient, ALICE) as alice:
        assert seconds_until_cut(alice, PURGED + 2) < PURGED


def test_a_purge_is_not_forgotten_while_django_is_unwell(
    patient: Router, django: FakeDjango
) -> None:
    with websocket(patient, ALICE) as alice:
        log_out(django)
        django.odd = lambda handler: handler.say(500, b"")
        patient.purge("id-alice")
        eventually(lambda: django.count["/whoami"] >= 3, 5)
        assert is_alive(alice)
        django.odd = None
        assert seconds_until_cut(alice, PURGED + 2) < PURGED


def test_a_pod_whose_address_is_gone_is_cut(router: Router, django: FakeDjango) -> None:
    """Without an address in the row: what was hers may be another user's in a moment."""
    with websocket(router, ALICE) as alice, websocket(router, BOB) as bob:
        django.user("alice", None)
        assert seconds_until_cut(alice, BOUND + 2) < BOUND
        assert is_alive(bob)


@pytest.mark.parametrize("known", ["to be purged", "by the recheck alone"])
def test_a_recheck_makes_no_remembered_answer_younger(
    tmp_path: Path, django: FakeDjango, known: str
) -> None:
    """Alice streams, her address becomes bob's: no request of hers reaches it any more."""
    options: dict[str, object] = {"cache_seconds": 60, "recheck_seconds": 2}
    with (
        Router(tmp_path / "nginx", django.port, options=options, workers=1) as router,
        websocket(router, ALICE) as stream,
    ):
        assert router.get("/", ALICE).json()["name"] == "alice"
        peer = django.peers["alice"]
        django.user("alice", None)
        django.user("bob", peer)
        if known == "to be purged":
            router.purge("id-alice")
        seconds_until_cut(stream, BOUND + 2)
        end = time.monotonic() + 6
        while time.monotonic() < end:
            answer = router.get("/", ALICE)
            assert answer.status == 503
            assert answer.json()["message"] == "Django says wait"
            time.sleep(0.1)
        # And bob gets what is his, once no connection of alice's can be left.
        assert router.get("/", BOB).sent("x-userpods-user") == ["bob"]


def test_a_recheck_that_finds_all_well_does_not_lengthen_an_answers_life(
    tmp_path: Path, django: FakeDjango
) -> None:
    options: dict[str, object] = {"cache_seconds": 3, "recheck_seconds": 1}
    with (
        Router(tmp_path / "nginx", django.port, options=options, workers=1) as router,
        websocket(router, ALICE),
    ):
        time.sleep(2.5)
        assert django.count["/whoami"] >= 2
        # The recheck's credentials stay good, what new requests are told does not.
        django.odd = lambda handler: handler.say(500, b"")
        eventually(lambda: router.get("/", ALICE).status == 503, 2)


def test_a_purge_of_someone_who_may_stay_cuts_nothing(router: Router, django: FakeDjango) -> None:
    with websocket(router, ALICE) as alice:
        for _ in range(3):
            router.purge("id-alice")
            time.sleep(0.7)
        assert is_alive(alice)


def test_a_websocket_of_a_user_who_stays_stays(router: Router, django: FakeDjango) -> None:
    with websocket(router, ALICE) as alice:
        end = time.monotonic() + 3 * BOUND
        while time.monotonic() < end:
            assert is_alive(alice)
            time.sleep(0.5)
    assert django.count["/whoami"] >= 4


def test_the_pod_side_is_closed_too(router: Router, django: FakeDjango, folder: Path) -> None:
    with websocket(router, ALICE) as alice:
        log_out(django)
        router.purge("id-alice")
        seconds_until_cut(alice, PURGED + 2)
    eventually(lambda: "cut 1 running request(s) of alice" in router.log())


@pytest.mark.parametrize(
    "head",
    [
        "GET /sse?every=0.5 HTTP/1.1",
        "GET /slow?seconds=30 HTTP/1.1",
        "POST /upload HTTP/1.1\r\nContent-Length: 1000000",
    ],
)
def test_other_long_requests_are_cut_as_well(router: Router, django: FakeDjango, head: str) -> None:
    """An event stream, a slow answer, an upload that does not end."""
    with socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection:
        connection.sendall(f"{head}\r\nHost: x\r\n{': '.join(ALICE)}\r\n\r\n".encode())
        time.sleep(0.3)
        log_out(django)
        router.purge("id-alice")
        begin = time.monotonic()
        while connection.recv(1000):
            assert time.monotonic() - begin < PURGED
        assert time.monotonic() - begin < PURGED


def test_a_long_download_is_cut_as_well(router: Router, django: FakeDjango) -> None:
    with socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection:
        head = f"GET /big?bytes=100000000 HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\n\r\n"
        connection.sendall(head.encode())
        time.sleep(0.3)
        log_out(django)
        router.purge("id-alice")
        time.sleep(PURGED)
        read = 0
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(1 << 20):
                read += len(data)
        assert read < 100000000


def test_many_connections_of_one_user_are_one_question(router: Router, django: FakeDjango) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(websocket(router, ALICE))
        django.count.clear()
        time.sleep(4 * 2)
        # Two workers, at most five times each.
        assert 3 <= django.count["/whoami"] <= 12


def test_an_unwell_django_does_not_cut_at_once(router: Router, django: FakeDjango) -> None:
    with websocket(router, ALICE) as alice:
        django.odd = lambda handler: handler.say(500, b"")
        time.sleep(3)
        assert is_alive(alice)
        django.odd = None
        time.sleep(BOUND)
        assert is_alive(alice)


def test_a_django_that_stays_unwell_cuts_in_the_end(router: Router, django: FakeDjango) -> None:
    with websocket(router, ALICE) as alice:
        django.odd = lambda handler: handler.say(500, b"")
        begin = time.monotonic()
        seconds_until_cut(alice, 12)
        assert 3 < time.monotonic() - begin < 2 + 3 + 2


def test_a_django_that_hangs_cuts_in_the_end(router: Router, django: FakeDjango) -> None:
    over = threading.Event()

    def hang(handler: Handler) -> None:
        over.wait(20)

    with websocket(router, ALICE) as alice:
        django.odd = hang
        begin = time.monotonic()
        try:
            seconds_until_cut(alice, 12)
        finally:
            over.set()
        assert 3 < time.monotonic() - begin < 2 + 3 + 2


def test_a_worker_that_is_going_away_still_watches(tmp_path: Path, django: FakeDjango) -> None:
    """After a reload the old workers carry the old WebSockets, and still cut them."""
    options: dict[str, object] = {"recheck_seconds": 2}
    with (
        Router(tmp_path / "nginx", django.port, options=options) as router,
        websocket(router, ALICE) as alice,
        websocket(router, BOB) as bob,
    ):
        router.process.process.send_signal(signal.SIGHUP)
        time.sleep(1.5)
        assert is_alive(alice)
        log_out(django)
        assert seconds_until_cut(alice, BOUND + 2) < BOUND
        assert is_alive(bob)
        router.purge("id-bob")
        time.sleep(2)
        assert is_alive(bob)
        del django.sessions["s-bob"]
        router.purge("id-bob")
        assert seconds_until_cut(bob, PURGED + 2) < PURGED
