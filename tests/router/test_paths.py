"""A path below the site's host for each pod: no spelling of one is another's, nor the site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = pytest.mark.router

ALICE, BOB = (("Cookie", f"sessionid=s-{name}") for name in ("alice", "bob"))
HTML = ("Accept", "text/html")


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    return {"cache_seconds": 60, "pods_url": "/pods/{pod}/", "login_url": "/accounts/login/"}


def test_each_reaches_their_own_path_and_is_told_it(router: Router, django: FakeDjango) -> None:
    for name, cookie in (("alice", ALICE), ("bob", BOB)):
        for path in (f"/pods/{name}/", f"/pods/{name}/a/b?c=/pods/x/", f"/pods/{name}/%2e?/../x"):
            answer = router.get(path, cookie)
            assert (answer.json()["name"], answer.json()["target"]) == (name, path)
            assert answer.sent("x-forwarded-prefix") == [f"/pods/{name}"]
            assert answer.sent("host") == ["site.test"]
    # One question for all paths of a pod.
    assert [said["x-userpods-path"] for said in django.asked("/whoami")] == [
        "/pods/alice/",
        "/pods/bob/",
    ]
    assert all("x-userpods-host" not in said for said in django.asked("/whoami"))


def test_what_alice_was_answered_is_nothing_at_bobs_path(router: Router) -> None:
    for _ in range(2):
        assert router.get("/pods/alice/", ALICE).status == 200
        assert router.get("/pods/bob/", ALICE, HTML).status == 403
        assert router.get("/pods/alice/", BOB, HTML).status == 403


ODD = [
    "/pods/alice/../bob/", "/pods/alice/../bob/x", "/pods/alice/%2e%2e/bob/",
    "/pods/alice/.%2e/bob/", "/pods/alice/..%2fbob/", "/pods/alice/..%2Fbob%2F",
    "/pods/alice%2f..%2fbob/", "/pods/alice%2f../bob/", "//pods/alice/", "/pods//alice/",
    "/pods/alice//../bob/", "/pods/alice/../../admin/", "/pods/alice/../../accounts/login/",
    "/pods/../pods/alice/", "/./pods/alice/", "/pods/./alice/", "/pods/bob/../alice/",
    "/pods/al%69ce/", "/pods%2falice/", "/%70ods/alice/", "/pods/%2e%2e/pods/alice/", "/pods/",
    "/pods", "/", "/x", "/pods/alice/..", "/pods/?/alice/", "/pods/?x=/", "/pods/#/",
    "/pods/alice/x/../../bob/", "/pods/alice/x/..%2f..%2f..%2fadmin/", "/other/../pods/alice/",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD)
def test_an_unclear_path_leads_nowhere(router: Router, django: FakeDjango, path: str) -> None:
    for name, cookie in (("alice", ALICE), ("bob", BOB)):
        assert router.get(f"/pods/{name}/", cookie).json()["name"] == name
    django.seen.clear()
    for headers in ([ALICE], [BOB], [ALICE, HTML], [HTML], []):
        assert router.get(path, *headers).status in {400, 404}
    assert django.seen == []


@pytest.mark.parametrize(
    "path", ["/pods/Alice/", "/pods/alice;x/", "/pods/xn--alice/", "/pods/ALICE/", "/pods/~alice/"]
)
def test_a_path_of_no_pod_is_refused(router: Router, path: str) -> None:
    assert router.get("/pods/alice/", ALICE).status == 200
    assert router.get(path, ALICE).status == 403


def test_a_path_without_its_slash_leads_to_the_pod(router: Router) -> None:
    answer = router.get("/pods/alice?a=b", ALICE)
    assert (answer.status, answer.get("location")) == (308, "/pods/alice/?a=b")
    assert router.get("/pods/alice", HTML).get("location") == "/pods/alice/"


def test_the_sites_paths_are_the_sites(router: Router) -> None:
    for path in ("/admin/", "/accounts/login/", "/x/../admin/"):
        assert router.get(path, ALICE).json()["name"] == "django"


def test_a_browser_without_credentials_goes_to_the_sites_login(router: Router) -> None:
    answer = router.get("/pods/alice/a?b=c", HTML)
    login = "/accounts/login/?next=%2Fpods%2Falice%2Fa%3Fb%3Dc"
    assert (answer.status, answer.get("location")) == (302, login)
    assert router.get("/pods/alice/").status == 401


def test_a_long_address_leads_back_to_the_pods_first_page(router: Router) -> None:
    answer = router.get("/pods/alice/?" + "a" * 4000, HTML)
    assert answer.get("location") == "/accounts/login/?next=%2Fpods%2Falice%2F"


def test_what_is_the_sites_stays_with_the_site(router: Router) -> None:
    cookie = ("Cookie", "sessionid=s-alice; csrftoken=x; theme=dark; userpods_token=upt_alice")
    answer = router.get("/pods/alice/", cookie)
    assert answer.sent("cookie") == ["theme=dark"]
    for said in ("Set-Cookie=sessionid%3D1", "Strict-Transport-Security=x", "Alt-Svc=x"):
        answer = router.get(f"/pods/alice/headers-back?{said}", ALICE)
        assert answer.all(said.partition("=")[0].lower()) == []
    assert router.get("/pods/alice/sw.js", ALICE, ("Service-Worker", "script")).status == 403


def test_nobody_else_tells_a_pod_its_prefix(router: Router, django: FakeDjango) -> None:
    forged = [("X-Forwarded-Prefix", "/evil"), ("X-Userpods-Path", "/pods/bob/")]
    for _ in range(2):
        answer = router.get("/pods/alice/", ALICE, *forged)
        assert answer.sent("x-forwarded-prefix") == ["/pods/alice"]
        assert answer.sent("x-userpods-path") == []
    (said,) = django.asked("/whoami")
    assert said["x-userpods-path"] == "/pods/alice/"


def test_a_logout_through_the_router_is_heard_at_once(router: Router, django: FakeDjango) -> None:
    """Whatever pods the user was let in to."""
    django.user("alice", django.peers["alice"])
    assert router.get("/pods/alice/", ALICE).status == 200
    assert router.get("/accounts/logout/", ALICE, method="POST").status == 302
    assert router.get("/pods/alice/", ALICE).status == 401


def test_what_another_origin_starts_carries_no_identity(router: Router) -> None:
    for headers in (
        [("Origin", "https://evil.example")],
        [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")],
    ):
        assert router.get("/pods/alice/", ALICE, HTML, *headers).status == 401


def test_the_waiting_page_is_about_the_path(router: Router, django: FakeDjango) -> None:
    django.user("alice", None)
    assert router.get("/pods/alice/notes", ALICE, HTML).status == 503
    (said,) = django.asked("/userpods/waiting/")
    assert said["x-userpods-path"] == "/pods/alice/"
