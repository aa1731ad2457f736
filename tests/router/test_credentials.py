"""Only our cookies and tokens are credentials: an application's own change nothing."""

from __future__ import annotations

import secrets
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.router.harness import Router, read_response

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")


def cookies_of(kib: int) -> list[str]:
    """Return this number of KiB of cookies, each of 3,900 bytes."""
    return [f"app{number}={'x' * 3900}" for number in range(kib * 1024 // 3900)]


def test_whoami_gets_our_cookies_and_tokens_and_no_others(
    router: Router, django: FakeDjango
) -> None:
    cookie = ("Cookie", "a=1; sessionid=s-alice; csrftoken=2; userpods_token=upt_x; b=3")
    router.get("/", cookie, ("Authorization", "Bearer of-the-application"))
    asked = django.seen[0]["headers"]
    assert ("Cookie", "sessionid=s-alice; userpods_token=upt_x") in asked
    assert "authorization" not in {key.lower() for key, _ in asked}


def test_what_an_application_changes_asks_nobody_again(router: Router, django: FakeDjango) -> None:
    """Its cookies may change with every request, and so may its own Authorization."""
    before = time.monotonic()
    for number in range(40):
        answer = router.get(
            "/",
            ("Cookie", f"visits={number}; sessionid=s-alice"),
            ("Authorization", f"Bearer app-{number}"),
        )
        assert answer.sent("cookie") == [f"visits={number}"]
        assert answer.sent("authorization") == [f"Bearer app-{number}"]
    if time.monotonic() - before < 1:
        assert django.count["/whoami"] == 1


def test_an_applications_bearer_token_alone_is_no_credential(
    router: Router, django: FakeDjango
) -> None:
    assert router.get("/", ("Authorization", "Bearer of-the-application")).status == 401
    assert router.get("/", ("Cookie", "a=1"), ("Authorization", "Basic YTpi")).status == 401
    assert django.count["/whoami"] == 0


@pytest.mark.parametrize("kib", [12, 20, 40])
@pytest.mark.parametrize("headers", ["one", "many"])
def test_large_cookies_of_an_application_reach_it(router: Router, kib: int, headers: str) -> None:
    cookies = [*cookies_of(kib), "sessionid=s-alice"]
    if headers == "one":
        cookies = ["; ".join(cookies)]
    answer = router.get("/", *(("Cookie", cookie) for cookie in cookies))
    assert answer.json()["name"] == "alice"
    assert answer.sent("cookie") == ["; ".join(cookies_of(kib))]


def test_the_site_gets_its_own_cookies_and_no_others(router: Router) -> None:
    own = "sessionid=s-alice; csrftoken=c; messages=m"
    answer = router.get("/api/x", ("Cookie", "; ".join([*cookies_of(20), own])))
    assert answer.sent("cookie") == [own]
    assert router.get("/api/x", ("Cookie", "app=1")).sent("cookie") == []


@pytest.mark.parametrize("path", ["/", "/accounts/login/"])
@pytest.mark.parametrize("cookie", ["app=" + "x" * 70_000, "sessionid=" + "x" * 9_000])
def test_a_browser_with_cookies_that_nobody_can_read_loses_them(
    router: Router, path: str, cookie: str
) -> None:
    """It could not even sign in any more."""
    answer = router.get(path, ("Cookie", cookie), ("Accept", "text/html"))
    assert answer.status == 431
    assert answer.get("clear-site-data") == '"cookies"'
    assert b"sign in again" in answer.body
    assert router.get(path, ALICE).status == 200


def test_a_running_request_is_cut_in_time_whatever_its_cookies(
    router: Router, django: FakeDjango
) -> None:
    filler = [("Cookie", cookie) for cookie in cookies_of(40)]
    with connect(
        f"ws://127.0.0.1:{router.port}/",
        additional_headers=[*filler, ALICE],
        proxy=None,
        close_timeout=1,
    ) as connection:
        connection.recv(timeout=5)
        django.inactive.add("alice")
        router.purge("id-alice")
        begin = time.monotonic()
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=8)
        assert time.monotonic() - begin < 2


def memory_of_workers(router: Router) -> int:
    """Bytes of resident memory of the router's workers together."""
    master = router.process.process.pid
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return sum(
        int(Path(f"/proc/{child}/statm").read_text().split()[1]) * 4096 for child in children
    )


def test_cookies_of_all_kinds_do_not_fill_the_memory(router: Router, django: FakeDjango) -> None:
    """One user: 5,000 requests with 15 KB of random cookies, each another one."""
    with socket.create_connection(("127.0.0.1", router.port), timeout=20) as connection:

        def ask(number: int) -> None:
            filler = secrets.token_hex(7500)
            # Ours also vary.
            cookie = f"userpods_token={number}; app={filler}; sessionid=s-alice"
            head = f"GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"
            connection.sendall(head.encode())
            assert read_response(connection).status == 200

        for number in range(500):
            ask(number)
        before = memory_of_workers(router)
        for number in range(500, 5500):
            ask(number)
    assert memory_of_workers(router) - before < 24 * 2**20


@pytest.mark.parametrize(
    "cookies",
    [
        ["userpods_token=x" + '"' * 7000 + "x" + "; a=1" * 9000],
        ["userpods_token=x" + " " * 60_000 + "x"] * 3,
    ],
    ids=["quotes", "blanks"],
)
def test_no_cookie_keeps_a_worker_busy(router: Router, cookies: list[str]) -> None:
    """It took a worker minutes to take these apart, for whoever sent them."""
    answer = router.get("/", *(("Cookie", cookie) for cookie in cookies))
    assert answer.status in {401, 431}
