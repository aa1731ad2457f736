"""The three ways with Django itself behind the router, and the site on the same nginx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.router.harness import Router
from tests.router.real_django import SLOW, RealSite, environment_of, serving
from tests.router.web import Browser
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.router

SITE = "https://site.test"
HOSTS, ONE_HOST, PATHS = "https://{pod}.pods.test/", "https://app.test/", "/pods/{pod}/"
SHARED = "https://{pod}.pods.site.test/"


@pytest.fixture
def world(
    request: pytest.FixtureRequest, tmp_path: Path, alice_pod: str, bob_pod: str
) -> Iterator[RealSite]:
    """All of it, with pods found at this URL."""
    url: str = request.param
    port, public = free_port(), free_port()
    options = SLOW | {"login_url": "/admin/login/", "pods_url": url, "site_url": f"{SITE}/"}
    more = {"SITE_PODS": url}
    if url == SHARED:
        options["credential_cookies"] = ["__Host-userpods", "userpods_token", "sessionid"]
        more["SITE_COOKIE_DOMAIN"] = "site.test"
    servers = f"""
        server {{
            listen 127.0.0.1:{public}; server_name site.test; include site-server.conf;
            location / {{ include site.conf; }}
        }}
    """
    router = Router(
        tmp_path / "nginx",
        port,
        options=options,
        port=public,
        servers="" if url == PATHS else servers,
    )
    environment = environment_of(tmp_path, router, **more)
    site = RealSite(router, environment)
    site.command("prepare", alice_pod, bob_pod)
    with router, serving(tmp_path, port, environment):
        yield site


def on(*urls: str) -> Callable[[object], object]:
    return pytest.mark.parametrize("world", urls, indirect=True)


def pod(browser: Browser, url: str) -> str:
    """Whose pod answers at this address, once all redirects were followed."""
    page = browser.get(url)
    assert page.response.status == 200, (page.way, page.response.body)
    assert page.url == url
    name: str = page.response.json()["name"]
    return name


ALICES = {HOSTS: "https://alice.pods.test", ONE_HOST: "https://app.test"}


@on(HOSTS, ONE_HOST)
def test_a_stranger_signs_in_at_the_site_and_comes_to_the_page_asked_for(world: RealSite) -> None:
    host = ALICES[world.environment["SITE_PODS"]]
    browser = Browser(world.router)
    page = browser.get(f"{host}/notes?a=b%20c&d")
    assert page.url.startswith(f"{SITE}/admin/login/?next=")
    assert page.way[1].startswith(f"{host}/.userpods/sign-in?next=")
    page = browser.sign_in(page, "alice")
    assert (page.url, page.response.status) == (f"{host}/notes?a=b%20c&d", 200)
    assert page.response.json()["name"] == "alice"
    assert page.response.sent("cookie") == []
    assert page.response.sent("x-userpods-user") == ["alice"]
    name = host.partition("//")[2]
    assert set(browser.jars[name]) == {
        "__Host-userpods",
        "__Host-userpods_nonce",
        "__Host-userpods_owner",
    }
    # Nothing of the site's is sent there, nor asked for again.
    assert browser.get(f"{host}/x").way == [f"{host}/x"]


@on(HOSTS)
def test_a_ticket_is_good_once_and_for_its_browser(world: RealSite) -> None:
    browser = Browser(world.router)
    browser.sign_in(browser.get(f"{SITE}/admin/"), "alice")
    page = browser.get("https://alice.pods.test/")
    (entered,) = [url for url in page.way if "/.userpods/enter?" in url]
    # Used up, and worth nothing elsewhere.
    assert browser.get(entered).response.status == 403
    assert Browser(world.router).get(entered).response.status == 403


@on(HOSTS)
def test_nobody_reaches_anothers_host(world: RealSite) -> None:
    """Not with a session there, nor with one of the site, nor with a token."""
    browser = Browser(world.router)
    browser.sign_in(browser.get(f"{SITE}/admin/"), "bob")
    assert pod(browser, "https://bob.pods.test/") == "bob"
    page = browser.get("https://alice.pods.test/")
    assert (page.response.status, page.url.partition("?")[0]) == (403, f"{SITE}/userpods/enter/")
    stolen = ("Cookie", f"__Host-userpods={browser.jars['bob.pods.test']['__Host-userpods']}")
    assert world.router.get("/", stolen, host="alice.pods.test").status in {401, 403}
    token = ("Authorization", f"Bearer {world.command('token', 'bob')}")
    assert world.router.get("/", token, host="bob.pods.test").json()["name"] == "bob"
    assert world.router.get("/", token, host="alice.pods.test").status == 403


@on(HOSTS)
def test_a_logout_at_the_site_ends_the_session_of_every_host(world: RealSite) -> None:
    browser = Browser(world.router)
    page = browser.sign_in(browser.get(f"{SITE}/admin/"), "alice")
    assert pod(browser, "https://alice.pods.test/") == "alice"
    token = page.response.body.decode().partition('csrfmiddlewaretoken" value="')[2][:64]
    assert (
        browser.get(f"{SITE}/admin/logout/", form={"csrfmiddlewaretoken": token}).response.status
        == 200
    )
    page = browser.get("https://alice.pods.test/")
    assert page.url.startswith(f"{SITE}/admin/login/")


@on(HOSTS)
def test_who_signs_out_on_a_pods_host_is_out_there(world: RealSite) -> None:
    browser = Browser(world.router)
    browser.sign_in(browser.get("https://alice.pods.test/"), "alice")
    session = browser.jars["alice.pods.test"]["__Host-userpods"]
    answer = browser.once("https://alice.pods.test/.userpods/sign-out", form={})
    assert (answer.status, answer.get("location")) == (303, f"{SITE}/")
    kept = ("Cookie", f"__Host-userpods={session}")
    assert world.router.get("/", kept, host="alice.pods.test").status == 401


@on(HOSTS)
def test_status_and_waiting_page_are_those_of_the_host(world: RealSite) -> None:
    browser = Browser(world.router)
    browser.sign_in(browser.get("https://alice.pods.test/"), "alice")
    page = browser.get("https://alice.pods.test/.userpods/status/")
    assert page.response.json()["service"] == "user-alice"
    other = browser.once("https://bob.pods.test/.userpods/status/")
    assert other.status == 401


@on(ONE_HOST)
def test_who_comes_after_another_finds_nothing_of_theirs(world: RealSite) -> None:
    browser = Browser(world.router)
    browser.sign_in(browser.get("https://app.test/"), "alice")
    browser.jars["app.test"] |= {"sessionid": "alices", "__Host-x": "alices", "theme": "dark"}
    assert browser.get("https://app.test/").response.sent("cookie") == [
        "sessionid=alices; __Host-x=alices; theme=dark"
    ]
    # Alice signs out at the site; bob sits down.
    del browser.jars["site.test"], browser.jars["app.test"]["__Host-userpods"]
    page = browser.sign_in(browser.get("https://app.test/"), "bob")
    assert page.response.json()["name"] == "bob"
    assert page.response.sent("cookie") == []
    # He keeps his own.
    browser.jars["app.test"]["sessionid"] = "bobs"
    del browser.jars["app.test"]["__Host-userpods"]
    assert browser.get("https://app.test/").response.sent("cookie") == ["sessionid=bobs"]


@on(PATHS)
def test_paths_below_the_sites_host_lead_to_their_pods(world: RealSite) -> None:
    browser = Browser(world.router)
    page = browser.get(f"{SITE}/pods/alice/notes?a=b")
    assert page.url.startswith(f"{SITE}/admin/login/?next=%2Fpods%2Falice%2Fnotes")
    page = browser.sign_in(page, "alice")
    assert page.url == f"{SITE}/pods/alice/notes?a=b"
    assert page.response.json()["name"] == "alice"
    assert page.response.sent("x-forwarded-prefix") == ["/pods/alice"]
    assert browser.get(f"{SITE}/pods/bob/").response.status == 403
    assert browser.get(f"{SITE}/pods/alice/../bob/").response.status == 404
    assert browser.get(f"{SITE}/admin/").response.status == 200


@on(SHARED)
def test_a_shared_session_cookie_needs_no_ticket(world: RealSite) -> None:
    browser = Browser(world.router)
    browser.sign_in(browser.get(f"{SITE}/admin/"), "alice")
    page = browser.get("https://alice.pods.site.test/x")
    assert (page.way, page.response.json()["name"]) == (["https://alice.pods.site.test/x"], "alice")
    assert page.response.sent("cookie") == []
    assert browser.get("https://bob.pods.site.test/").response.status == 403
