"""What is ours of a pod's host, `/.userpods/`: all of it goes to Django, in one spelling alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import Router, eventually
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "__Host-userpods=s-alice")
HTML = ("Accept", "text/html")
HOST = "alice.pods.test"


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    url = "https://{pod}.pods.test/"
    return {"cache_seconds": 60, "pods_url": url, "site_url": "https://site.test/"}


@pytest.mark.parametrize("path", ["/.userpods/sign-in?next=%2Fa", "/.userpods/", "/.userpods/x/y"])
def test_it_goes_to_django_as_it_came(router: Router, django: FakeDjango, path: str) -> None:
    answer = router.get(path, ALICE, HTML, host=HOST)
    assert (answer.json()["name"], answer.json()["target"]) == ("django", path)
    # Hosts that ALLOWED_HOSTS admits, whether USE_X_FORWARDED_HOST is on or off.
    assert answer.sent("host") == answer.sent("x-forwarded-host") == ["site.test"]
    assert answer.sent("x-forwarded-proto") == ["https"]
    assert answer.sent("x-userpods-host") == [HOST]
    assert django.count["/whoami"] == 0


ODD = [
    "/%2euserpods/", "/%2Euserpods/status/", "/.%75serpods/status/", "/.userpods%2fstatus/",
    "/.userpods%2Fstatus/", "//.userpods/status/", "///.userpods/", "/.userpods//status/",
    "/.userpods/../status/", "/.userpods/../", "/.userpods/..", "/.userpods/./status/",
    "/x/../.userpods/status/", "/x/%2e%2e/.userpods/status/", "/x/..%2f.userpods/status/",
    "/./.userpods/status/", "/../.userpods/status/", "/.userpods/x/../status/",
    "/.userpods;x", "/.userpods;x/status/", "/.userpods", "/.userpods?x=1", "/.userpods#/",
    "/.userpods/#", "/.userpods/status/#x", "/.userpods/#/../notes", "/.userpods/sign-in#?next=/",
    "/%2e%2e/.userpods/status/", "/.userpods/%2e%2e/notes", "/.userpods/%2e%2e%2fnotes",
    "/%2euserpods/../notes", "//.userpods/../notes", "/.userpods/sign%2din", "/.userpods/st atus/",
    "/\\.userpods/status/", "/.userpods\\status/", "/.userpods/..\\..\\notes",
    "/.USERPODS/../notes",
    "/.userpods/%00", "/.userpods%00/", "/.userpods/\x7f", "/.userpods/é", "/.userpods/%C3%A9",
    "/.userpods-x/", "http://x/.userpods/../notes", "/%5c.userpods/status/",
    "/%2f.userpods/status/",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD)
def test_another_spelling_reaches_neither_pod_nor_django(
    router: Router, django: FakeDjango, path: str
) -> None:
    assert router.get("/", ALICE, host=HOST).json()["name"] == "alice"
    django.seen.clear()
    for headers in ([ALICE], [ALICE, HTML], []):
        answer = router.get(path, *headers, host=HOST)
        assert answer.status in {400, 404}, answer.body
    assert django.seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/.user",
        "/.well-known/x",
        "/%41",
        "//x//y",
        "/x/.userpods/",
        "/a/../b",
        "/a?/.userpods/",
        "/..x",
    ],
)
def test_all_else_is_the_pods_as_it_came(router: Router, path: str) -> None:
    for _ in range(2):
        answer = router.get(path, ALICE, host=HOST)
        assert (answer.json()["name"], answer.json()["target"]) == ("alice", path)


def test_django_gets_our_own_cookies_alone(router: Router) -> None:
    cookies = [
        "sessionid=x", "__Host-userpods=s-alice", "theme=dark", "__Host-userpods_nonce=n",
        "csrftoken=y", "__Host-userpods_owner=o", "userpods_token=upt_x", "token=upt_y",
        "big=" + "x" * 40_000,
    ]  # fmt: skip
    answer = router.get("/.userpods/status/", ("Cookie", "; ".join(cookies)), host=HOST)
    assert answer.sent("cookie") == ["; ".join(cookies[1:6:2] + cookies[6:7])]


def test_django_gets_our_own_tokens_alone(router: Router) -> None:
    for said, left in (
        ("Bearer upt_alice", ["Bearer upt_alice"]),
        ("Bearer eyJhbGciOi", []),
        ("Basic YTpi", []),
    ):
        answer = router.get("/.userpods/status/", ("Authorization", said), host=HOST)
        assert answer.sent("authorization") == left


def test_what_a_client_says_of_hosts_and_paths_is_taken_out(router: Router) -> None:
    forged = [("X-Userpods-Host", "bob.pods.test"), ("X-Userpods-Path", "/pods/bob/")]
    answer = router.get("/.userpods/status/", *forged, host=HOST)
    assert answer.sent("x-userpods-host") == [HOST]
    assert answer.sent("x-userpods-path") == []


def test_a_body_is_bounded_as_the_sites_is(router: Router, django: FakeDjango) -> None:
    answer = router.get("/.userpods/wake/", ALICE, method="POST", body=b"x" * 3_000_000, host=HOST)
    assert answer.status == 413
    assert django.seen == []
    assert router.get("/.userpods/wake/", ALICE, method="POST", body=b"x", host=HOST).status == 200


def test_a_page_of_another_origin_asks_nothing_of_django(
    router: Router, django: FakeDjango
) -> None:
    for headers in (
        [("Origin", "https://bob.pods.test")],
        [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")],
    ):
        answer = router.get("/.userpods/wake/", ALICE, *headers, method="POST", host=HOST)
        assert answer.status == 401
    assert django.seen == []


def test_the_way_back_from_the_site_is_followed(router: Router) -> None:
    link = [
        ("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ]  # fmt: skip
    answer = router.get("/.userpods/enter?ticket=x", HTML, *link, host=HOST)
    assert answer.json()["target"] == "/.userpods/enter?ticket=x"


def test_who_signs_out_here_is_forgotten_at_once(router: Router, django: FakeDjango) -> None:
    assert router.get("/", ALICE, host=HOST).status == 200
    django.headers = [("Set-Cookie", "__Host-userpods=; Path=/; Max-Age=0; Secure")]
    assert router.get("/.userpods/sign-out", ALICE, method="POST", host=HOST).status == 200
    django.headers = []
    del django.sessions["s-alice"]
    assert router.get("/", ALICE, host=HOST).status == 401


def test_no_log_holds_a_ticket(tmp_path: Path, options: dict[str, object]) -> None:
    """Nor does the error log where Django is down."""
    secret = "t1cket-of-alice"
    with Router(tmp_path / "nginx", free_port(), options=options) as router:
        path = f"/.userpods/enter?ticket={secret}"
        assert router.get(path, HTML, host=HOST).status == 503
        assert router.get(path, ("Origin", "https://evil.example"), host=HOST).status == 401
        assert router.get(path, host="").status == 400
        assert router.get(path, ("Cookie", "a=" + "x" * 70_000), host=HOST).status == 431
        assert router.get(path, method="POST", body=b"x" * 3_000_000, host=HOST).status == 413
        assert router.get("/plain?query=1", host=HOST).status == 401
        time.sleep(1.2)
        eventually(lambda: "/plain?query=1" in router.log())
        assert [line for line in router.log().splitlines() if secret in line] == []
        assert router.log().count('"uri":"/.userpods/enter"') == 5, router.log()
