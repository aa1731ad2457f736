"""A host for each pod: all of it is the pod's, but for what is ours."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from django_userpods.core import addresses
from tests.router.harness import ROUTER, Router, eventually
from tests.router.wire import Wire

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

HIDDEN = re.findall(
    r"^proxy_hide_header (\S+);$", (ROUTER / "shared-host.conf").read_text(), re.MULTILINE
)
URL, SITE = "https://{pod}.pods.test/", "https://site.test/"
ALICE, BOB = (("Cookie", f"__Host-userpods=s-{name}") for name in ("alice", "bob"))
HTML = ("Accept", "text/html")
ALICES, BOBS = "alice.pods.test", "bob.pods.test"


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    return {"cache_seconds": 60, "pods_url": URL, "site_url": SITE}


def test_each_reaches_their_own_at_their_own_host(router: Router, django: FakeDjango) -> None:
    for cookie, host, name in ((ALICE, ALICES, "alice"), (BOB, BOBS, "bob")):
        for _ in range(3):
            answer = router.get("/a?b=c", cookie, host=host)
            assert (answer.status, answer.json()["name"]) == (200, name)
            assert answer.json()["target"] == "/a?b=c"
            assert answer.sent("host") == [host]
            assert answer.sent("cookie") == []
    assert [said["x-userpods-host"] for said in django.asked("/whoami")] == [ALICES, BOBS]
    assert {said["host"] for said in django.asked("/whoami")} == {"site.test"}


def test_what_alice_was_answered_at_her_host_is_nothing_at_bobs(
    router: Router, django: FakeDjango
) -> None:
    for _ in range(2):
        assert router.get("/", ALICE, host=ALICES).status == 200
        assert router.get("/", ALICE, HTML, host=BOBS).status == 403
        assert router.get("/", BOB, HTML, host=ALICES).status == 403
    token = ("Authorization", "Bearer upt_alice")
    assert router.get("/", token, host=ALICES).status == 200
    assert router.get("/", token, host=BOBS).status == 403


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/admin/", "/api/", "/static/x", "/userpods/waiting/", "/whoami"]
)
def test_no_path_is_the_sites(router: Router, path: str) -> None:
    assert router.get(path, ALICE, host=ALICES).json()["name"] == "alice"


def test_upper_case_is_the_same_host_and_one_answer(router: Router, django: FakeDjango) -> None:
    for host in (ALICES, "Alice.Pods.TEST", "ALICE.pods.test"):
        answer = router.get("/", ALICE, host=host)
        assert answer.json()["name"] == "alice"
        assert answer.sent("host") == [host]
    assert django.count["/whoami"] == 1


@pytest.mark.parametrize(
    "host",
    [
        "alice.pods.test.",
        "alice.pods.test:8080",
        "alice.pods.test.evil.example",
        "pods.test",
        ".pods.test",
        "site.test",
        "x.alice.pods.test",
        "xn--alice.pods.test",
        "127.0.0.1",
        "[::1]",
        "alice",
        "alice_.pods.test",
        "evilalice.pods.test",
        "a" * 300,
    ],
)
def test_a_host_of_no_pod_leads_nowhere(router: Router, host: str) -> None:
    assert router.get("/", ALICE, host=ALICES).status == 200
    for headers in ([ALICE], [ALICE, HTML], [("Authorization", "Bearer upt_alice")]):
        assert router.get("/", *headers, host=host).status in {400, 403}


def test_a_request_without_a_host_leads_nowhere(router: Router, django: FakeDjango) -> None:
    for head in (
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n",
        "GET /.userpods/status/ HTTP/1.0\r\n",
    ):
        data = f"{head}Cookie: {ALICE[1]}\r\n\r\n".encode()
        assert router.exchange(router.port, data, "GET").status == 400
    assert django.seen == []


def test_the_default_port_may_be_named(router: Router) -> None:
    assert router.get("/", ALICE, host=f"{ALICES}:443").json()["name"] == "alice"


def test_a_navigation_without_credentials_goes_to_sign_in(router: Router) -> None:
    answer = router.get("/a/b?c=d&e=%20", HTML, host=ALICES)
    assert answer.status == 302
    assert answer.get("location") == "/.userpods/sign-in?next=%2Fa%2Fb%3Fc%3Dd%26e%3D%2520"
    navigate = ("Sec-Fetch-Mode", "navigate")
    assert router.get("/", navigate, host=ALICES).status == 302
    # One that is no longer good.
    dead = ("Cookie", "__Host-userpods=s-nobody")
    assert router.get("/", dead, HTML, host=ALICES).status == 302
    assert (
        router.get("//evil.example/", HTML, host=ALICES).get("location")
        == "/.userpods/sign-in?next=%2Fevil.example%2F"
    )


@pytest.mark.parametrize(("part", "most"), [("a", 3499), ("%20", 700), ("&", 1166)])
def test_a_long_address_leads_back_to_the_first_page(router: Router, part: str, most: int) -> None:
    """gunicorn takes 4094 bytes of a request line."""
    for count in (most - 10, 4000, 20_000):
        answer = router.get("/" + part * count, HTML, host=ALICES)
        back = (answer.get("location") or "").partition("?next=")[2]
        assert answer.status == 302
        assert (back == "%2F") == (count > most)
        assert len(back) <= 3500


def test_all_else_without_credentials_is_401(router: Router) -> None:
    for headers in ([], [("Sec-Fetch-Mode", "cors"), HTML], [("Accept", "application/json")]):
        answer = router.get("/", *headers, host=ALICES)
        assert (answer.status, answer.json()["error"]) == (401, "no token")
    assert router.get("/", HTML, host=ALICES, method="POST").status == 401


def test_a_refusal_is_never_a_redirect(router: Router) -> None:
    assert router.get("/", BOB, HTML, host=ALICES).status == 403
    assert router.get("/", ("Authorization", "Bearer upt_no"), HTML, host=ALICES).status == 403


def test_a_page_that_refuses_leads_to_sign_in(router: Router) -> None:
    planted = ("Authorization", "Bearer upt_planted")
    answer = router.get("/a'\"<b>?c=d&e=f", planted, HTML, host=ALICES)
    link = '<a href="/.userpods/sign-in?next=%2Fa&#39;%22%3Cb%3E%3Fc%3Dd%26e%3Df">'
    assert (answer.status, link in answer.body.decode()) == (403, True)


def test_a_kept_connection_is_no_way_to_anothers_host(router: Router) -> None:
    """As a gateway sends requests of many hosts over one connection (HTTP/2 makes that common)."""
    wire = Wire(router.port)
    for host, cookie, status, name in (
        (ALICES, ALICE, 200, b'"alice"'),
        (BOBS, ALICE, 403, b"no access"),
        (BOBS, BOB, 200, b'"bob"'),
        (ALICES, BOB, 403, b"no access"),
        (ALICES, ALICE, 200, b'"alice"'),
    ) * 2:
        wire.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n{': '.join(cookie)}\r\n\r\n".encode())
        answer = wire.answer()
        assert (answer.status, name in answer.body) == (status, True)
    wire.close()


def test_an_absolute_request_line_names_no_other_host(router: Router) -> None:
    """What is asked of whoami and what the pod sees is the same: the header."""
    answer = router.get(f"http://{BOBS}/", ALICE, host=ALICES)
    assert (answer.json()["name"], answer.sent("host")) == ("alice", [ALICES])
    assert router.get(f"http://{ALICES}/", ALICE, host=BOBS).status == 403


def test_who_is_asked_for_is_said_by_the_router_alone(router: Router, django: FakeDjango) -> None:
    forged = [("X-Userpods-Host", ALICES), ("X-Userpods-Path", "/pods/alice/")]
    assert router.get("/", ALICE, *forged, host=BOBS).status == 403
    answer = router.get("/", ALICE, *forged, host=ALICES)
    assert answer.sent("x-userpods-host") == answer.sent("x-userpods-path") == []
    assert [said["x-userpods-host"] for said in django.asked("/whoami")] == [BOBS, ALICES]
    assert all("x-userpods-path" not in said for said in django.asked("/whoami"))


def test_a_request_that_runs_is_asked_about_at_its_own_host(
    tmp_path: Path, django: FakeDjango, options: dict[str, object]
) -> None:
    """And cut when the answer there is no."""
    options = {**options, "recheck_seconds": 1, "grace_seconds": 60}
    with Router(tmp_path / "nginx", django.port, options=options) as router:
        sock = socket.create_connection(("127.0.0.1", router.port), timeout=10)
        with connect(f"ws://{ALICES}/", additional_headers=[ALICE], sock=sock) as websocket:
            websocket.recv(timeout=5)
            eventually(lambda: django.count["/whoami"] >= 3)
            assert {said["x-userpods-host"] for said in django.asked("/whoami")} == {ALICES}
            websocket.send("still")
            assert websocket.recv(timeout=5) == "alice: still"
            django.where = addresses.parse("https://{pod}.elsewhere.test/")
            try:
                with pytest.raises(ConnectionClosed):
                    websocket.recv(timeout=5)
            finally:
                django.where = addresses.parse(URL)


def test_the_waiting_page_is_about_the_host(router: Router, django: FakeDjango) -> None:
    django.user("alice", None)
    answer = router.get("/notes", ALICE, HTML, host=ALICES)
    assert (answer.status, b"Django says wait" in answer.body) == (503, True)
    (said,) = django.asked("/userpods/waiting/")
    assert (said["host"], said["x-userpods-host"]) == ("site.test", ALICES)
    assert said["cookie"] == ALICE[1]


@pytest.mark.parametrize("name", HIDDEN)
def test_a_pod_may_speak_for_its_own_host(router: Router, name: str) -> None:
    answer = router.get(f"/headers-back?{name}=x", ALICE, host=ALICES)
    assert answer.all(name.lower()) == ["x"]


def test_a_pod_does_not_sign_its_user_out_of_the_site(router: Router) -> None:
    """Browsers delete the cookies of the whole registrable domain, the site's among them."""
    answer = router.get("/headers-back?Clear-Site-Data=%22cookies%22", ALICE, host=ALICES)
    assert (answer.status, answer.all("clear-site-data")) == (200, [])


def test_an_application_may_have_a_service_worker(router: Router) -> None:
    script = ("Service-Worker", "script")
    assert router.get("/sw.js", ALICE, script, host=ALICES).json()["name"] == "alice"
