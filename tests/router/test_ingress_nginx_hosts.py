"""The ingress-nginx variant with a host for every pod: what is asked, and what passes."""

from __future__ import annotations

import socket
import urllib.parse
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.deploy import shipped
from tests.router.harness import workload
from tests.router.ingress_nginx import Ingress, ingress_nginx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Response

pytestmark = pytest.mark.router

SITE = "userpods.example.org"
HOST = "alice.pods.example.org"
TOKEN = ("Authorization", "Bearer upt_alice")
OURS = "__Host-userpods=secret; userpods_token=upt_x"
NAVIGATION = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]


@pytest.fixture(scope="module")
def ingress(folder: Path, running_django: FakeDjango) -> Iterator[Ingress]:
    values = shipped.ProjectValues()
    with (
        workload("other", folder) as other,
        ingress_nginx(folder / "hosts", running_django.port, other, values) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def _users(django: FakeDjango) -> None:
    """Alice and bob have pods."""


def ask(
    ingress: Ingress, path: str = "/", *headers: tuple[str, str], method: str = "GET"
) -> Response:
    return ingress.get(path, *headers, host=HOST, method=method)


def told(django: FakeDjango, path: str = "/whoami") -> dict[str, str]:
    """The headers of the last request to Django under this path."""
    seen: list[dict[str, Any]] = [one for one in django.seen if one["path"] == path]
    return {name.lower(): value for name, value in seen[-1]["headers"]}


@pytest.mark.parametrize("size", [100, 8 << 10, 16 << 10, 32 << 10])
def test_whoami_hears_of_our_cookies_and_the_pod_of_all_others(
    ingress: Ingress, django: FakeDjango, size: int
) -> None:
    own = f"sessionid=theirs; big={'x' * size}"
    answer = ask(ingress, "/", TOKEN, ("Cookie", f"{OURS}; {own}"))
    assert answer.json()["name"] == "alice"
    assert answer.sent("cookie") == [own]
    assert answer.sent("authorization") == []
    assert answer.sent("host") == [HOST]
    asked = told(django)
    assert asked["cookie"] == OURS
    assert asked["authorization"] == TOKEN[1]
    assert asked["x-userpods-host"] == HOST
    names = {name for name in asked if name.startswith("x-userpods-")}
    assert names == {"x-userpods-host", "x-userpods-path"}


def test_what_a_client_says_under_our_names_is_not_said(
    ingress: Ingress, django: FakeDjango
) -> None:
    names = ("Host", "Cookie", "Authorization", "Path")
    forged = [(f"X-Userpods-{name}", "Bearer upt_bob") for name in names for _ in range(2)]
    answer = ask(ingress, "/a?b", TOKEN, *forged)
    assert answer.json()["name"] == "alice"
    for name in names:
        assert answer.sent(f"x-userpods-{name}") == []
    asked = told(django)
    assert (asked["x-userpods-host"], asked["x-userpods-path"]) == (HOST, "/a")
    assert "cookie" not in asked
    assert ask(ingress, "/", *forged).status == 302
    assert "authorization" not in told(django)
    other = ingress.get("/", forged[0], host="other.example.org")
    assert other.sent("x-userpods-host") == ["Bearer upt_bob"]


def test_who_is_nobody_is_sent_to_sign_in_on_this_host(ingress: Ingress) -> None:
    answer = ask(ingress, "/deep?x=1")
    assert answer.status == 302
    assert answer.get("location") == f"https://{HOST}/.userpods/sign-in?next=/deep?x=1"


def test_an_applications_own_bearer_is_no_credential(ingress: Ingress, django: FakeDjango) -> None:
    assert ask(ingress, "/", ("Authorization", "Bearer theirs")).status == 302
    assert "authorization" not in told(django)


def test_where_an_authenticator_reads_bearers_all_are_asked_about_and_none_passes(
    folder: Path, running_django: FakeDjango, django: FakeDjango
) -> None:
    values = shipped.ProjectValues(lua={"token_prefix": ""})
    django.tokens["theirs"] = "alice"
    with (
        workload("other", folder) as other,
        ingress_nginx(folder / "bearers", running_django.port, other, values) as running,
    ):
        own = ("Cookie", "a=1; upt_like=2")
        answer = ask(running, "/", ("Authorization", "Bearer theirs"), own)
        assert answer.json()["name"] == "alice"
        assert answer.sent("authorization") == []
        assert answer.sent("cookie") == [own[1]]
    assert told(django)["authorization"] == "Bearer theirs"


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": "https://bob.pods.example.org"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {
            "Sec-Fetch-Site": "same-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "iframe",
        },
        {"Sec-Fetch-Site": "same-site", **dict(NAVIGATION), "Sec-Purpose": "prefetch;prerender"},
        {"Sec-Fetch-Site": "none", **dict(NAVIGATION), "Sec-Purpose": "prefetch"},
    ],
)
def test_what_another_origin_starts_carries_no_identity(
    ingress: Ingress, django: FakeDjango, said: dict[str, str]
) -> None:
    assert ask(ingress, "/", TOKEN, ("Cookie", OURS), *said.items()).status == 302
    asked = told(django)
    assert "cookie" not in asked
    assert "authorization" not in asked
    answer = ask(ingress, "/.userpods/wake/", ("Cookie", OURS), *said.items())
    assert answer.json()["name"] == "django"
    assert "cookie" not in told(django, "/.userpods/wake/")


def test_a_form_of_another_origin_carries_none_either(ingress: Ingress, django: FakeDjango) -> None:
    said = [("Sec-Fetch-Site", "same-site"), *NAVIGATION]
    assert ask(ingress, "/", TOKEN, *said, method="POST").status == 302
    assert "authorization" not in told(django)


