"""A start as its user sees it, against a real API server: slow, failing, repaired; by keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from django_userpods import lifecycle
from django_userpods.models import UserPod
from tests.browser.chromium import chromium, keep_pictures, wait_for_text
from tests.browser.real_site import told
from tests.django.support import end_pause
from tests.factories import UserFactory
from tests.real.project import use_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.testcluster.cluster import Cluster

pytestmark = [
    pytest.mark.browser,
    pytest.mark.cluster,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def site(settings: Any, cluster: Cluster, namespace: str) -> Iterator[str]:
    use_cluster(settings, cluster.kubeconfig, namespace)
    end_pause()
    settings.USERPODS_SELF_SERVICE = ["start", "stop", "restart", "logs"]
    server = LiveServer("localhost")
    yield server.url
    server.stop()
    end_pause()


@pytest.fixture
def browser(site: str, tmp_path: Path) -> Iterator[WebDriver]:
    with chromium(tmp_path) as driver:
        yield driver


def press(browser: WebDriver, text: str) -> None:
    """Go from the top of the page to a button by Tab alone, and press it."""
    browser.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(30):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if browser.switch_to.active_element.text == text:
            ActionChains(browser).send_keys(Keys.ENTER).perform()
            return
    raise AssertionError(f"Tab does not lead to {text!r}")


def steps(browser: WebDriver) -> list[tuple[str, bool]]:
    """Each step's look, and whether it has a time."""
    found = browser.find_elements(By.CSS_SELECTOR, "#userpods-steps li")
    return [
        (str(item.get_attribute("class")), ":" in item.find_element(By.CLASS_NAME, "time").text)
        for item in found
    ]


def test_a_person_watches_a_start_reads_why_it_fails_and_gets_on(
    site: str, browser: WebDriver, settings: Any
) -> None:
    settings.USERPODS_CUSTOMIZE = told({"delay": "25s"})
    alice = UserFactory(username="李雷")
    client = Client()
    client.force_login(alice)
    browser.get(f"{site}/userpods/assets/css")
    browser.add_cookie({"name": "sessionid", "value": client.cookies["sessionid"].value})

    browser.get(f"{site}/userpods/waiting/")
    wait_for_text(browser, "h1", "is starting")
    expected = [("done", True), ("current", True), ("", False), ("", False)]
    WebDriverWait(browser, 30, 0.2).until(lambda _: steps(browser) == expected)
    keep_pictures(browser, "real-starting")
    wait_for_text(browser, "h1", "does not answer yet", seconds=60)

    settings.USERPODS_CUSTOMIZE = told({"pod": "starting"})
    for ask in (lifecycle.stop, lifecycle.start):
        ask(UserPod.objects.all(), actor="李雷")
    browser.get(f"{site}/userpods/waiting/")
    expected = [("done", True), ("done", True), ("current", True), ("", False)]
    WebDriverWait(browser, 60, 0.2).until(lambda _: steps(browser) == expected)

    settings.USERPODS_CUSTOMIZE = told({"pod": "unready"})
    for ask in (lifecycle.stop, lifecycle.start):
        ask(UserPod.objects.all(), actor="李雷")
    browser.get(f"{site}/userpods/waiting/")
    # When its startup probe was through, nobody says.
    expected = [("done", True), ("done", True), ("done", False), ("current", False)]
    WebDriverWait(browser, 60, 0.2).until(lambda _: steps(browser) == expected)

    settings.USERPODS_CUSTOMIZE = told({"pod": "image-pull"})
    for ask in (lifecycle.stop, lifecycle.start):
        ask(UserPod.objects.all(), actor="李雷")
    browser.get(f"{site}/userpods/waiting/")
    wait_for_text(browser, "h1", "could not start", seconds=60)
    wait_for_text(browser, "#userpods-message", "The software that it runs could not be fetched.")
    wait_for_text(browser, ".happenings", "Asked to start")
    wait_for_text(browser, ".events", "Scheduled")
    assert [look for look, _ in steps(browser)] == ["done", "failed", "", ""]
    keep_pictures(browser, "real-failed")

    settings.USERPODS_CUSTOMIZE = told()
    press(browser, "Try again")
    wait_for_text(browser, "h1", "does not answer yet", seconds=60)

    browser.get(f"{site}/userpods/")
    wait_for_text(browser, "#pod-main .state", "running")
    press(browser, "Stop")
    wait_for_text(browser, "#pod-main .state", "stopped", seconds=60)
    assert UserPod.objects.get().wanted == UserPod.Wanted.STOPPED
