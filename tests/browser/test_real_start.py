"""A start as its user sees it, against a real API server: slow, failing, repaired; by keyboard."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from django_userpods import lifecycle
from django_userpods.models import UserPod
from tests.browser.chromium import keep_pictures
from tests.browser.keyboard import Keyboard
from tests.browser.real_site import RealSite, site_of_a_module, told
from tests.factories import UserFactory

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

WAITING = "/userpods/waiting/"

site = site_of_a_module(USERPODS_SELF_SERVICE=["start", "stop", "restart", "logs"])


def steps(site: RealSite) -> list[tuple[str, bool]]:
    """Each step's look, and whether it has a time."""
    found = site.browser.find_elements(By.CSS_SELECTOR, "#userpods-steps li")
    return [
        (str(item.get_attribute("class")), ":" in item.find_element(By.CLASS_NAME, "time").text)
        for item in found
    ]


def sees_steps(site: RealSite, *expected: tuple[str, bool]) -> None:
    wait = WebDriverWait(site.browser, 60, 0.2)
    wait.until(lambda _: steps(site) == [*expected], f"not the steps {expected}")


def start_anew(settings: Any, pods: Any, how: str) -> None:
    """Have some pods start from the beginning, and the node treat them so."""
    settings.USERPODS_CUSTOMIZE = told({"pod": how})
    for ask in (lifecycle.stop, lifecycle.start):
        ask(pods, actor="李雷")


def test_a_person_watches_a_start_reads_why_it_fails_and_gets_on(
    site: RealSite, settings: Any
) -> None:
    keyboard = Keyboard(site.browser, site.url(""))
    settings.USERPODS_CUSTOMIZE = told({"delay": "25s"})
    alice = UserFactory(username="李雷")
    pods = UserPod.objects.filter(owner=alice)
    site.sign_in(alice)

    keyboard.goes("/")
    keyboard.sees("is starting", "h1")
    sees_steps(site, ("done", True), ("current", True), ("", False), ("", False))
    keep_pictures(site.browser, "real-starting")
    keyboard.sees("Here is the app", "h1")

    start_anew(settings, pods, "starting")
    keyboard.goes(WAITING)
    sees_steps(site, ("done", True), ("done", True), ("current", True), ("", False))

    start_anew(settings, pods, "unready")
    keyboard.goes(WAITING)
    # When its startup probe was through, nobody says.
    sees_steps(site, ("done", True), ("done", True), ("done", False), ("current", False))

    start_anew(settings, pods, "image-pull")
    keyboard.goes("/")
    keyboard.sees("could not start", "h1")
    keyboard.sees("The software that it runs could not be fetched.", "#userpods-message")
    keyboard.sees("Asked to start", ".happenings")
    keyboard.sees("Scheduled", ".events")
    assert [look for look, _ in steps(site)] == ["done", "failed", "", ""]
    keep_pictures(site.browser, "real-failed")

    settings.USERPODS_CUSTOMIZE = told()
    keyboard.tabs_to("button", "Try again")
    keyboard.press(Keys.ENTER)
    keyboard.sees("Here is the app", "h1")

    keyboard.goes("/userpods/")
    keyboard.sees("running", "#pod-main .state")
    keyboard.tabs_to("#pod-main button", "Stop")
    keyboard.press(Keys.ENTER)
    keyboard.sees("stopped", "#pod-main .state")
    assert pods.get().wanted == UserPod.Wanted.STOPPED
    assert site.deployment(str(pods.get().name))["spec"]["replicas"] == 0
