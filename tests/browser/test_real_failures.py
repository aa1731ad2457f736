"""Pods that cannot start on a real API server: what users and staff read, and how they go on."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver.common.by import By

from django_userpods.models import UserPod
from tests.browser.chromium import keep_pictures, wait_for_text
from tests.browser.real_site import PODS, RealSite, site_of_a_module, told
from tests.factories import UserFactory

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

#: What users are not to read: the cluster's words, its address, and where in it their pod is.
INTERNALS = ("BackOff", "back-off", "exit code", "container", "Unschedulable", "node", "https://")


site = site_of_a_module()


def steps(site: RealSite) -> list[str]:
    """The steps of the waiting page, as their looks tell them."""
    found = site.browser.find_elements(By.CSS_SELECTOR, "#userpods-steps li")
    return [str(item.get_attribute("class")) for item in found]


def holds_no_internals(site: RealSite) -> None:
    """Hold that neither the page nor what its script is told has anything but plain words."""
    address = site.find("main").get_attribute("data-status")
    ask = "fetch(arguments[0]).then(answer => answer.text()).then(arguments[1])"
    said = site.browser.execute_async_script(ask, address)
    assert '"state"' in said, said
    for text in (site.browser.page_source, said):
        assert [word for word in (*INTERNALS, site.inner.namespace) if word in text] == []


def test_who_waits_for_a_crashing_pod_is_told_so_and_let_in_once_staff_has_repaired_it(
    site: RealSite, settings: Any
) -> None:
    browser = site.browser
    settings.USERPODS_CUSTOMIZE = told({"pod": "crash"})
    alice = UserFactory(username="alice")
    site.sign_in(alice)
    site.open("/")
    wait_for_text(browser, "h1", "could not start", seconds=60)
    wait_for_text(browser, "#userpods-message", "It stops right after it is started.")
    assert steps(site) == ["done", "done", "done", "failed"]
    holds_no_internals(site)
    keep_pictures(browser, "real-crashes")

    waits = browser.current_window_handle
    browser.switch_to.new_window("window")
    site.open(PODS, staff=True)
    wait_for_text(browser, ".userpods-reason", "CrashLoopBackOff: back-off 40s")
    browser.find_element(By.LINK_TEXT, "user-alice").click()
    wait_for_text(browser, "[data-userpods-shows=message]", "(last exit code 1, Error)")
    keep_pictures(browser, "real-crashes-admin")
    settings.USERPODS_CUSTOMIZE = told()
    site.press("Restart")
    wait_for_text(browser, "h1", "Restart 1 pod?")
    site.press("Restart 1 pod")
    wait_for_text(browser, ".userpods-state", "running", seconds=60)
    browser.close()
    browser.switch_to.window(waits)
    wait_for_text(browser, "h1", "Here is the app", seconds=60)


def test_who_waits_for_a_pod_without_a_place_is_told_so_at_once_and_let_in_once_there_is_one(
    site: RealSite, settings: Any
) -> None:
    browser = site.browser
    place = {f"{site.inner.namespace}/place": "here"}
    settings.USERPODS_CUSTOMIZE = told(nodeSelector=place)
    bob = UserFactory(username="bob")
    site.sign_in(bob)
    site.open("/")
    wait_for_text(browser, "#userpods-message", "There is no room for it at the moment.")
    wait_for_text(browser, "h1", "Your workspace cannot start yet")
    assert browser.find_element(By.LINK_TEXT, "My workspaces").is_displayed()
    assert steps(site) == ["current", "", "", ""]
    holds_no_internals(site)
    keep_pictures(browser, "real-no-room")

    waits = browser.current_window_handle
    browser.switch_to.new_window("window")
    pod = UserPod.objects.get(owner=bob)
    site.open(f"{PODS}{pod.pk}/change/", staff=True)
    wait_for_text(browser, "[data-userpods-shows=message]", "Unschedulable: 0/")
    keep_pictures(browser, "real-no-room-admin")
    browser.close()
    browser.switch_to.window(waits)

    [key] = place
    site.cluster.kubectl("label", "node", "-l", "type=fake", f"{key}=here")
    try:
        wait_for_text(browser, "h1", "Here is the app", seconds=60)
    finally:
        site.cluster.kubectl("label", "node", "-l", "type=fake", f"{key}-")
