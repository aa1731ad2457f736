"""What a pod may know and say: none of the site's cookies and tokens, no word to the router."""

from __future__ import annotations

import base64
import urllib.parse
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")


@pytest.mark.parametrize(
    ("cookie", "left"),
    [
        ("sessionid=s-alice", []),
        ("sessionid=s-alice; theme=dark", ["theme=dark"]),
        ("a=1; sessionid=s-alice; csrftoken=x; messages=y; userpods_token=z; b=2", ["a=1; b=2"]),
        ("a=1;sessionid=s-alice;b=2", ["a=1; b=2"]),
        ("SESSIONID=x; sessionid=s-alice; __Host-sessionid=x; __Secure-csrftoken=y", []),
        ("sessionid2=x; sessionid=s-alice; xsessionid=y", ["sessionid2=x; xsessionid=y"]),
        ("sessionid=s-alice;; ;c=", ["c="]),
        ("a=sessionid=x; sessionid=s-alice", ["a=sessionid=x"]),
    ],
)
def test_the_sites_cookies_do_not_reach_the_pod(
    router: Router, cookie: str, left: list[str]
) -> None:
    for _ in range(2):
        answer = router.get("/", ("Cookie", cookie))
        assert answer.json()["name"] == "alice"
        assert answer.sent("cookie") == left


@pytest.mark.parametrize(
    ("authorization", "left"),
    [
        ("Basic YTpi", ["Basic YTpi"]),
        ("Bearer upt_secret", []),
        ("bearer upt_secret", []),
        ("Bearer\tupt_secret", []),
        ("Bearer x, Bearer upt_secret", []),
        # The application's own, beside a session of the site.
        ("Bearer eyJhbGciOi", ["Bearer eyJhbGciOi"]),
        ("BearerX y", ["BearerX y"]),
    ],
)
def test_only_a_foreign_authorization_reaches_the_pod(
    router: Router, authorization: str, left: list[str]
) -> None:
    for _ in range(2):
        answer = router.get("/", ALICE, ("Authorization", authorization))
        assert answer.sent("authorization") == left


SECRET = "upt_secret"
BASIC = base64.b64encode(f"alice:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        "\xa0Bearer upt_secret",
        "\x85Bearer upt_secret",
        "Bearer\xa0upt_secret",
        "Bearer, upt_secret",
        "Bearer,upt_secret",
        "Token upt_secret",
        "upt_secret",
        'Digest token="upt_secret"',
        "Bearer upt%5Fsecret",
        f"Basic {BASIC}",
        f"\xa0basic {BASIC.rstrip('=')}",
    ],
)
def test_a_token_in_any_dress_does_not_reach_the_pod(router: Router, authorization: str) -> None:
    for _ in range(2):
        answer = router.get("/", ALICE, ("Authorization", authorization))
        assert answer.json()["name"] == "alice"
        assert answer.sent("authorization") == []


def test_a_token_does_not_reach_the_pod_as_a_proxys(router: Router) -> None:
    answer = router.get("/", ALICE, ("Proxy-Authorization", f"Basic {BASIC}"))
    assert answer.sent("proxy-authorization") == []


@pytest.mark.parametrize("pair", ["t=upt_secret", 't="upt_secret"', "t=upt%5fsecret", f"t={BASIC}"])
def test_a_token_in_a_cookie_of_another_name_does_not_reach_the_pod(
    router: Router, pair: str
) -> None:
    answer = router.get("/", ("Cookie", f"a=1; {pair}; sessionid=s-alice; b=2"))
    assert answer.sent("cookie") == ["a=1; b=2"]


def test_what_let_a_request_in_does_not_reach_the_pod(router: Router) -> None:
    """Without a cookie of the site's, the other cookies do not make it the application's own."""
    answer = router.get("/", ("Authorization", "Bearer upt_alice"), ("Cookie", "theme=dark"))
    assert answer.json()["name"] == "alice"
    assert answer.sent("authorization") == []
    assert answer.sent("cookie") == ["theme=dark"]


@pytest.mark.parametrize(
    "set_cookie",
    [
        "sessionid=evil",
        "sessionid=evil; Path=/; HttpOnly",
        "SessionID=evil",
        "__Host-sessionid=evil; Secure; Path=/",
        "__Secure-csrftoken=evil; Secure",
        " csrftoken=evil",
        "messages=evil",
        "userpods_token=evil",
        "theme=dark; Domain=site.test",
        "theme=dark; domain=.site.test",
        "theme=dark;DOMAIN = site.test",
        "theme=dark; Domain",
        "=sessionid=evil",
        "sessionid",
        "\xa0sessionid=evil",
        "sessionid\xa0=evil",
        "\x85sessionid=evil",
        '"sessionid"=evil',
        "sessionid\t=evil",
    ],
)
def test_a_pod_cannot_set_the_sites_cookies(router: Router, set_cookie: str) -> None:
    pairs = [("Set-Cookie", "good=1; Path=/"), ("Set-Cookie", set_cookie), ("Set-Cookie", "b=2")]
    query = urllib.parse.urlencode(pairs, encoding="latin-1")
    answer = router.get(f"/headers-back?{query}", ALICE)
    assert answer.all("set-cookie") == ["good=1; Path=/", "b=2"]
    alone = urllib.parse.urlencode([("Set-Cookie", set_cookie)], encoding="latin-1")
    assert router.get(f"/headers-back?{alone}", ALICE).all("set-cookie") == []


