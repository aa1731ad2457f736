"""Applications that are asked when they were used: what a hostile one answers holds up nobody."""

from __future__ import annotations

import datetime
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods import times
from django_userpods.access import router_activity
from django_userpods.controller import applications
from django_userpods.exceptions import NothingHeard
from tests.clusters.test_deadline import BEGINNING, DRIPS, dripping, peer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

NOW = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC)
WORDS = b'{"last_activity": "2026-11-29T11:00:00Z"}'


def pod(name: str, port: int) -> Any:
    address = f"127.0.0.1:{port}"
    return SimpleNamespace(
        pk=name, name=name, url="", owner=None, address=address, activity="ask /status"
    )


def says(*pieces: bytes) -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)

    return say


def answer(body: bytes) -> bytes:
    return BEGINNING + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is."""
    monkeypatch.setattr(applications, "_TIMEOUT", 60.0)


def test_one_that_answers_is_heard() -> None:
    with peer(says(answer(WORDS))) as port:
        found = applications.last_uses([pod("good", port)], now=NOW)
    assert found == {"good": NOW - datetime.timedelta(hours=1)}


def test_one_is_heard_where_times_have_no_zone(settings: Any) -> None:
    settings.USE_TZ = False
    now = times.stored(NOW)
    with peer(says(answer(WORDS))) as port:
        found = applications.last_uses([pod("good", port)], now=now)
    assert found == {"good": now - datetime.timedelta(hours=1)}


@pytest.mark.parametrize("what", DRIPS)
def test_one_that_drips_holds_up_nobody(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an answer for the router may take for ever, which is its user's to wait for."""
    monkeypatch.setattr(applications, "_TIMEOUT", 0.5)
    with peer(dripping(*DRIPS[what])) as port:
        begun = time.monotonic()
        assert applications.last_uses([pod("slow", port)], now=NOW) == {}
        assert time.monotonic() - begun < 30


def test_many_that_hang_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked some at a time, and no more of them after a while."""
    monkeypatch.setattr(applications, "_TIMEOUT", 0.2)
    monkeypatch.setattr(applications, "_ALL", 0.3)
    connections: list[None] = []

    def hang(connection: socket.socket) -> None:
        connections.append(None)
        connection.recv(65536)
        connection.recv(65536)

    with peer(hang) as port:
        assert applications.last_uses([pod(str(n), port) for n in range(200)], now=NOW) == {}
    assert 0 < len(connections) < 100


def test_one_that_says_too_much_is_left_out_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = b'{"last_activity": "2026-11-29T11:00:00Z", "x": "%s"}' % (b"x" * 256 * 1024)
    with peer(says(answer(words))) as port:
        assert applications.last_uses([pod("long", port)], now=NOW) == {}
    assert "says more at /status than the 256 KiB it may; it is not stopped" in caplog.text


@pytest.mark.parametrize(
    "said",
    [
        answer(b"[" * 100_000),
        answer(b"\xff\xfe\xff"),
        answer(b"{" + b" " * 300_000 + b"}"),
        BEGINNING + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_one_that_says_nothing_readable_is_left_out(said: bytes) -> None:
    with peer(says(said)) as port:
        assert applications.last_uses([pod("odd", port)], now=NOW) == {}


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "x", 7])
def test_no_time_is_later_than_now(when: object) -> None:
    words = b'{"last_activity": "%s"}' % str(when).encode()
    with peer(says(answer(words))) as port:
        found = applications.last_uses([pod("odd", port)], now=NOW)
    assert found["odd"] is None or found["odd"] <= NOW


def test_a_router_that_drips_is_silent(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(router_activity, "_TIMEOUT", 0.5)
    with peer(dripping(*DRIPS["a body"])) as port:
        settings.USERPODS_ROUTERS = [f"http://127.0.0.1:{port}"]
        begun = time.monotonic()
        with pytest.raises(NothingHeard):
            router_activity.ask(within=60)
        assert time.monotonic() - begun < 30
