"""A guest at a pod that is shared: what its application is told, and when it is over."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Response, Router

pytestmark = pytest.mark.router

URL, SITE = "https://{pod}.pods.test/", "https://site.test/"
ALICE, BOB = (("Cookie", f"__Host-userpods=s-{name}") for name in ("alice", "bob"))
ALICES, BOBS = "alice.pods.test", "bob.pods.test"
#: Seconds after which a test gives up; what it waits for takes one.
MOST = 20


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    """Routers that remember for long and ask late: what happens, happens because they were told."""
    return {"cache_seconds": 60, "recheck_seconds": 60, "pods_url": URL, "site_url": SITE}


@pytest.fixture
def shared(router: Router, django: FakeDjango) -> Router:
    """The router, where alice's pod is shared with bob."""
    django.shares["alice"] = {"bob": None}
    forget_guests(router)
    return router


def forget_guests(router: Router, service: object = "user-alice") -> Response:
    body = json.dumps({"guests_of": service}).encode()
    return router.get("/purge", method="POST", body=body, port=router.internal)


@contextlib.contextmanager
def websocket(router: Router, cookie: tuple[str, str]) -> Iterator[ClientConnection]:
    """An open WebSocket to alice's pod."""
    sock = socket.create_connection(("127.0.0.1", router.port), timeout=MOST)
    with connect(
        f"ws://{ALICES}/", additional_headers=[cookie], sock=sock, close_timeout=1
    ) as connection:
        assert connection.recv(timeout=MOST) == "hello from alice"
        yield connection


def is_alive(connection: ClientConnection) -> bool:
    connection.send("ping")
    return connection.recv(timeout=MOST) == "alice: ping"


def wait_until_cut(connection: ClientConnection) -> None:
    with pytest.raises(ConnectionClosed):
        connection.recv(timeout=MOST)


def test_the_application_is_told_who_comes_and_that_it_is_a_guest(
    shared: Router, django: FakeDjango
) -> None:
    # By turns: from whichever worker and cache, neither is ever taken for the other, nor waits.
    for _ in range(6):
        guest = shared.get("/", BOB, host=ALICES)
        assert (guest.json()["name"], guest.sent("x-userpods-user")) == ("alice", ["bob"])
        assert guest.sent("x-userpods-guest") == ["1"]
        owner = shared.get("/", ALICE, host=ALICES)
        assert (owner.json()["name"], owner.sent("x-userpods-user")) == ("alice", ["alice"])
        assert owner.sent("x-userpods-guest") == []
        home = shared.get("/", BOB, host=BOBS)
        assert (home.json()["name"], home.sent("x-userpods-guest")) == ("bob", [])
    for answer in (guest, owner):
        assert answer.sent("x-userpods-owner-id") == answer.sent("x-userpods-seconds") == []
    # One question for each of the three, for all workers.
    assert django.count["/whoami"] == 3


def test_nobody_but_the_router_says_who_is_a_guest(shared: Router) -> None:
    for cookie, host, expected in ((ALICE, ALICES, []), (BOB, BOBS, []), (BOB, ALICES, ["1"])):
        for name in ("X-Userpods-Guest", "x-userpods-guest", "X-USERPODS-GUEST"):
            for value in ("1", "0", ""):
                answer = shared.get("/", cookie, (name, value), (name, "yes"), host=host)
                assert answer.sent("x-userpods-guest") == expected
                assert answer.sent("x_userpods_guest") == []
        answer = shared.get("/", cookie, ("X_Userpods_Guest", "1"), host=host)
        assert answer.sent("x-userpods-guest") == expected
        assert answer.sent("x_userpods_guest") == []


def test_a_pod_that_says_so_makes_nobody_a_guest(shared: Router) -> None:
    said = "/headers-back?X-Userpods-Guest=1&X-Userpods-Owner-Id=id-bob&X-Userpods-Seconds=60"
    for cookie, expected in ((ALICE, []), (BOB, ["1"])):
        assert shared.get(said, cookie, host=ALICES).status == 200
        assert shared.get("/", cookie, host=ALICES).sent("x-userpods-guest") == expected


def test_a_guest_whom_nobody_shares_with_is_refused(router: Router) -> None:
    assert router.get("/", BOB, host=ALICES).status == 403


def test_what_is_taken_back_is_cut_and_all_else_goes_on(shared: Router, django: FakeDjango) -> None:
    django.user("carol", None)
    django.shares["alice"]["carol"] = None
    carol = ("Cookie", "__Host-userpods=s-carol")
    with (
        websocket(shared, ALICE) as owner,
        websocket(shared, BOB) as guest,
        websocket(shared, carol) as other,
    ):
        assert is_alive(guest)
        del django.shares["alice"]["bob"]
        assert forget_guests(shared).status == 200
        wait_until_cut(guest)
        assert shared.get("/", BOB, host=ALICES).status == 403
        assert is_alive(other)
        assert is_alive(owner)


def test_a_share_that_ends_is_over_without_a_word_of_djangos(
    shared: Router, django: FakeDjango
) -> None:
    django.shares["alice"]["bob"] = 5.0
    with websocket(shared, ALICE) as owner, websocket(shared, BOB) as guest:
        django.odd = lambda handler: handler.say(500, b"")
        wait_until_cut(guest)
        # Nor does what was remembered let anybody in.
        assert shared.get("/", BOB, host=ALICES).status == 503
        assert is_alive(owner)


@pytest.mark.parametrize("service", ["", "a b", "user-alice\n", 7, None, ["user-alice"]])
def test_nobody_is_forgotten_for_a_name_that_is_none(router: Router, service: object) -> None:
    assert forget_guests(router, service).status == 400


def test_both_at_once_are_no_purge(router: Router) -> None:
    body = json.dumps({"user_id": "7", "guests_of": "user-alice"}).encode()
    assert router.get("/purge", method="POST", body=body, port=router.internal).status == 400
