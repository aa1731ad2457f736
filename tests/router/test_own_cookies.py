"""On a pod's host all cookies are its application's, but ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = pytest.mark.router

HOST = "alice.pods.test"
OURS = [
    "__Host-userpods", "__Host-userpods_nonce", "__Host-userpods_owner", "userpods",
    "userpods_nonce", "userpods_owner", "userpods_token",
]  # fmt: skip


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    url = "https://{pod}.pods.test/"
    return {"cache_seconds": 60, "pods_url": url, "site_url": "https://site.test/"}


def get(router: Router, path: str, *cookies: str) -> list[str]:
    """The names of the cookies that alice's pod is sent."""
    text = "; ".join([*cookies, "__Host-userpods=s-alice"])
    answer = router.get(path, ("Cookie", text), host=HOST)
    assert answer.json()["name"] == "alice"
    return "".join(answer.sent("cookie")).split("; ")


def test_an_application_sees_all_cookies_but_ours(router: Router) -> None:
    its = ["sessionid=1", "csrftoken=2", "messages=3", "session=4", "token=5", "userpod=6", "=7"]
    hidden = [f"{name}=x" for name in OURS] + [f"{name.upper()}=x" for name in OURS]
    hidden += ["__host-USERPODS_else=x", " userpods =x"]
    for _ in range(2):
        assert get(router, "/", *hidden, *its, *hidden) == its


@pytest.mark.parametrize("name", ["sessionid", "csrftoken", "session", "__Host-sessionid", "x"])
def test_an_application_sets_cookies_of_any_name(router: Router, name: str) -> None:
    path = f"/headers-back?Set-Cookie={name}%3D1%3B+Path%3D/"
    answer = router.get(path, ("Cookie", "__Host-userpods=s-alice"), host=HOST)
    assert answer.all("set-cookie") == [f"{name}=1; Path=/"]


@pytest.mark.parametrize("name", [*OURS, *(name.upper() for name in OURS), "__host-userpods_x"])
def test_an_application_sets_none_of_ours(router: Router, name: str) -> None:
    for text in (f"{name}=1", f" {name} =1; Path=/", f"{name}=; Max-Age=0", f"{name}"):
        pairs = f"Set-Cookie={text}&Set-Cookie=own=1".replace(" ", "%20").replace(";", "%3B")
        answer = router.get(
            f"/headers-back?{pairs}", ("Cookie", "__Host-userpods=s-alice"), host=HOST
        )
        assert answer.all("set-cookie") == ["own=1"], text


def test_an_application_sets_no_cookie_for_other_hosts(router: Router) -> None:
    path = "/headers-back?Set-Cookie=sessionid%3D1%3B%20Domain%3Dpods.test"
    answer = router.get(path, ("Cookie", "__Host-userpods=s-alice"), host=HOST)
    assert answer.all("set-cookie") == []


@pytest.mark.parametrize("kib", [8, 16, 32, 60])
def test_an_application_with_large_cookies_goes_on_working(
    router: Router, django: FakeDjango, kib: int
) -> None:
    """And so does signing in: Django, whose server takes 8 KiB, gets none of them."""
    large = [f"a{number}={'x' * 1000}" for number in range(kib)]
    for _ in range(2):
        assert get(router, "/", *large) == large
    text = ("Cookie", "; ".join([*large, "__Host-userpods_nonce=n"]))
    for path in ("/.userpods/sign-in?next=/", "/.userpods/enter?ticket=x"):
        answer = router.get(path, text, ("Accept", "text/html"), host=HOST)
        assert (answer.json()["name"], answer.sent("cookie")) == (
            "django",
            ["__Host-userpods_nonce=n"],
        )
    assert router.get("/", text, ("Accept", "text/html"), host=HOST).status == 302
    assert all(len(said.get("cookie", "")) < 100 for said in django.asked("/whoami"))


def test_what_changes_with_every_request_is_no_new_question(
    router: Router, django: FakeDjango
) -> None:
    for number in range(20):
        get(router, f"/{number}", f"clock={number}", f"session={number}")
    assert django.count["/whoami"] == 1


def test_an_application_that_sets_too_many_does_not_sign_its_user_out_of_the_site(
    router: Router,
) -> None:
    """Nor do cookies that it plants under our names: browsers would clear the whole domain's."""
    for text in ("a=" + "x" * 70_000, "userpods_token=upt_" + "x" * 9000):
        answer = router.get("/", ("Cookie", text), host=HOST)
        assert (answer.status, answer.get("clear-site-data")) == (431, None)
        assert b"Delete the cookies" in answer.body
    # The site's own host is nobody's but the site's.
    answer = router.get("/", ("Cookie", "a=" + "x" * 70_000), host="Site.test:443")
    assert (answer.status, answer.get("clear-site-data")) == (431, '"cookies"')
