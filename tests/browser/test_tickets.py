"""Real Chromium on its way from a pod's host to the site and back, with cookies of its own.

A middleware stands where the router will: it says which host was asked for, asks ``whoami``, and
sends a navigation without credentials to sign in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import settings as django_settings
from django.http import HttpResponse, HttpResponseRedirect
from django.test import Client
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver.common.by import By

from django_userpods.models import PodSession
from django_userpods.pages.whoami import whoami
from django_userpods.reconcile import reconcile
from tests.browser.chromium import chromium as started
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from django.http import HttpRequest
    from selenium.webdriver.chrome.webdriver import WebDriver

    from django_userpods.testing import MemoryCluster

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


class InTheRoutersPlace:
    """What the router does with a pod's host."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        host = request.META["HTTP_HOST"]
        if host.startswith("localhost:"):
            return self._get_response(request)  # type: ignore[no-any-return]
        request.META["HTTP_X_USERPODS_HOST"] = host
        request.META["HTTP_HOST"] = f"localhost:{host.partition(':')[2]}"
        if request.path.startswith("/.userpods/"):
            return self._get_response(request)  # type: ignore[no-any-return]
        answer = whoami(request)
        if answer.status_code == 401:
            query = urlencode({"next": request.get_full_path()})
            return HttpResponseRedirect(f"/.userpods/sign-in?{query}")
        return HttpResponse(f"{answer.status_code} {answer.get('X-Target-Service')}")


@pytest.fixture
def site(settings: Any, memory: MemoryCluster) -> Iterator[str]:
    """The site's address; users' pods are beside it."""
    place = f"{__name__}.InTheRoutersPlace"
    settings.MIDDLEWARE = [
        django_settings.MIDDLEWARE[0],
        place,
        *django_settings.MIDDLEWARE[1:],
    ]
    # One of its own: pytest-django's is started once, with the middleware of that moment.
    server = LiveServer("localhost")
    port = urlsplit(server.url).port
    settings.USERPODS_SITE_URL = f"http://localhost:{port}/"
    settings.USERPODS_URL = f"http://{{pod}}.localhost:{port}/"
    settings.USERPODS_LOGIN_URL = "/admin/login/"
    for name in ("alice", "bob"):
        UserFactory(username=name)
    reconcile()
    yield f"http://localhost:{port}"
    server.stop()


@pytest.fixture
def chromium(site: str, tmp_path: Path) -> Iterator[WebDriver]:
    with started(tmp_path) as browser:
        yield browser


def sign_in(chromium: WebDriver, site: str, name: str) -> Client:
    """Give the browser a session of the site's; return another client of the same session."""
    from tests.django.support import by_name

    client = Client()
    client.force_login(by_name(name))
    chromium.get(f"{site}/nowhere/")
    value = client.cookies["sessionid"].value
    chromium.add_cookie({"name": "sessionid", "value": value, "path": "/", "httpOnly": True})
    return client


def shown(chromium: WebDriver, url: str) -> str:
    chromium.get(url)
    return str(chromium.find_element(By.TAG_NAME, "body").text)


def test_a_browser_comes_to_its_pods_host_and_is_out_with_the_sites_logout(
    chromium: WebDriver, site: str
) -> None:
    alices = site.replace("localhost", "alice.localhost")
    # A stranger sees the site's login.
    chromium.get(f"{alices}/lab?x=1")
    assert chromium.current_url.startswith(f"{site}/admin/login/")
    client = sign_in(chromium, site, "alice")
    assert shown(chromium, f"{alices}/lab?x=1") == "200 user-alice"
    assert chromium.current_url == f"{alices}/lab?x=1"
    # HttpOnly, of this host alone: no script sees them.
    assert chromium.execute_script("return document.cookie") == ""
    jar = {cookie["name"]: cookie for cookie in chromium.get_cookies()}
    assert set(jar) == {"userpods", "userpods_nonce", "userpods_owner"}
    assert {cookie["domain"] for cookie in jar.values()} == {"alice.localhost"}
    assert PodSession.objects.count() == 1
    assert "not your workspace" in shown(chromium, site.replace("localhost", "bob.localhost"))
    client.logout()
    chromium.get(f"{alices}/")
    assert chromium.current_url.startswith(f"{site}/admin/login/")


def test_what_one_user_left_on_a_shared_host_the_next_does_not_find(
    chromium: WebDriver, site: str, settings: Any
) -> None:
    shared = site.replace("localhost", "app.localhost")
    settings.USERPODS_URL = f"{shared}/"
    left = "return localStorage.getItem('left')"
    sign_in(chromium, site, "alice")
    assert shown(chromium, f"{shared}/") == "200 user-alice"
    chromium.execute_script("localStorage.setItem('left', 'by alice')")
    assert shown(chromium, f"{shared}/") == "200 user-alice"
    assert chromium.execute_script(left) == "by alice"
    chromium.delete_cookie("userpods")
    # Alice comes back: what is hers stays.
    assert shown(chromium, f"{shared}/") == "200 user-alice"
    assert chromium.execute_script(left) == "by alice"
    chromium.delete_cookie("userpods")
    sign_in(chromium, site, "bob")
    assert shown(chromium, f"{shared}/") == "200 user-bob"
    assert chromium.execute_script(left) is None
    assert shown(chromium, f"{shared}/again") == "200 user-bob"
