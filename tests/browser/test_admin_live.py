"""Pages of the admin that stay open, in real Chromium, under a Content-Security-Policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from django_userpods.clusters.base import PodLog
from django_userpods.core.objects import DEPLOYMENT, Ref
from django_userpods.models import BulkRun, Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.browser.chromium import chromium, wait_for_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from django.http import HttpRequest, HttpResponse
    from pytest_django.live_server_helper import LiveServer
    from selenium.webdriver.chrome.webdriver import WebDriver

    from django_userpods.testing import MemoryCluster

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PODS = "/admin/userpods/userpod/"
ALICE = Ref(DEPLOYMENT, "default", "user-alice")
#: Makes a page believe that it is hidden, or seen.
HIDE = """
Object.defineProperty(document, "hidden", {configurable: true, get: () => arguments[0]});
document.dispatchEvent(new Event("visibilitychange"));
"""
ASKED = "return performance.getEntriesByType('resource').filter(e => e.name.includes(%r)).length"


def strict(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Middleware that allows a page nothing but what is the site's own."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
        return response

    return middleware


@pytest.fixture
def browser(
    settings: Any, memory: MemoryCluster, live_server: LiveServer, tmp_path: Path
) -> Iterator[WebDriver]:
    """The browser of somebody who may do everything, with alice's pod running."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.strict"]
    # A pod stays in the state that a test gives it.
    settings.USERPODS_INLINE_TIMEOUT = 0
    users = get_user_model().objects
    users.create_user("alice")
    boss = users.create_superuser("boss", password="boss")
    reconcile()
    client = Client()
    client.force_login(boss)
    with chromium(tmp_path) as found:
        found.get(f"{live_server.url}/userpods/assets/css")
        found.add_cookie({"name": "sessionid", "value": client.cookies["sessionid"].value})
        yield found


def become(state: str, message: str = "") -> UserPod:
    found = UserPod.objects.filter(name="user-alice")
    found.update(state=state, message=message, looked_at=timezone.now())
    return found.get()


def refused(browser: WebDriver) -> list[str]:
    """Return what the browser complains of: what the policy forbids, or a script that fails."""
    logged: Any = browser.get_log("browser")  # type: ignore[no-untyped-call]
    said = [one["message"] for one in logged if one["level"] == "SEVERE"]
    return [message for message in said if "favicon.ico" not in message]


def state(browser: WebDriver, pod: UserPod) -> str:
    css = f'[data-userpods-pod="{pod.pk}"][data-userpods-shows="state"]'
    return browser.find_element(By.CSS_SELECTOR, css).text


@pytest.mark.timeout(300)
def test_an_open_page_shows_what_becomes_of_its_pods_and_rests_while_hidden(
    browser: WebDriver, live_server: LiveServer, memory: MemoryCluster
) -> None:
    pod = become("starting")
    browser.get(live_server.url + PODS)
    assert state(browser, pod) == "starting"
    become("failed", "no such image")
    wait_for_text(browser, ".userpods-failed", "failed")
    wait_for_text(browser, ".userpods-reason", "no such image")

    browser.execute_script(HIDE, True)
    asked = browser.execute_script(ASKED % "/states/")
    become("running")
    browser.set_script_timeout(30)
    browser.execute_async_script("setTimeout(arguments[0], 7000)")
    # One may have been on its way.
    assert browser.execute_script(ASKED % "/states/") <= asked + 1
    browser.execute_script(HIDE, False)
    wait_for_text(browser, ".userpods-running", "running")

    browser.get(f"{live_server.url}{PODS}{pod.pk}/change/")
    start = browser.find_element(By.CSS_SELECTOR, "button[value=userpods_start]")
    assert not start.is_enabled()
    become("failed", "it ended")
    wait_for_text(browser, "[data-userpods-shows=message]", "it ended")
    assert start.is_enabled(), "it can be started by now"
    assert refused(browser) == []


@pytest.mark.timeout(300)
def test_tabs_and_following_logs_by_the_keyboard_alone(
    browser: WebDriver, live_server: LiveServer, memory: MemoryCluster
) -> None:
    pod = become("running")
    memory.put_evidence(ALICE, PodLog("user-alice-1", "app", "the first line"))
    browser.get(f"{live_server.url}{PODS}{pod.pk}/change/")
    tab = browser.find_element(By.CSS_SELECTOR, ".userpods-tabs a[aria-current=page]")
    assert tab.text == "Overview"
    browser.execute_script("arguments[0].focus()", tab)
    for expected in ("Events", "Logs"):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        assert browser.switch_to.active_element.text == expected
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait_for_text(browser, "pre", "the first line")
    follow = browser.find_element(By.ID, "userpods-follow")
    browser.execute_script("arguments[0].focus()", follow)
    follow.send_keys(Keys.ENTER)
    assert follow.get_attribute("aria-pressed") == "true"
    memory.put_evidence(ALICE, PodLog("user-alice-1", "app", "the first line\nthe second line"))
    wait_for_text(browser, "pre", "the second line")
    follow.send_keys(Keys.ENTER)
    assert follow.get_attribute("aria-pressed") == "false"
    assert refused(browser) == []


@pytest.mark.timeout(300)
def test_what_the_keyboard_is_at_stays_while_a_bulk_run_goes_on(
    browser: WebDriver, live_server: LiveServer
) -> None:
    """Each new failure makes the list of failures anew, below whoever reads in it."""
    now = timezone.now()
    run = BulkRun.objects.create(operation="restart", actor="boss", at=now, number=2)
    for pod in UserPod.objects.order_by("name"):
        Transition.objects.create(run=run, pod=pod, at=now, operation="restart", actor="boss")
    alices, other = Transition.objects.filter(run=run).order_by("pod__name")
    failed = {"outcome": "failed", "settled_at": now, "after": "failed"}
    UserPod.objects.update(state="failed", message="ErrImagePull: no such image")
    Transition.objects.filter(pk=alices.pk).update(**failed)
    browser.get(f"{live_server.url}{PODS}bulk/{run.pk}/")
    for _ in range(60):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if browser.switch_to.active_element.tag_name == "summary":
            break
    ActionChains(browser).send_keys(Keys.SPACE).perform()
    wait_for_text(browser, ".userpods-failures details p", "no such image")

    Transition.objects.filter(pk=other.pk).update(**failed)
    wait_for_text(browser, ".userpods-failures", "user-boss")
    assert browser.switch_to.active_element.text == "What the cluster says"
    ActionChains(browser).send_keys(Keys.SPACE).perform()
    [first, _] = browser.find_elements(By.CSS_SELECTOR, ".userpods-failures details")
    assert first.get_attribute("open") is None, "it was open, and is the one that was pressed"
    assert refused(browser) == []
