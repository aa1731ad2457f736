"""One host for all pods: who asks decides, and what is the host's is nobody's alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import ROUTER, Router

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

HOST = "app.test"
ALICE, BOB = (("Cookie", f"__Host-userpods=s-{name}") for name in ("alice", "bob"))
HIDDEN = re.findall(
    r"^proxy_hide_header (\S+);$", (ROUTER / "shared-host.conf").read_text(), re.MULTILINE
)


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    url = "https://app.test/"
    return {"cache_seconds": 60, "pods_url": url, "site_url": "https://site.test/"}


def test_each_reaches_their_own(router: Router, django: FakeDjango) -> None:
    for _ in range(2):
        for cookie, name in ((ALICE, "alice"), (BOB, "bob")):
            answer = router.get("/admin/", cookie, host=HOST)
            assert (answer.json()["name"], answer.sent("cookie")) == (name, [])
    assert [said["x-userpods-host"] for said in django.asked("/whoami")] == [HOST, HOST]


def test_another_host_is_no_pods(router: Router) -> None:
    for host in ("site.test", "alice.app.test", "app.test.", "other.test"):
        assert router.get("/", ALICE, host=host).status == 403


def test_a_shared_session_cookie_is_a_credential_and_no_pod_sees_it(
    tmp_path: Path, django: FakeDjango, options: dict[str, object]
) -> None:
    shared = ["sessionid", "userpods_token"]
    options = {**options, "credential_cookies": shared, "cookies": ["sessionid", "csrftoken"]}
    with Router(tmp_path / "nginx", django.port, options=options) as router:
        django.cookie = "sessionid"
        for _ in range(2):
            cookie = ("Cookie", "sessionid=s-alice; theme=dark; csrftoken=x")
            answer = router.get("/", cookie, host=HOST)
            assert answer.json()["name"] == "alice"
            assert answer.sent("cookie") == ["theme=dark"]
        (said,) = django.asked("/whoami")
        assert said["cookie"] == "sessionid=s-alice"


def test_what_is_ours_goes_to_django(router: Router) -> None:
    answer = router.get("/.userpods/status/", ALICE, host=HOST)
    assert answer.json()["name"] == "django"
    assert (answer.sent("host"), answer.sent("x-userpods-host")) == (["site.test"], [HOST])


@pytest.mark.parametrize("name", [*HIDDEN, "Clear-Site-Data"])
def test_no_pod_speaks_for_the_host(router: Router, name: str) -> None:
    answer = router.get(f"/headers-back?{name}=x", ALICE, host=HOST)
    assert (answer.status, answer.all(name.lower())) == (200, [])


def test_no_script_becomes_a_service_worker(router: Router) -> None:
    assert router.get("/sw.js", ALICE, ("Service-Worker", "script"), host=HOST).status == 403


def test_who_comes_after_another_finds_none_of_their_cookies(
    router: Router, django: FakeDjango
) -> None:
    """Django says so with Clear-Site-Data, and does not see an application's cookies itself."""
    entered = ("Set-Cookie", "__Host-userpods=s-bob; Path=/; Secure")
    django.headers = [("Clear-Site-Data", '"cache", "storage"'), entered]
    cookies = [
        "sessionid=1", "__Host-session=2", "__secure-x=3", "theme", "sessionid=4", "a b=5",
        "__Host-userpods=s-alice", "userpods_token=upt_x", "__Host-userpods_nonce=n", "=6",
    ]  # fmt: skip
    path = "/.userpods/enter?ticket=x"
    answer = router.get(path, ("Cookie", "; ".join(cookies)), host=HOST)
    assert answer.get("clear-site-data") == '"cache", "storage"'
    gone = "; Path=/; Max-Age=0"
    assert sorted(answer.all("set-cookie")) == sorted(
        [
            f"sessionid={gone}",
            f"__Host-session={gone}; Secure",
            f"__secure-x={gone}; Secure",
            f"=gone{gone}",
            f"a b={gone}",
            entered[1],
            "csrftoken=abc; Path=/",
        ]
    )


def test_who_comes_back_keeps_their_cookies(router: Router, django: FakeDjango) -> None:
    cookie = ("Cookie", "sessionid=1; __Host-userpods_owner=o")
    answer = router.get("/.userpods/enter?ticket=x", cookie, host=HOST)
    assert answer.all("set-cookie") == ["csrftoken=abc; Path=/"]
    # Only an answer of ours removes any.
    django.headers = []
    path = "/headers-back?Clear-Site-Data=%22storage%22"
    answer = router.get(path, ("Cookie", f"{ALICE[1]}; x=1"), host=HOST)
    assert answer.all("set-cookie") == []
