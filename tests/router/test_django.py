"""The router with Django itself: this project under gunicorn, its database a file."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.router.harness import Response, Router
from tests.router.real_django import SLOW, RealSite, environment_of, serving
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.router

HTML = ("Accept", "text/html")


class Site(RealSite):
    """A site whose users sign in through its login page."""

    def sign_in(self, name: str) -> tuple[str, str]:
        """Through the login page; the Cookie header of the session."""
        page = self.router.get("/admin/login/?next=/", HTML)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode())
        assert token is not None
        cookie = (page.get("set-cookie") or "").partition(";")[0]
        form = {"csrfmiddlewaretoken": token[1], "username": name, "password": name, "next": "/"}
        answer = self.router.get(
            "/admin/login/",
            ("Cookie", cookie),
            ("Referer", "http://site.test/admin/login/"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            method="POST",
            body=urlencode(form).encode(),
        )
        assert answer.status == 302, answer.body
        session = next(x for x in answer.all("set-cookie") if x.startswith("sessionid="))
        csrf = next(x for x in answer.all("set-cookie") if x.startswith("csrftoken="))
        return "Cookie", f"{session.partition(';')[0]}; {csrf.partition(';')[0]}"

    def log_out(self, cookie: tuple[str, str]) -> Response:
        page = self.router.get("/admin/", HTML, cookie)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode())
        assert token is not None
        return self.router.get(
            "/admin/logout/",
            cookie,
            ("Content-Type", "application/x-www-form-urlencoded"),
            method="POST",
            body=urlencode({"csrfmiddlewaretoken": token[1]}).encode(),
        )


@pytest.fixture
def site(tmp_path: Path, alice_pod: str, bob_pod: str) -> Iterator[Site]:
    with running_site(tmp_path, alice_pod, bob_pod) as found:
        yield found


@contextlib.contextmanager
def running_site(
    folder: Path, alice_pod: str, bob_pod: str, *, pods_url: str = "", site_url: str = ""
) -> Iterator[Site]:
    """Start Django and a router in front of it, in a folder."""
    port = free_port()
    router = Router(
        folder / "nginx",
        port,
        options=SLOW | {"login_url": "/admin/login/", "pods_url": pods_url, "site_url": site_url},
    )
    # Pods are where the test says: the cluster in memory would move them to addresses of its own,
    # and whatever answers there would be taken for them.
    environment = environment_of(
        folder, router, SITE_PODS=pods_url, SITE_URL=site_url, SITE_INLINE_TIMEOUT="0"
    )
    site = Site(router, environment)
    with router:
        site.command("prepare", alice_pod, bob_pod)
        with serving(folder, port, environment):
            yield site


def test_alice_and_bob_sign_in_and_reach_their_own(site: Site) -> None:
    answer = site.router.get("/notes", HTML)
    assert (answer.status, answer.get("location")) == (302, "/admin/login/?next=%2Fnotes")
    for name in ("alice", "bob"):
        cookie = site.sign_in(name)
        for _ in range(2):
            answer = site.router.get("/", cookie)
            assert answer.json()["name"] == name
            assert answer.sent("x-userpods-user") == [name]
            assert answer.sent("cookie") == []
    token = site.command("token", "alice")
    answer = site.router.get("/", ("Authorization", f"Bearer {token}"))
    assert answer.json()["name"] == "alice"
    assert answer.sent("authorization") == []
    assert site.router.get("/", ("Authorization", "Bearer upt_no")).status == 403


def test_a_logout_a_deactivation_and_a_deletion_end_it_at_once(site: Site) -> None:
    """Requests and WebSockets, long before any cached answer or recheck would."""

    def out(cookie: tuple[str, str], act: object, status: int) -> None:
        assert callable(act)
        assert site.router.get("/", cookie).status == 200
        with connect(
            f"ws://127.0.0.1:{site.router.port}/", additional_headers=[cookie], proxy=None
        ) as websocket:
            websocket.recv(timeout=5)
            act()
            done = time.monotonic()
            with pytest.raises(ConnectionClosed):
                websocket.recv(timeout=5)
            assert time.monotonic() - done < 3
        assert site.router.get("/", cookie).status == status

    alice = site.sign_in("alice")
    out(alice, lambda: site.log_out(alice), 401)
    alice = site.sign_in("alice")
    out(alice, lambda: site.command("deactivate", "alice"), 403)
    bob = site.sign_in("bob")
    out(bob, lambda: site.command("delete", "bob"), 401)


def test_an_address_that_is_another_users_now_is_reached_by_nobody_else(site: Site) -> None:
    """Alice has a WebSocket open while bob is given her address; both are purged."""
    alice, bob = site.sign_in("alice"), site.sign_in("bob")
    url = f"ws://127.0.0.1:{site.router.port}/"
    with connect(url, additional_headers=[alice], proxy=None) as websocket:
        websocket.recv(timeout=5)
        for _ in range(10):
            assert site.router.get("/", alice).status == 200
        site.command("hand-over", "alice", "bob")
        with pytest.raises(ConnectionClosed):
            websocket.recv(timeout=5)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert site.router.get("/", alice).status == 503
        answer = site.router.get("/", bob)
        if answer.status == 200:
            # Her old pod's process stands for the one that bob has there.
            assert answer.sent("x-userpods-user") == ["bob"]
        time.sleep(0.1)
    assert site.router.get("/", bob).status == 200


# Around "Bearer": what Python's str.strip takes away and Lua's %s does not, or the other way round.
DRESSES = [
    f"{before}{scheme}{between}{{}}{after}"
    for scheme in ("Bearer", "bearer")
    for before in ("", " ", "\t", "\xa0", "\x85", "\x1c", "\x0b")
    for between in (" ", "  ", "\t", "\xa0", " \x85", ", ")
    for after in ("", "\xa0", ", x")
]


def test_no_token_that_django_takes_reaches_a_pod(site: Site) -> None:
    """However it is dressed, alone and beside a session."""
    token = site.command("token", "alice")
    session = site.sign_in("alice")
    taken = 0
    for dress in DRESSES:
        header = ("Authorization", dress.format(token))
        for headers in ([header], [header, session], [header, ("Cookie", "theme=dark")]):
            answer = site.router.get("/", *headers)
            # 503: gunicorn takes no control bytes, so that whoami gives no answer.
            assert answer.status in {200, 400, 401, 403, 503}, dress
            if answer.status == 200:
                taken += 1
                assert answer.json()["name"] == "alice"
                assert token not in answer.body.decode(), dress
    assert taken > len(DRESSES) / 2