def test_a_pod_cannot_hide_them_behind_many_others(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Lua is shown the first hundred headers of a name; Python takes no more either.
    monkeypatch.setattr("http.client._MAXHEADERS", 1000)
    pairs = [("Set-Cookie", f"c{number}=1") for number in range(100)]
    query = urllib.parse.urlencode([*pairs, ("Set-Cookie", "sessionid=evil")])
    cookies = router.get(f"/headers-back?{query}", ALICE).all("set-cookie")
    assert cookies == [value for _, value in pairs]


def test_a_pod_cannot_set_them_with_an_error_either(router: Router) -> None:
    query = urllib.parse.urlencode([("Set-Cookie", "sessionid=evil"), ("X", "y")])
    assert router.get(f"/headers-back?{query}", ALICE, method="POST").all("set-cookie") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Accel-Redirect", "/_userpods/whoami"),
        ("X-Accel-Redirect", "/admin/"),
        ("X-Accel-Redirect", "@waiting"),
        ("X-Accel-Limit-Rate", "1"),
        ("Clear-Site-Data", '"cookies"'),
    ],
)
def test_a_pod_does_not_steer_the_router(router: Router, name: str, value: str) -> None:
    answer = router.get(f"/headers-back?{urllib.parse.urlencode({name: value})}", ALICE)
    assert answer.json()["name"] == "alice"
    assert answer.get(name.lower()) is None


# What reaches beyond the pod's own pages, or outlives the pod, on a host that is the site's, too.
OF_THE_HOST = {
    "Accept-CH": "Sec-CH-UA-Model",
    "Accept-CH-Lifetime": "86400",
    "Alt-Svc": 'h3=":443"; ma=86400',
    "Clear-Site-Data": '"cookies"',
    "Critical-CH": "Sec-CH-UA-Model",
    "Expect-CT": "max-age=86400, enforce",
    "NEL": '{"report_to": "x", "max_age": 86400}',
    "Origin-Agent-Cluster": "?1",
    "Public-Key-Pins": 'pin-sha256="x"; max-age=86400',
    "Public-Key-Pins-Report-Only": 'pin-sha256="x"; max-age=86400',
    "Report-To": '{"group": "x", "max_age": 86400, "endpoints": [{"url": "https://evil.example"}]}',
    "Sec-Session-Challenge": '"x";id="y"',
    "Sec-Session-Registration": "(ES256);path=x",
    "Secure-Session-Challenge": '"x";id="y"',
    "Secure-Session-Registration": "(ES256);path=x",
    "Service-Worker-Allowed": "/",
    "Set-Login": "logged-out",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Use-As-Dictionary": 'match="/*"',
}


@pytest.mark.parametrize("name", OF_THE_HOST)
def test_a_pod_does_not_speak_for_the_host(router: Router, name: str) -> None:
    for spelt in (name, name.lower()):
        query = urllib.parse.urlencode([(spelt, OF_THE_HOST[name]), ("X-Own", "1")])
        answer = router.get(f"/headers-back?{query}", ALICE)
        assert answer.json()["name"] == "alice"
        assert answer.all(name.lower()) == []
        assert answer.all("x-own") == ["1"]


def test_the_site_speaks_for_the_host(router: Router, django: FakeDjango) -> None:
    """Also where its waiting page stands in for a pod."""
    django.headers = list(OF_THE_HOST.items())
    django.user("alice", None)
    router.purge("id-alice")
    for path in ("/admin/", "/"):
        answer = router.get(path, ALICE)
        for name, value in OF_THE_HOST.items():
            assert answer.all(name.lower()) == [value], path


@pytest.mark.parametrize("path", ["/sw.js", "/deep/sw.js", "/accounts.js"])
def test_no_script_of_a_pod_becomes_a_service_worker(router: Router, path: str) -> None:
    for _ in range(2):
        assert router.get(path, ALICE).json()["name"] == "alice"
        assert router.get(path, ALICE, ("Service-Worker", "script")).status == 403
        assert router.get(path, ALICE, ("service-worker", "")).status == 403


def test_the_site_may_have_a_service_worker(router: Router) -> None:
    assert router.get("/static/sw.js", ALICE, ("Service-Worker", "script")).status == 200