@pytest.mark.parametrize(
    "said",
    [
        [("Sec-Fetch-Site", "cross-site"), *NAVIGATION],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")],
        [("Origin", f"https://{HOST}")],
    ],
)
def test_a_link_and_the_pods_own_pages_carry_it(
    ingress: Ingress, said: list[tuple[str, str]]
) -> None:
    assert ask(ingress, "/", TOKEN, *said).json()["name"] == "alice"


def test_what_is_reserved_goes_to_django_with_our_cookies_alone(
    ingress: Ingress, django: FakeDjango
) -> None:
    path = "/.userpods/sign-in?next=/"
    nonce = "__Host-userpods_nonce=n; __Host-userpods_owner=o"
    cookie = ("Cookie", f"sessionid=theirs; {OURS}; {nonce}; big={'x' * (32 << 10)}")
    answer = ask(ingress, path, cookie, ("X-Target-Service", "user-bob"))
    assert (answer.json()["name"], answer.json()["target"]) == ("django", path)
    asked = told(django, path)
    assert asked["cookie"] == f"{OURS}; {nonce}"
    assert (asked["host"], asked["x-userpods-host"]) == (SITE, HOST)
    assert "x-target-service" not in asked


def test_where_storage_is_cleared_the_applications_cookies_go_too(
    ingress: Ingress, django: FakeDjango
) -> None:
    cookie = ("Cookie", f"sessionid=theirs; {OURS}; __Host-own=1; a b=2")
    answer = ask(ingress, "/.userpods/enter?ticket=x", cookie)
    assert answer.all("set-cookie") == ["csrftoken=abc; Path=/"]
    django.headers = [
        ("Clear-Site-Data", '"cache", "storage"'),
        ("Set-Cookie", "__Host-userpods=x"),
    ]
    answer = ask(ingress, "/.userpods/enter?ticket=x", cookie)
    assert set(answer.all("set-cookie")) == {
        "csrftoken=abc; Path=/",
        "__Host-userpods=x",
        "sessionid=; Path=/; Max-Age=0",
        "__Host-own=; Path=/; Max-Age=0; Secure",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/%2euserpods/sign-in",
        "//.userpods/sign-in",
        "/.userpods/../",
        "/.userpods/%2e%2e/x",
        "/x/../.userpods/sign-in",
        "/x%2f..%2f.userpods/sign-in",
        "/.userpods//sign-in",
        "/.userpods/./sign-in",
        "/%5c.userpods/sign-in",
        "/.userpods/sign%2din",
        "/.userpods/#",
        "/.userpods/sign-in#?next=/",
    ],
)
def test_another_spelling_of_it_reaches_nobody(
    ingress: Ingress, django: FakeDjango, path: str
) -> None:
    before = len(django.seen)
    assert ask(ingress, path, TOKEN).status == 404
    assert {one["path"] for one in django.seen[before:]} <= {"/whoami"}


def test_a_pod_sets_any_cookie_but_ours(ingress: Ingress) -> None:
    pairs = [
        ("Set-Cookie", "sessionid=1"),
        ("Set-Cookie", "__Host-userpods=evil"),
        ("Set-Cookie", "__HOST-UserPods=evil"),
        ("Set-Cookie", "__Host-userpods_nonce=evil"),
        ("Set-Cookie", "userpods=evil"),
        ("Set-Cookie", "userpods_token=evil"),
        ("Set-Cookie", "a=1; Domain=pods.example.org"),
    ]
    answer = ask(ingress, f"/headers-back?{urllib.parse.urlencode(pairs)}", TOKEN)
    assert answer.all("set-cookie") == ["sessionid=1"]


def test_a_pod_without_an_address_shows_the_waiting_page_of_its_host(
    ingress: Ingress, django: FakeDjango
) -> None:
    django.user("alice", None)
    ask(ingress, "/deep?x=1", TOKEN, ("Cookie", f"{OURS}; theirs=1"))
    asked = told(django, "/.userpods/waiting/")
    assert asked["cookie"] == OURS
    assert (asked["host"], asked["x-userpods-host"]) == (SITE, HOST)


def test_a_service_worker_is_for_its_own_host_alone(ingress: Ingress) -> None:
    answer = ask(ingress, "/sw.js", TOKEN, ("Service-Worker", "script"))
    assert answer.json()["name"] == "alice"


def test_a_pod_speaks_for_its_own_host(ingress: Ingress) -> None:
    query = urllib.parse.urlencode({"Strict-Transport-Security": "max-age=60"})
    answer = ask(ingress, f"/headers-back?{query}", TOKEN)
    assert answer.all("strict-transport-security") == ["max-age=60"]


def test_a_pod_does_not_sign_its_user_out_of_the_site(ingress: Ingress) -> None:
    """Browsers delete the cookies of the whole registrable domain, the site's among them."""
    for value in ('"cookies"', '"*"'):
        query = urllib.parse.urlencode([("Clear-Site-Data", value), ("X-Own", "1")])
        answer = ask(ingress, f"/headers-back?{query}", TOKEN)
        assert (answer.all("x-own"), answer.all("clear-site-data")) == (["1"], [])


def test_a_host_is_told_as_it_came(ingress: Ingress, django: FakeDjango) -> None:
    for host in ("ALICE.pods.example.org", "alice.pods.example.org.", "alice.pods.example.org:444"):
        head = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", ingress.port), timeout=10) as connection:
            connection.sendall(head.encode())
            assert connection.recv(100).split()[1] == b"302"
        assert told(django)["x-userpods-host"] == host


def test_no_lua_error_was_logged(ingress: Ingress) -> None:
    log = (ingress.folder / "log").read_text(errors="replace")
    assert "lua entry thread aborted" not in log
    assert "failed to run" not in log
