"""A host for each pod: all of it is the pod's, but for what is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_userpods.core import addresses
from tests.router.harness import Router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

URL, SITE = "https://{pod}.pods.test/", "https://site.test/"
ALICE, BOB = (("Cookie", f"__Host-userpods=s-{name}") for name in ("alice", "bob"))
HTML = ("Accept", "text/html")
ALICES, BOBS = "alice.pods.test", "bob.pods.test"


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    return {"cache_seconds": 60, "pods_url": URL, "site_url": SITE}


@pytest.fixture(scope="module")
def running_router(
    folder: Path, running_django: FakeDjango, options: dict[str, object]
) -> Iterator[Router]:
    running_django.where = addresses.parse(URL)
    with Router(folder / "nginx", running_django.port, options=options, site_paths=()) as router:
        yield router


def asked(django: FakeDjango, path: str = "/whoami") -> list[dict[str, str]]:
    """The headers of what Django was asked, in lower case."""
    return [
        {key.lower(): value for key, value in request["headers"]}
        for request in django.seen
        if request["path"].partition("?")[0] == path
    ]


def test_each_reaches_their_own_at_their_own_host(router: Router, django: FakeDjango) -> None:
    for cookie, host, name in ((ALICE, ALICES, "alice"), (BOB, BOBS, "bob")):
        for _ in range(3):
            answer = router.get("/a?b=c", cookie, host=host)
            assert (answer.status, answer.json()["name"]) == (200, name)
            assert answer.json()["target"] == "/a?b=c"
            assert answer.sent("host") == [host]
            assert answer.sent("cookie") == []
    assert [said["x-userpods-host"] for said in asked(django)] == [ALICES, BOBS]
    assert {said["host"] for said in asked(django)} == {"site.test"}


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


def test_all_else_without_credentials_is_401(router: Router) -> None:
    for headers in ([], [("Sec-Fetch-Mode", "cors"), HTML], [("Accept", "application/json")]):
        answer = router.get("/", *headers, host=ALICES)
        assert (answer.status, answer.json()["error"]) == (401, "no token")
    assert router.get("/", HTML, host=ALICES, method="POST").status == 401


def test_a_refusal_is_never_a_redirect(router: Router) -> None:
    assert router.get("/", BOB, HTML, host=ALICES).status == 403
    assert router.get("/", ("Authorization", "Bearer upt_no"), HTML, host=ALICES).status == 403
