"""An nginx that is built otherwise than we think: the router does without what it cannot know."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from django_userpods.core import addresses
from tests.router.harness import Router

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice; theme=dark")
BOB = ("Cookie", "sessionid=s-bob")

# settings.lua is read before all other modules, and can put words into their mouths.
STRANGE = """
require("userpods.layout").{name} = function() return nil, "it is another" end
"""


def strange(router: Router, *names: str) -> Router:
    """The router, to which nginx looks otherwise."""
    router.write()
    settings = router.folder / "settings" / "settings.lua"
    text = "".join(STRANGE.format(name=name) for name in names) + settings.read_text()
    write = router.write

    def write_both() -> None:
        write()
        settings.write_text(text)

    router.write = write_both  # type: ignore[method-assign]
    return router


def test_this_nginx_is_as_we_think(router: Router) -> None:
    assert router.get("/", ALICE).json()["name"] == "alice"
    assert "with this nginx" not in router.log()


def test_headers_are_read_by_the_public_api(tmp_path: Path, django: FakeDjango) -> None:
    router = strange(Router(tmp_path / "nginx", django.port, workers=1), "of_headers")
    filler = [(f"X-Filler-{number}", "x") for number in range(150)]
    forged = [("X-Userpods-User", "bob"), ("X-Target-Peer", "127.0.0.1:1"), ("Forwarded", "x")]
    with router:
        for _ in range(3):
            answer = router.get("/", *filler, *forged * 2, ALICE, ("Cookie", "b=2"))
            assert answer.json()["name"] == "alice"
            assert answer.sent("x-userpods-user") == ["alice"]
            assert answer.sent("cookie") == ["theme=dark; b=2"]
            assert answer.sent("x-target-peer") == answer.sent("forwarded") == []
            assert router.get("/sw.js", ALICE, ("Service-Worker", "script")).status == 403
        assert router.get("/").status == 401
        assert router.log().count("every request costs more with this nginx: it is another") == 1


def test_hosts_and_origins_are_read_by_the_public_api(tmp_path: Path, django: FakeDjango) -> None:
    url = "https://{pod}.pods.test/"
    options: dict[str, object] = {"pods_url": url, "site_url": "https://site.test/"}
    router = Router(tmp_path / "nginx", django.port, options=options, workers=1)
    alice = ("Cookie", "__Host-userpods=s-alice")
    own, other = ("Origin", "https://alice.pods.test"), ("Origin", "https://bob.pods.test")
    django.where = addresses.parse(url)
    try:
        with strange(router, "of_headers"):
            for _ in range(3):
                for headers, host, status in (
                    ([alice], "alice.pods.test", 200),
                    ([alice, own, ("Sec-Fetch-Site", "same-origin")], "alice.pods.test", 200),
                    ([alice], "bob.pods.test", 403),
                    ([alice, other], "alice.pods.test", 401),
                    ([alice, own, other], "alice.pods.test", 401),
                    ([alice, ("Sec-Fetch-Site", "same-site")], "alice.pods.test", 401),
                ):
                    assert router.get("/", *headers, host=host).status == status
            assert router.log().count("every request costs more with this nginx") == 1
    finally:
        django.where = None


def test_requests_that_cannot_be_cut_are_routed_and_the_log_says_so(
    tmp_path: Path, django: FakeDjango
) -> None:
    router = strange(Router(tmp_path / "nginx", django.port, workers=1), "of_request")
    with router:
        for _ in range(3):
            for name, cookie in (("alice", ALICE), ("bob", BOB)):
                assert router.get("/", cookie).json()["name"] == name
        url = f"ws://127.0.0.1:{router.port}/"
        with connect(url, additional_headers=[ALICE], proxy=None) as websocket:
            assert websocket.recv(timeout=5) == "hello from alice"
            router.purge("id-alice")
            time.sleep(1.5)
            websocket.send("still")
            assert websocket.recv(timeout=5) == "alice: still"
        django.inactive.add("alice")
        router.purge("id-alice")
        assert router.get("/", ALICE).status == 403
        assert router.log().count("running requests cannot be cut with this nginx") == 1


def test_an_address_is_not_handed_on_where_it_is_unknown_what_runs(
    tmp_path: Path, django: FakeDjango
) -> None:
    router = strange(Router(tmp_path / "nginx", django.port, workers=1), "of_request")
    with router:
        assert router.get("/", ALICE).status == 200
        django.user("bob", django.peers["alice"])
        time.sleep(4.5)
        assert router.get("/", BOB).status == 503
