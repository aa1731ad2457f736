"""Sharing with Django itself behind the router: granted, reached, taken back, cut.

The routers remember for a minute and ask again as late: what happens at once, happens because
Django told them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.router.hosts_fixtures import alice, bob, site
from tests.router.hosts_site import ALICES, BOBS, SITE, Client, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.router
__all__ = ["alice", "bob", "site"]

#: Seconds after which a test gives up.
MOST = 20
#: Seconds within which what runs is cut: one, as is said, and one more for the machine.
WITHIN = 2
PAGE = f"https://{ALICES}/lab?x=1"


@contextlib.contextmanager
def websocket(client: Client) -> Iterator[ClientConnection]:
    """An open WebSocket of a browser's to alice's pod."""
    jar = "; ".join(f"{key}={value}" for key, value in client.jar(ALICES).items())
    headers = {"Cookie": jar, "X-Forwarded-Proto": "https", "Origin": f"https://{ALICES}"}
    sock = socket.create_connection(("127.0.0.1", client.site.router.port), timeout=MOST)
    with connect(
        f"ws://{ALICES}/", additional_headers=headers, sock=sock, close_timeout=1
    ) as connection:
        assert connection.recv(timeout=MOST) == "hello from alice"
        yield connection


def is_alive(connection: ClientConnection) -> bool:
    connection.send("ping")
    return connection.recv(timeout=MOST) == "alice: ping"


@pytest.fixture
def shared(site: Site) -> Iterator[Callable[[str], None]]:
    """What shares alice's pod with somebody, until the test is over."""
    whom = []

    def share(guest: str) -> None:
        site.command("share", "alice", guest)
        whom.append(guest)

    yield share
    for guest in whom:
        site.command("unshare", "alice", guest)


@pytest.mark.parametrize("guest", ["bob", "@class"])
def test_granted_is_reached_and_taken_back_is_cut(
    site: Site, alice: Client, bob: Client, shared: Callable[[str], None], guest: str
) -> None:
    url, refused = bob.navigate(PAGE)
    assert (url.partition("?")[0], refused.status) == (f"{SITE}/userpods/enter/", 403)
    shared(guest)
    if guest == "@class":
        assert bob.navigate(PAGE)[1].status == 403
        site.command("join", "bob", "class")
    url, answer = bob.navigate(PAGE)
    assert (url, answer.json()["name"]) == (PAGE, "alice")
    assert (answer.sent("x-userpods-user"), answer.sent("x-userpods-guest")) == (["bob"], ["1"])
    assert answer.sent("cookie") == []
    owner = alice.navigate(PAGE)[1]
    assert (owner.sent("x-userpods-user"), owner.sent("x-userpods-guest")) == (["alice"], [])
    with websocket(alice) as hers, websocket(bob) as his:
        assert is_alive(his)
        if guest == "@class":
            site.command("leave", "bob", "class")
        else:
            site.command("unshare", "alice", guest)
        begin = time.monotonic()
        with pytest.raises(ConnectionClosed):
            his.recv(timeout=MOST)
        assert time.monotonic() - begin < WITHIN
        assert bob.get(PAGE).status == 403
        assert is_alive(hers)


def test_a_guest_is_no_more_than_that(
    site: Site, bob: Client, shared: Callable[[str], None]
) -> None:
    """At his own pod he is its owner, and the cookie of alice's host is good for nothing else."""
    shared("bob")
    assert bob.navigate(PAGE)[1].json()["name"] == "alice"
    home = bob.navigate(f"https://{BOBS}/")[1]
    assert (home.json()["name"], home.sent("x-userpods-guest")) == ("bob", [])
    cookie = ("Cookie", f"__Host-userpods={bob.jar(ALICES)['__Host-userpods']}")
    https = ("X-Forwarded-Proto", "https")
    assert site.router.get("/", cookie, https, host=ALICES).json()["name"] == "alice"
    assert site.router.get("/", cookie, https, host=BOBS).status == 401


def test_a_guests_token_reaches_the_pod_as_long_as_it_is_shared(
    site: Site, shared: Callable[[str], None]
) -> None:
    token = ("Authorization", f"Bearer {site.command('token', 'bob')}")
    assert site.router.get("/", token, host=ALICES).status == 403
    shared("bob")
    answer = site.router.get("/", token, host=ALICES)
    assert (answer.json()["name"], answer.sent("x-userpods-guest")) == ("alice", ["1"])
    assert answer.sent("authorization") == []
    site.command("unshare", "alice", "bob")
    assert site.router.get("/", token, host=ALICES).status == 403
