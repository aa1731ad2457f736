"""Everything that can be down, late or odd: Django, a pod, a user's right to be there."""

from __future__ import annotations

import http.client
import re
import socket
import time
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import Response, Router
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango, Handler

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")
HTML = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
NAVIGATE = ("Sec-Fetch-Mode", "navigate")

WELL = [
    ("X-Target-Service", "user-alice"),
    ("X-Userpods-User", "alice"),
    ("X-Userpods-User-Id", "id-alice"),
]


def raw_answer(data: bytes) -> Callable[[Handler], None]:
    """Answer with these bytes and hang up."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return answer


def hang(handler: Handler) -> None:
    time.sleep(12)
    handler.close_connection = True


ODD: dict[str, Callable[[Handler], None]] = {
    "redirect": lambda h: h.say(302, b"", ("Location", "/accounts/login/"), *WELL),
    "moved": lambda h: h.say(301, b"", ("Location", "https://site.test/whoami"), *WELL),
    "no content": lambda h: h.say(204, b"", *WELL, length=False),
    "bad request": lambda h: h.say(400, b"DisallowedHost", *WELL),
    "not found": lambda h: h.say(404, b"", *WELL),
    "server error": lambda h: h.say(500, b"<h1>Server Error (500)</h1>", *WELL),
    "bad gateway": lambda h: h.say(502, b"", *WELL),
    "nothing": raw_answer(b""),
    "garbage": raw_answer(b"\x00\xff\x00 nonsense\r\n\r\n"),
    "half a head": raw_answer(b"HTTP/1.1 200 OK\r\nX-Target-Service: user-alice\r\n"),
    "200 of nobody": lambda h: h.say(200, b"{}"),
    "200 of half a user": lambda h: h.say(200, b"{}", *WELL[:2]),
    "target twice": lambda h: h.say(200, b"{}", *WELL, ("X-Target-Service", "user-bob")),
    "peer twice": lambda h: h.say(
        200, b"{}", *WELL, ("X-Target-Peer", "127.0.0.1:9"), ("X-Target-Peer", "127.0.0.1:8")
    ),
}


@pytest.mark.parametrize("how", ODD)
def test_odd_answers_of_auth_let_nobody_in(router: Router, django: FakeDjango, how: str) -> None:
    django.odd = ODD[how]
    for headers in ((ALICE,), (ALICE, HTML, NAVIGATE)):
        answer = router.get("/", *headers)
        assert answer.status == 503
        assert answer.get("retry-after") == "2"
        assert answer.get("cache-control") == "no-store"
    assert router.get("/", ALICE).json()["error"] == "unavailable"
    # And it is not remembered.
    django.odd = None
    assert router.get("/", ALICE).json()["name"] == "alice"


def test_auth_that_hangs_lets_nobody_in(router: Router, django: FakeDjango) -> None:
    django.odd = hang
    begin = time.monotonic()
    assert router.get("/", ALICE).status == 503
    assert time.monotonic() - begin < 12


def test_auth_with_a_body_cut_short_still_counts_as_its_headers_say_or_not_at_all(
    router: Router, django: FakeDjango, alice_pod: str
) -> None:
    head = "".join(f"{key}: {value}\r\n" for key, value in [*WELL, ("X-Target-Peer", alice_pod)])
    data = f"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n{head}\r\nhalf".encode()
    django.odd = raw_answer(data)
    assert router.get("/", ALICE).status == 503


@pytest.fixture
def without_django(tmp_path: Path) -> Iterator[Router]:
    with Router(tmp_path / "nginx", free_port()) as router:
        yield router


@pytest.mark.parametrize(
    ("accept", "language", "heading"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans", "\u6682\u65f6\u4e0d\u53ef\u7528"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en", "Unavailable"),
        ("", "en", "Unavailable"),
    ],
)
def test_a_page_of_its_own_is_in_the_language_of_the_browser(
    without_django: Router, accept: str, language: str, heading: str
) -> None:
    for path in ("/", "/admin/"):  # in a pod's place, and in the site's
        page = without_django.get(path, ALICE, HTML, ("Accept-Language", accept))
        text = page.body.decode()
        assert (page.status, page.get("content-language")) == (503, language)
        assert f'<html lang="{language}">' in text
        assert re.search(rf"<main>\s*<h1>{heading}</h1>", text)
        assert text.count("<title>") == 1
        # Nothing of how it is done: no address, no software, no file.
        assert not re.search(r"nginx|lua|127\.0|upstream|whoami", text, re.IGNORECASE)
    # A program is told in English.
    told = without_django.get("/", ALICE, ("Accept-Language", accept)).json()
    assert told == {"error": "unavailable", "message": "Please try again in a moment."}


def test_nobody_gets_in_while_django_is_down(without_django: Router) -> None:
    answer = without_django.get("/", ALICE)
    assert answer.status == 503
    assert answer.json()["error"] == "unavailable"
    page = without_django.get("/", ALICE, HTML)
    assert page.status == 503
    assert page.get("content-type") == "text/html; charset=utf-8"
    # It moves on where its script does not run, too; what comes of that stands in
    # tests/browser/test_router_pages.py.
    assert re.findall(rb"<meta http-equiv=.*?>", page.body) == [
        b'<meta http-equiv="refresh" content="2">'
    ]


def is_json_error(answer: Response, status: int, error: str) -> bool:
    return (
        answer.status == status
        and answer.get("content-type") == "application/json"
        and answer.json()["error"] == error
    )


def test_a_browser_without_credentials_goes_to_the_login(router: Router) -> None:
    answer = router.get("/notes?x=1", HTML, NAVIGATE)
    assert answer.status == 302
    assert answer.get("location") == "/accounts/login/?next=%2Fnotes%3Fx%3D1"
    assert answer.get("cache-control") == "no-store"
    assert router.get("/", HTML, method="HEAD").status == 302
    assert router.get("/", HTML, ("Cookie", "sessionid=stale")).status == 302


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", ()),
        ("GET", (("Accept", "application/json"),)),
        ("GET", (("Accept", "*/*"),)),
        ("POST", (HTML,)),
        ("GET", (HTML, ("Sec-Fetch-Mode", "cors"))),
        ("GET", (HTML, ("Sec-Fetch-Mode", "websocket"))),
        ("GET", (HTML, ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x"))),
        ("GET", (("Cookie", "sessionid=stale"),)),
    ],
)
def test_everyone_else_without_credentials_gets_json(
    router: Router, method: str, headers: tuple[tuple[str, str], ...]
) -> None:
    answer = router.get("/", *headers, method=method)
    assert is_json_error(answer, 401, "no token")
    assert answer.get("www-authenticate") == "Bearer"


def test_without_credentials_django_is_not_asked(router: Router, django: FakeDjango) -> None:
    for _ in range(5):
        router.get("/")
    assert django.count["/whoami"] == 0


def test_an_invalid_token_is_forbidden(router: Router) -> None:
    answer = router.get("/", ("Authorization", "Bearer upt_nonsense"))
    assert is_json_error(answer, 403, "no access")
    page = router.get("/", ("Authorization", "Bearer upt_nonsense"), HTML)
    assert page.status == 403
    assert page.get("content-type") == "text/html; charset=utf-8"


def test_a_pod_without_an_address_shows_the_waiting_page(
    router: Router, django: FakeDjango
) -> None:
    django.user("alice", None)
    answer = router.get("/", ALICE)
    assert answer.status == 503
    assert answer.get("retry-after") == "2"
    assert answer.json() == {"state": "starting", "message": "Django says wait"}
    page = router.get("/deep/path?x=1", ALICE, HTML, NAVIGATE)
    assert page.status == 503
    assert page.body == b"<p>Django says wait</p>"
    last = django.seen[-1]
    assert last["path"] == "/userpods/waiting/"
    # With the user's own credentials, so that Django knows whom to wake.
    assert ("Cookie", "sessionid=s-alice") in last["headers"]
    assert ("Sec-Fetch-Mode", "navigate") in last["headers"]


def test_the_waiting_page_follows_the_pod_at_once(
    router: Router, django: FakeDjango, alice_pod: str
) -> None:
    django.user("alice", None)
    assert router.get("/", ALICE).status == 503
    django.user("alice", alice_pod)
    assert router.get("/", ALICE).json()["name"] == "alice"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_pod_that_refuses_connections_shows_the_waiting_page(
    router: Router, django: FakeDjango, alice_pod: str, method: str
) -> None:
    django.user("alice", f"127.0.0.1:{free_port()}")
    answer = router.get("/", ALICE, ("Authorization", "Bearer upt_x"), method=method, body=b"abc")
    assert answer.status == 503
    assert answer.json()["message"] == "Django says wait"
    last = django.seen[-1]
    assert ("Cookie", "sessionid=s-alice") in last["headers"]
    assert ("Authorization", "Bearer upt_x") in last["headers"]
    assert "Content-Length" not in dict(last["headers"])
    # Once it is up somewhere else, the next request finds it.
    django.user("alice", alice_pod)
    assert router.get("/", ALICE, ("Authorization", "Bearer upt_x")).json()["name"] == "alice"


def test_a_pod_that_does_not_take_connections_shows_the_waiting_page(
    router: Router, django: FakeDjango
) -> None:
    """Nothing answers at an address that routes nowhere: the connect timeout ends it."""
    django.user("alice", "192.0.2.1:80")  # RFC 5737, documentation
    begin = time.monotonic()
    answer = router.get("/", ALICE)
    assert answer.status == 503
    assert answer.json()["message"] == "Django says wait"
    assert time.monotonic() - begin < 5


def test_whoami_that_says_later_shows_the_waiting_page(router: Router, django: FakeDjango) -> None:
    django.odd = lambda handler: handler.say(503, b"{}", ("Retry-After", "1"))
    answer = router.get("/", ALICE)
    assert answer.status == 503
    assert answer.json()["message"] == "Django says wait"


def test_a_plain_waiting_page_where_django_is_down_too(router: Router, django: FakeDjango) -> None:
    django.user("alice", f"127.0.0.1:{free_port()}")
    router.get("/", ALICE)

    def only_whoami(handler: Handler) -> None:
        handler.say(200, b"{}", *handler.target("alice"))

    django.odd = only_whoami
    django.waiting_is_broken = True
    try:
        answer = router.get("/", ALICE)
        page = router.get("/", ALICE, HTML)
    finally:
        django.waiting_is_broken = False
    assert is_json_error(answer, 503, "starting")
    assert answer.get("retry-after") == "2"
    assert page.status == 503
    assert b"Your application is not up yet." in page.body


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502, 503, 504])
def test_a_pods_own_errors_pass_untouched(router: Router, status: int) -> None:
    answer = router.get(f"/status/{status}", ALICE, HTML)
    assert answer.status == status
    assert answer.json()["name"] == "alice"


def test_a_pods_own_redirect_passes_untouched(router: Router) -> None:
    answer = router.get("/headers-back?Location=http%3A%2F%2Felsewhere%2Fx", ALICE)
    assert answer.get("location") == "http://elsewhere/x"


def test_a_pod_that_breaks_off_is_a_bad_gateway(router: Router) -> None:
    assert is_json_error(router.get("/close", ALICE), 502, "bad gateway")
    assert router.get("/close", ALICE, HTML).get("content-type") == "text/html; charset=utf-8"
    assert is_json_error(router.get("/close", ALICE, method="POST", body=b"x"), 502, "bad gateway")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nBad\x00Name: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: 1\x002\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: 1\r\n",
    ],
)
def test_a_pod_whose_headers_are_broken_is_a_bad_gateway(router: Router, answer: bytes) -> None:
    path = "/raw?bytes=" + urllib.parse.quote(answer)
    assert is_json_error(router.get(path, ALICE), 502, "bad gateway")


def test_a_pod_with_oversized_headers_is_a_bad_gateway(router: Router) -> None:
    assert is_json_error(router.get("/big-header?bytes=40000", ALICE), 502, "bad gateway")


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\x01 this is not HTTP\r\n\r\n",
        # Browsers forgive a little before, and in, the status line: nginx would pass it on.
        b"ab\r\nHTTP/1.1 200 OK\r\nSet-Cookie: sessionid=evil\r\n\r\n",
        b"HTTP/1.1\t200 OK\r\nSet-Cookie: sessionid=evil\r\n\r\n",
        b"HTTP/1 200 OK\r\nSet-Cookie: sessionid=evil\r\n\r\n",
    ],
)
def test_what_is_not_http_does_not_reach_the_client(router: Router, answer: bytes) -> None:
    path = "/raw?bytes=" + urllib.parse.quote(answer)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100) == b""


def test_a_pod_that_breaks_off_midway_breaks_off_for_the_client(router: Router) -> None:
    with pytest.raises(http.client.IncompleteRead):
        router.get("/half", ALICE)


def test_a_request_that_may_not_be_repeated_is_not(router: Router) -> None:
    before = router.get("/", ALICE).json()["requests"]
    router.get("/close", ALICE, method="POST", body=b"x")
    assert router.get("/", ALICE).json()["requests"] == before + 2


def test_a_pod_that_hangs_is_a_gateway_timeout(router: Router) -> None:
    begin = time.monotonic()
    assert is_json_error(router.get("/hang", ALICE), 504, "gateway timeout")
    assert 4 < time.monotonic() - begin < 8


def test_a_kept_connection_that_the_pod_closed_is_no_error(router: Router) -> None:
    for _ in range(20):
        assert router.get("/", ALICE, ("X-Close", "1")).status == 200


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("GET", b"", 405),
        ("POST", b"", 400),
        ("POST", b"nonsense", 400),
        ("POST", b"[]", 400),
        ("POST", b'{"user_id": null}', 400),
        ("POST", b'{"user_id": "a b"}', 200),
        ("POST", b'{"user_id": {"x": 1}}', 400),
        ("POST", b'{"user_id": ""}', 400),
        ("POST", b'{"user_id": 1.5}', 400),
        ("POST", b'{"user_id": 12345678}', 200),
        ("POST", b'{"user_id": "7"}', 200),
        ("POST", b"x" * 5000, 413),
    ],
)
def test_purge_takes_nothing_odd(router: Router, method: str, body: bytes, status: int) -> None:
    answer = router.get("/purge", method=method, body=body, port=router.internal)
    assert answer.status == status
