"""The waiting page in real Chromium, under policies that forbid what is inside of a page.

A middleware stands where the router is: it hands ``/.userpods/`` to Django, and answers with the
waiting page what no pod answers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import django
import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.browser.chromium import chromium as started
from tests.browser.chromium import keep_pictures
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from django.http import HttpRequest
    from selenium.webdriver.chrome.webdriver import WebDriver

    from django_userpods.testing import MemoryCluster

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CRASHES = (
    "CrashLoopBackOff: back-off 5m0s restarting failed container=app (last exit code 1, Error)"
)


class InTheRoutersPlace:
    """What the router does with a pod's host, and what a strict project does with every answer."""

    #: Whether the pod answers, and how often somebody was told that it does not.
    answers, waits = False, 0
    #: What forbids, where no middleware of Django's does.
    policy = ""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        cls = type(self)
        host = request.META["HTTP_HOST"]
        if not host.startswith("localhost:"):
            request.META["HTTP_X_USERPODS_HOST"] = host
            request.META["HTTP_HOST"] = f"localhost:{host.partition(':')[2]}"
            if not request.path.startswith("/.userpods/"):
                if cls.answers:
                    return HttpResponse(f"<h1>The pod at {request.get_full_path()}</h1>")
                request.path = request.path_info = "/.userpods/waiting/"
                cls.waits += request.headers.get("Sec-Fetch-Mode") == "navigate"
        response: HttpResponse = self._get_response(request)
        if cls.policy:
            response["Content-Security-Policy"] = cls.policy
        return response


@pytest.fixture
def place() -> Iterator[type[InTheRoutersPlace]]:
    InTheRoutersPlace.answers, InTheRoutersPlace.waits, InTheRoutersPlace.policy = False, 0, ""
    yield InTheRoutersPlace
    InTheRoutersPlace.policy = ""


@pytest.fixture
def pod(settings: Any, memory: MemoryCluster, place: type[InTheRoutersPlace]) -> Iterator[str]:
    """The address of alice's pod, which does not answer."""
    middleware = [f"{__name__}.InTheRoutersPlace", *django_settings.MIDDLEWARE]
    if django.VERSION >= (6, 0):
        middleware.insert(0, "django.middleware.csp.ContentSecurityPolicyMiddleware")
    settings.MIDDLEWARE = middleware
    server = LiveServer("localhost")
    port = urlsplit(server.url).port
    settings.USERPODS_SITE_URL = f"http://localhost:{port}/"
    settings.USERPODS_URL = f"http://{{pod}}.localhost:{port}/"
    settings.USERPODS_LOGIN_URL = "/admin/login/"
    UserFactory(username="alice")
    reconcile()
    yield f"http://alice.localhost:{port}"
    server.stop()


@pytest.fixture
def chromium(pod: str, tmp_path: Path) -> Iterator[WebDriver]:
    """Alice's browser, signed in on her pod's host."""
    with started(tmp_path) as browser:
        sign_in(browser, pod)
        yield browser


def sign_in(browser: WebDriver, pod: str) -> None:
    """Sign in at the site, and from there on the pod's host."""
    client = Client()
    client.force_login(get_user_model().objects.get(username="alice"))
    browser.get(f"{pod.replace('alice.', '')}/userpods/assets/css")
    browser.add_cookie({"name": "sessionid", "value": client.cookies["sessionid"].value})

    def is_in(_: WebDriver) -> bool:
        # SQLite in memory has no patience: of two threads one may be told that it is locked.
        browser.get(f"{pod}/.userpods/sign-in")
        return browser.get_cookie("userpods") is not None

    WebDriverWait(browser, 20).until(is_in)


def state(name: str, message: str = "") -> None:
    UserPod.objects.update(state=name, message=message, looked_at=timezone.now())


def headline(browser: WebDriver) -> str:
    return browser.find_element(By.TAG_NAME, "h1").text


def wait_for_headline(browser: WebDriver, text: str, seconds: float = 15) -> None:
    def said(_: WebDriver) -> bool:
        return bool(
            browser.execute_script(
                "return document.querySelector('h1')?.textContent === arguments[0]", text
            )
        )

    WebDriverWait(browser, seconds, 0.1).until(said, f"no {text!r}")


def violations(browser: WebDriver) -> list[str]:
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [str(e["message"]) for e in entries if "Content Security Policy" in str(e["message"])]


STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"


def by_header(settings: Any, place: type[InTheRoutersPlace]) -> None:
    place.policy = f"{STRICT}; form-action 'self'; base-uri 'none'"


def by_self(settings: Any, place: type[InTheRoutersPlace]) -> None:
    settings.SECURE_CSP = {"default-src": ["'self'"]}


def by_nonce(settings: Any, place: type[InTheRoutersPlace]) -> None:
    from django.utils.csp import CSP

    settings.SECURE_CSP = {
        "default-src": [CSP.NONE],
        "script-src": [CSP.NONCE, CSP.STRICT_DYNAMIC],
        "style-src": [CSP.NONCE],
        "connect-src": [CSP.SELF],
    }


