"""Requests to a pod that is not up: what wakes it, and what is held until it answers."""

from __future__ import annotations

import hashlib
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from tests.router.harness import Router, eventually, raw, read_response, workload
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Response

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")
JSON = ("Accept", "application/json")
NAVIGATE = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")]
WAITING = "/userpods/waiting/"
# What nobody here waits for in vain: a slow machine has time for a process.
LONG = ("Prefer", "wait=40")


# A loopback address of our own: on the usual one a port is soon somebody else's.
HOST = "127.31.7.2"


@pytest.fixture
def down(router: Router, django: FakeDjango) -> int:
    """Alice's pod is stopped, and Django knows it; the port that it will be at."""
    port = free_port(HOST)
    django.user("alice", f"{HOST}:{port}")
    django.answer = {"X-Userpods-State": "stopped"}
    return port


class Held:
    """A request in a thread of its own."""

    def __init__(
        self,
        router: Router,
        *headers: tuple[str, str],
        body: bytes = b"",
        who: tuple[str, str] = ALICE,
    ) -> None:
        self.answer: Response | None = None

        def ask() -> None:
            lines = ["POST /x HTTP/1.1" if body else "GET /x HTTP/1.1", "Host: site.test"]
            lines += [f"{key}: {value}" for key, value in (who, *headers)]
            if body:
                lines.append(f"Content-Length: {len(body)}")
            head = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
            self.answer = raw(router.port, head + body, timeout=60)

        self.thread = threading.Thread(target=ask)
        self.thread.start()

    def result(self) -> Response:
        self.thread.join(60)
        assert self.answer is not None
        return self.answer


def woken(django: FakeDjango) -> list[str | None]:
    return [headers.get("x-userpods-wake") for headers in django.asked(WAITING)]


def until_woken(django: FakeDjango) -> None:
    end = time.monotonic() + 20
    while "1" not in woken(django):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_request_that_would_rather_wait_goes_on_when_the_pod_answers(
    router: Router, django: FakeDjango, down: int, tmp_path: Path
) -> None:
    held = Held(router, LONG)
    until_woken(django)
    assert held.answer is None
    with workload("alice", tmp_path, host=HOST, port=down):
        answer = held.result()
    assert (answer.status, answer.json()["name"]) == (200, "alice")
    assert answer.sent("Prefer") == ["wait=40"]


def test_its_body_is_there_whole(
    router: Router, django: FakeDjango, down: int, tmp_path: Path
) -> None:
    body = bytes(range(256)) * 8000
    held = Held(router, LONG, body=body)
    until_woken(django)
    with workload("alice", tmp_path, host=HOST, port=down):
        answer = held.result()
    assert answer.json()["sha256"] == hashlib.sha256(body).hexdigest()


def test_none_of_its_body_is_read_before(
    router: Router, django: FakeDjango, down: int, tmp_path: Path
) -> None:
    """Who asks before sending it (``Expect``) is told to go on once the pod is there."""
    body = b"x" * 5000
    lines = ["POST /x HTTP/1.1", "Host: site.test", "Expect: 100-continue", "Connection: close"]
    lines += [f"{key}: {value}" for key, value in (ALICE, LONG)]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
    with socket.create_connection(("127.0.0.1", router.port), timeout=60) as connection:
        connection.sendall(head)
        until_woken(django)
        # More than one look whether the pod answers: it is held all this time.
        assert select.select([connection], [], [], 1) == ([], [], [])
        with workload("alice", tmp_path, host=HOST, port=down):
            assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            answer = read_response(connection, "POST")
    assert answer.json()["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_websocket_is_held_as_well(
    router: Router, django: FakeDjango, down: int, tmp_path: Path
) -> None:
    said: list[str] = []

    def ask() -> None:
        address = f"ws://127.0.0.1:{router.port}/"
        headers = [ALICE, LONG]
        with connect(address, additional_headers=headers, proxy=None, open_timeout=50) as opened:
            said.append(str(opened.recv(timeout=20)))

    thread = threading.Thread(target=ask)
    thread.start()
    until_woken(django)
    with workload("alice", tmp_path, host=HOST, port=down):
        thread.join(60)
    assert said == ["hello from alice"] or said[0].startswith("hello from ")


def test_its_time_is_bounded_and_the_pod_is_woken_all_the_same(
    router: Router, django: FakeDjango, down: int
) -> None:
    begin = time.monotonic()
    answer = router.get("/x", ALICE, ("Prefer", "wait=2"))
    assert answer.status == 503
    assert answer.get("retry-after") == "2"
    assert 1 < time.monotonic() - begin < 15
    assert "1" in woken(django)


