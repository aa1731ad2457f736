"""Requests that another origin starts carry no identity, whatever cookies a browser sends along."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = pytest.mark.router

ALICE = ("Cookie", "__Host-userpods=s-alice")
HTML = ("Accept", "text/html")
HOST, OWN = "alice.pods.test", "https://alice.pods.test"
Headers = list[tuple[str, str]]


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    return {
        "cache_seconds": 60,
        "pods_url": "https://{pod}.pods.test/",
        "site_url": "https://site.test/",
        "admitted_origins": ["https://desk.test"],
    }


def fetched(site: str, mode: str, dest: str = "empty", origin: str = "") -> Headers:
    """What a browser says of a request (Fetch Metadata), and the Origin where it has one."""
    said = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]
    return [*said, ("Origin", origin)] if origin else said


BOBS = "https://bob.pods.test"
LINK = fetched("same-site", "navigate", "document")
OWN_LINK = fetched("same-origin", "navigate", "document")
TYPED = fetched("none", "navigate", "document")
# Name, method, headers: from bob's page, from a stranger's, from one over plain HTTP.
FOREIGN: list[tuple[str, str, Headers]] = [
    ("an <img>", "GET", fetched("same-site", "no-cors", "image")),
    ("a <script>", "GET", fetched("same-site", "no-cors", "script")),
    ("an iframe", "GET", fetched("same-site", "navigate", "iframe")),
    ("a page beforehand", "GET", [*LINK, ("Sec-Purpose", "prefetch")]),
    ("a page unseen", "GET", [*LINK, ("Sec-Purpose", "prefetch;prerender")]),
    # So it is in Chromium 156.
    ("a page beforehand, of nobody", "GET", [*TYPED, ("Sec-Purpose", "prefetch")]),
    ("a page beforehand, without a word", "GET", [("Sec-Purpose", "prefetch")]),
    ("an <object>", "GET", fetched("same-site", "navigate", "object")),
    ("fetch without CORS", "GET", fetched("same-site", "no-cors")),
    ("fetch with CORS", "GET", fetched("same-site", "cors", origin=BOBS)),
    ("fetch that posts", "POST", fetched("same-site", "no-cors", origin=BOBS)),
    ("a form", "POST", fetched("same-site", "navigate", "document", BOBS)),
    ("a form without a referrer", "POST", fetched("same-site", "navigate", "document", "null")),
    ("a form that gets", "HEAD", fetched("same-site", "navigate", "document")),
    ("a preflight", "OPTIONS", fetched("same-site", "cors", origin=BOBS)),
    ("a stranger's <img>", "GET", fetched("cross-site", "no-cors", "image")),
    ("a stranger's iframe", "GET", fetched("cross-site", "navigate", "iframe")),
    ("a stranger's form", "POST", fetched("cross-site", "navigate", "document", "https://evil")),
    ("a sandboxed frame", "GET", fetched("cross-site", "cors", origin="null")),
    ("an old browser's fetch", "GET", [("Origin", BOBS)]),
    ("an old browser's form", "POST", [("Origin", "null")]),
    ("the site", "GET", fetched("same-site", "cors", origin="https://site.test")),
    ("the same host without TLS", "POST", [("Origin", "http://alice.pods.test")]),
    ("another port", "POST", [("Origin", f"{OWN}:8443")]),
    ("a longer host", "POST", [("Origin", f"{OWN}.evil.example")]),
    ("two origins", "POST", [("Origin", OWN), ("Origin", BOBS)]),
    ("two origins, turned", "POST", [("Origin", BOBS), ("Origin", OWN)]),
    ("no origin at all", "POST", [("Origin", "")]),
    ("a word that is none", "GET", fetched("elsewhere", "cors")),
    ("a word as long as one", "GET", fetched("some-origin", "cors")),
    ("a word in capitals", "GET", fetched("Same-Origin", "cors")),
    ("two words", "GET", [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")]),
    ("one word twice", "GET", [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "none")]),
    ("an admitted origin that is not named", "GET", fetched("cross-site", "no-cors", "image")),
]
OURS: list[tuple[str, str, Headers]] = [
    ("no browser", "GET", []),
    ("the address bar", "GET", TYPED),
    ("a page of its own", "GET", fetched("same-origin", "cors")),
    ("an image of its own", "GET", fetched("same-origin", "no-cors", "image")),
    ("a frame of its own", "GET", fetched("same-origin", "navigate", "iframe")),
    ("a form of its own", "POST", fetched("same-origin", "navigate", "document", OWN)),
    ("one without a referrer", "POST", fetched("same-origin", "navigate", "document", "null")),
    ("an old browser's form", "POST", [("Origin", OWN)]),
    ("upper case", "POST", [("Origin", OWN.upper())]),
    ("its own page beforehand", "GET", [*OWN_LINK, ("Sec-Purpose", "prefetch;prerender")]),
    ("a link on bob's page", "GET", LINK),
    ("a link anywhere", "GET", fetched("cross-site", "navigate", "document")),
    ("an admitted origin", "GET", fetched("cross-site", "cors", origin="https://desk.test")),
    ("its form", "POST", fetched("cross-site", "navigate", "document", "https://desk.test")),
]


@pytest.mark.parametrize(
    ("method", "headers"), [x[1:] for x in FOREIGN], ids=[x[0] for x in FOREIGN]
)
def test_what_another_origin_starts_carries_no_identity(
    router: Router, django: FakeDjango, method: str, headers: Headers
) -> None:
    """Known or not, by cookie or token: 401, no redirect, nobody asked, no pod reached."""
    token = ("Authorization", "Bearer upt_alice")
    for known in (False, True):
        if known:
            assert router.get("/", ALICE, host=HOST).json()["name"] == "alice"
            assert router.get("/", token, host=HOST).json()["name"] == "alice"
            django.seen.clear()
        for more in ([ALICE], [ALICE, HTML], [token], [ALICE, token]):
            answer = router.get("/", *more, *headers, method=method, host=HOST)
            assert (answer.status, answer.get("location")) == (401, None)
        assert django.seen == []


@pytest.mark.parametrize(
    ("method", "headers"), [case[1:] for case in OURS], ids=[case[0] for case in OURS]
)
def test_what_a_user_or_their_pods_page_starts_carries_it(
    router: Router, method: str, headers: Headers
) -> None:
    for _ in range(2):
        answer = router.get("/", ALICE, *headers, method=method, host=HOST)
        assert (answer.status, answer.json()["name"]) == (200, "alice")
        # As they came: applications compare them.
        sent = [value for name, value in headers if name == "Origin"]
        assert (answer.sent("origin"), answer.sent("host")) == (sent, [HOST])


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (OWN, b"101"), ("", b"401"), (BOBS, b"401"), ("null", b"401"),
        ("http://alice.pods.test", b"401"), ("https://desk.test", b"101"),
    ],
)  # fmt: skip
def test_a_websocket_has_its_hosts_own_origin(router: Router, origin: str, status: bytes) -> None:
    """It has no Sec-Fetch-* in any browser."""
    for _ in range(2):
        lines = ["GET / HTTP/1.1", f"Host: {HOST}", "Upgrade: websocket", "Connection: upgrade"]
        lines += ["Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13", f"Cookie: {ALICE[1]}"]
        lines.append(f"Origin: {origin}")
        with socket.create_connection(("127.0.0.1", router.port), timeout=10) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            assert connection.recv(100).split()[1] == status


def test_a_port_that_is_spelled_out_is_the_same_origin(router: Router) -> None:
    answer = router.get("/", ALICE, ("Origin", OWN), method="POST", host=f"{HOST}:443")
    assert answer.status == 200
