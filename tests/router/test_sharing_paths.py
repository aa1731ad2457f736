"""A guest at a pod that is shared, where pods are paths: the same as where they have hosts."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = pytest.mark.router

ALICE, BOB = (("Cookie", f"sessionid=s-{name}") for name in ("alice", "bob"))
ALICES, BOBS = "/pods/alice/", "/pods/bob/"
#: Seconds after which a test gives up; what it waits for takes one.
MOST = 20


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    """Routers that remember for long and ask late: what happens, happens because they were told."""
    return {"cache_seconds": 60, "recheck_seconds": 60, "pods_url": "/pods/{pod}/"}


@pytest.fixture
def shared(router: Router, django: FakeDjango) -> Router:
    """The router, where alice's pod is shared with bob."""
    django.shares["alice"] = {"bob": None}
    forget_guests(router)
    return router


def forget_guests(router: Router) -> None:
    body = json.dumps({"guests_of": "user-alice"}).encode()
    router.get("/purge", method="POST", body=body, port=router.internal)


def test_the_application_is_told_who_comes_whatever_a_client_says(shared: Router) -> None:
    forged = [("X-Userpods-Guest", "0"), ("X-Userpods-User", "alice"), ("X_Userpods_User", "alice")]
    for headers in ([], forged, [("Connection", "X-Userpods-Guest, X-Userpods-User")]):
        guest = shared.get(ALICES, BOB, *headers)
        assert (guest.json()["name"], guest.sent("x-userpods-user")) == ("alice", ["bob"])
        assert guest.sent("x-userpods-guest") == ["1"]
        assert guest.sent("x_userpods_user") == []
        owner = shared.get(ALICES, ALICE, *headers)
        assert (owner.sent("x-userpods-user"), owner.sent("x-userpods-guest")) == (["alice"], [])
        home = shared.get(BOBS, BOB, *headers)
        assert (home.json()["name"], home.sent("x-userpods-guest")) == ("bob", [])


def test_what_is_taken_back_is_cut_and_what_is_alices_goes_on(
    shared: Router, django: FakeDjango
) -> None:
    def socket_of(cookie: tuple[str, str]) -> ClientConnection:
        sock = socket.create_connection(("127.0.0.1", shared.port), timeout=MOST)
        return connect(
            f"ws://site.test{ALICES}", additional_headers=[cookie], sock=sock, close_timeout=1
        )

    with socket_of(BOB) as guest, socket_of(ALICE) as owner:
        for one in (guest, owner):
            assert one.recv(timeout=MOST) == "hello from alice"
        django.shares["alice"] = {}
        forget_guests(shared)
        with pytest.raises(ConnectionClosed):
            guest.recv(timeout=MOST)
        owner.send("ping")
        assert owner.recv(timeout=MOST) == "alice: ping"
    assert shared.get(ALICES, BOB).status == 403