def test_a_pod_that_cannot_start_is_said_at_once(
    router: Router, django: FakeDjango, down: int
) -> None:
    django.headers = [("X-Userpods-State", "failed")]
    django.answer = {}
    begin = time.monotonic()
    answer = router.get("/x", ALICE, LONG)
    assert (answer.status, answer.json()["message"]) == (503, "Django says wait")
    assert time.monotonic() - begin < 15
    assert answer.get("x-userpods-state") is None


def test_who_may_not_come_in_is_not_held(router: Router, django: FakeDjango, down: int) -> None:
    assert router.get("/x", LONG).status == 401
    django.inactive.add("alice")
    assert router.get("/x", ALICE, LONG).status == 403


def test_without_a_preference_it_is_answered_at_once_and_wakes(
    router: Router, django: FakeDjango, down: int
) -> None:
    answer = router.get("/x", ALICE, JSON)
    assert answer.status == 503
    assert answer.get("retry-after") == "2"
    assert woken(django) == ["1"]


def test_what_an_open_page_does_by_itself_wakes_nothing(
    router: Router, django: FakeDjango, down: int
) -> None:
    django.answer |= {"X-Userpods-Activity": "ignore GET /x; quiet /y"}
    forged = ("X-Userpods-Wake", "1")
    for path in ("/x", "/y"):
        assert router.get(path, ALICE, JSON, forged).status == 503
    assert woken(django) == [None, None]
    assert router.get("/x", ALICE, JSON, method="POST").status == 503
    assert woken(django)[2:] == ["1"]


def test_a_pod_that_answers_though_django_knows_nothing_of_it_is_gone_to(
    router: Router, django: FakeDjango, alice_pod: str
) -> None:
    django.user("alice", alice_pod)
    django.answer = {"X-Userpods-State": "starting"}
    for _ in range(10):
        assert router.get("/x", ALICE, JSON).status == 200
    # And that is remembered as any other answer.
    assert django.count["/whoami"] < 10


def test_a_pod_that_is_gone_though_django_takes_it_to_be_up_is_waited_for(
    router: Router, django: FakeDjango, down: int, tmp_path: Path
) -> None:
    django.answer = {"X-Userpods-State": "running"}
    held = Held(router, LONG)
    until_woken(django)
    with workload("alice", tmp_path, host=HOST, port=down):
        assert held.result().status == 200


@pytest.fixture
def holding(tmp_path: Path, django: FakeDjango, down: int) -> Iterator[Router]:
    """A router that holds every request, in one worker and one at a time."""
    options: dict[str, object] = {"hold_seconds": 40, "hold_most": 1, "hold_most_seconds": 40}
    with Router(tmp_path / "nginx", django.port, options=options, workers=1) as router:
        yield router


def test_by_a_setting_all_but_people_are_held_up_to_a_limit(
    holding: Router, django: FakeDjango, down: int, tmp_path: Path
) -> None:
    assert holding.get("/x", ALICE, *NAVIGATE).body == b"<p>Django says wait</p>"
    django.seen.clear()
    held = Held(holding, JSON)
    until_woken(django)
    assert holding.get("/x", ALICE, JSON).status == 503, "one is held already"
    with workload("alice", tmp_path, host=HOST, port=down):
        assert held.result().status == 200
    # Its place is free again.
    assert holding.get("/x", ALICE, ("Prefer", "wait=1")).status == 503


def test_at_most_16_of_one_session_are_held(django: FakeDjango, down: int, tmp_path: Path) -> None:
    options: dict[str, object] = {"hold_most": 100, "hold_most_seconds": 50}
    with Router(tmp_path / "nginx", django.port, options=options, workers=1) as router:
        held = [Held(router, LONG) for _ in range(20)]

        def answered() -> list[Response]:
            return [one.answer for one in held if one.answer is not None]

        eventually(lambda: len(answered()) == 4, 20)
        # Another's are held all the same.
        django.user("bob", f"{HOST}:{down}")
        bob = Held(router, LONG, who=("Cookie", "sessionid=s-bob"))
        eventually(lambda: any("s-bob" in asked["cookie"] for asked in django.asked(WAITING)), 20)
        assert (len(answered()), bob.answer) == (4, None)
        with workload("alice", tmp_path, host=HOST, port=down):
            statuses = sorted(one.result().status for one in (*held, bob))
    assert statuses == [200] * 17 + [503] * 4


def test_one_with_a_body_is_answered_as_well_when_its_time_is_over(
    router: Router, django: FakeDjango, down: int
) -> None:
    answer = router.get("/x", ALICE, JSON, ("Prefer", "wait=1"), method="POST", body=b"hello")
    assert (answer.status, answer.json()["message"]) == (503, "Django says wait")