POLICIES = [by_header] + ([by_self, by_nonce] if django.VERSION >= (6, 0) else [])


@pytest.mark.parametrize("policy", POLICIES)
def test_it_looks_right_and_moves_on_under_a_policy(
    chromium: WebDriver, pod: str, place: type[InTheRoutersPlace], settings: Any, policy: Any
) -> None:
    policy(settings, place)
    state("starting")
    chromium.get(f"{pod}/deep/link?x=1")
    assert headline(chromium) == "Your workspace is starting"
    main = chromium.find_element(By.TAG_NAME, "main")
    assert main.value_of_css_property("text-align") == "center", "its style is there"
    assert violations(chromium) == []

    place.answers = True
    state("running")

    wait_for_headline(chromium, "The pod at /deep/link?x=1")


def test_a_page_that_may_ask_nothing_is_loaded_anew(
    chromium: WebDriver, pod: str, place: type[InTheRoutersPlace]
) -> None:
    place.policy = "default-src 'none'; script-src 'self'; style-src 'self'"
    state("starting")
    chromium.get(f"{pod}/deep")

    place.answers = True

    wait_for_headline(chromium, "The pod at /deep")


def test_it_is_loaded_less_and_less_often_while_the_pod_is_only_said_to_run(
    chromium: WebDriver, pod: str, place: type[InTheRoutersPlace]
) -> None:
    state("running")
    place.waits = 0
    chromium.get(f"{pod}/")
    wait_for_headline(chromium, "Your workspace does not answer yet")
    keep_pictures(chromium, "waiting-unanswered")
    time.sleep(16)
    # At its beginning, and after 1, 2, 4 and 8 seconds.
    assert 3 <= place.waits <= 5
    place.answers = True
    wait_for_headline(chromium, "The pod at /", seconds=20)


def test_a_failure_is_shown_when_it_comes_and_when_it_goes(
    chromium: WebDriver, pod: str, place: type[InTheRoutersPlace]
) -> None:
    state("starting")
    chromium.get(f"{pod}/")
    keep_pictures(chromium, "waiting-starting")
    state("failed", CRASHES)
    wait_for_headline(chromium, "Your workspace could not start")
    keep_pictures(chromium, "waiting-failed")
    assert "CrashLoopBackOff" not in chromium.page_source
    assert chromium.find_element(By.CSS_SELECTOR, "details").get_attribute("open") is None
    place.answers = True
    state("running")
    wait_for_headline(chromium, "The pod at /", seconds=25)


def test_trying_again_stays_on_the_page(
    chromium: WebDriver, pod: str, place: type[InTheRoutersPlace]
) -> None:
    state("failed", CRASHES)
    chromium.get(f"{pod}/deep/link")
    place.answers = True

    chromium.find_element(By.XPATH, "//button[text()='Try again']").click()

    wait_for_headline(chromium, "The pod at /deep/link")
    assert UserPod.objects.get().restarted_at is not None


def test_trying_again_in_vain_is_said(
    chromium: WebDriver, pod: str, place: type[InTheRoutersPlace], settings: Any
) -> None:
    state("failed", CRASHES)
    chromium.get(f"{pod}/deep/link")
    said = chromium.find_element(By.ID, "userpods-refused")
    assert not said.is_displayed()
    # Nobody can tell who is asking: a 503.
    settings.USERPODS_SELECT = lambda user: user.no_such_field
    button = chromium.find_element(By.XPATH, "//button[text()='Try again']")
    button.click()
    WebDriverWait(chromium, 15, 0.1).until(lambda _: said.is_displayed())
    assert "could not be done" in said.text
    assert button.is_enabled()
    settings.USERPODS_SELECT = lambda user: True
    place.answers = True
    button.click()
    wait_for_headline(chromium, "The pod at /deep/link")


def test_signing_out_leads_to_the_site(
    chromium: WebDriver, pod: str, place: type[InTheRoutersPlace], settings: Any
) -> None:
    state("failed", CRASHES)
    chromium.get(f"{pod}/")

    chromium.find_element(By.XPATH, "//button[text()='Sign out']").click()

    WebDriverWait(chromium, 10, 0.1).until(
        lambda _: chromium.current_url.startswith(settings.USERPODS_SITE_URL)
    )
    chromium.get(f"{pod}/")
    assert headline(chromium) == "You are signed out"
    keep_pictures(chromium, "refused-signed-out")
    assert chromium.find_element(By.LINK_TEXT, "Sign in").is_displayed()


def test_pages_that_refuse_lead_on(
    chromium: WebDriver, pod: str, place: type[InTheRoutersPlace], settings: Any
) -> None:
    settings.USERPODS_SELECT = lambda user: False
    chromium.get(f"{pod}/")
    assert headline(chromium) == "There is no workspace for your account"
    keep_pictures(chromium, "refused-not-selected")
    assert chromium.find_element(By.XPATH, "//button[text()='Sign out']").is_displayed()
