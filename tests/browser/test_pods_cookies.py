"""What pages and applications can do with cookies of pods' hosts, in Chromium over TLS."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.pods_site import FURTHER, browser, come_in, said, site
from tests.router.harness import workload
from tests.router.hosts_site import ALICES, BOBS, SITE

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.router.hosts_site import Site

pytestmark = [pytest.mark.browser, pytest.mark.router]
__all__ = ["browser", "site"]

OURS = ("__Host-userpods", "__Host-userpods_nonce", "__Host-userpods_owner")
#: A script tries to set these. Browsers refuse what begins with `__Host-` and is for other hosts.
PLANTED = [
    "{name}=x; Domain=pods.example.org; Path=/; Secure",
    "{name}=x; Domain=example.org; Path=/; Secure",
    "{name}=x; Path=/; Secure",
    "{name}=x; Path=/lab; Secure",
    "{name}=x; Path=/; Secure; Max-Age=0",
    "{lower}=x; Domain=pods.example.org; Path=/; Secure",
    "{upper}=x; Domain=pods.example.org; Path=/; Secure",
    "={name}=x; Domain=pods.example.org; Path=/; Secure",
    "{name}; Domain=pods.example.org; Path=/; Secure",
    "\u2002{name}=x; Domain=pods.example.org; Path=/; Secure",
    "\u00a0{name}=x; Domain=pods.example.org; Path=/; Secure",
    "\t {name} =x; Domain=pods.example.org; Path=/; Secure",
    "a=b, {name}=x; Domain=pods.example.org; Path=/; Secure",
    'a="; {name}=x; Domain=pods.example.org; Path=/; Secure',
    "$Version=1; {name}=x; Domain=pods.example.org",
    "userpods=x; Domain=pods.example.org; Path=/",
    "userpods_nonce=x; Domain=pods.example.org; Path=/",
    "userpods_token=upt_x; Domain=pods.example.org; Path=/",
]


def plant(browser: WebDriver, host: str) -> None:
    browser.get(f"https://{host}/")
    for text in PLANTED:
        for name in OURS:
            line = text.format(name=name, lower=name.lower(), upper=name.upper())
            browser.execute_script("document.cookie = arguments[0]", line)


def cookie_of(browser: WebDriver) -> str:
    """The Cookie header as it reached the pod that is shown."""
    return "; ".join(value for key, value in said(browser)["headers"] if key.lower() == "cookie")


def delete_all(browser: WebDriver, host: str) -> None:
    """Delete all cookies that a host is sent."""
    browser.get(f"https://{host}/.userpods/nowhere")
    browser.delete_all_cookies()


def test_cookies_that_a_page_plants_change_nobody(browser: WebDriver) -> None:
    """For its own host and, with a Domain, for those of others."""
    plant(browser, BOBS)
    plant(browser, ALICES)
    for host, name in ((ALICES, "alice"), (BOBS, "bob")):
        for path in ("/", "/lab"):
            browser.get(f"https://{host}{path}")
            assert said(browser)["name"] == name
            seen = cookie_of(browser).lower()
            assert "$version=1" in seen, "none was planted at all"
            assert "upt_" not in seen
    for host in (ALICES, BOBS):
        delete_all(browser, host)


def test_no_page_plants_what_is_ours_for_another_host(browser: WebDriver, site: Site) -> None:
    """A nonce, say, that bob knows: alice's browser would take a ticket of his."""
    delete_all(browser, ALICES)
    come_in(browser, "bob", BOBS)
    plant(browser, BOBS)
    browser.get(f"https://{ALICES}/.userpods/nowhere")
    names = {cookie["name"] for cookie in browser.get_cookies()}
    assert "userpods_nonce" in names, "none was planted at all"
    assert not names & set(OURS)
    # What was planted keeps nobody from signing in.
    come_in(browser, "alice", ALICES)
    for host in (ALICES, BOBS):
        delete_all(browser, host)


@pytest.mark.parametrize("kib", [8, 16, 32, 60])
def test_an_application_with_large_cookies_goes_on(
    browser: WebDriver, site: Site, kib: int
) -> None:
    """And so does signing in, through the site's login."""
    come_in(browser, "alice", ALICES)
    for number in range(kib):
        line = f"a{number}={'x' * 1000}; Path=/; Secure"
        browser.execute_script("document.cookie = arguments[0]", line)
    browser.get(f"https://{ALICES}/lab")
    assert said(browser)["name"] == "alice"
    assert len(cookie_of(browser)) > kib * 1000
    browser.delete_cookie("__Host-userpods")
    browser.get(f"https://{ALICES}/lab")
    assert said(browser)["name"] == "alice"
    come_in_again(browser)
    assert len(cookie_of(browser)) > kib * 1000
    delete_all(browser, ALICES)


def test_an_application_with_too_many_cookies_signs_nobody_out_of_the_site(
    browser: WebDriver,
) -> None:
    """Nor out of other pods, whose cookies Clear-Site-Data would take with its own."""
    come_in(browser, "bob", BOBS)
    come_in(browser, "alice", ALICES)
    for number in range(75):
        line = f"a{number}={'x' * 1000}; Path=/; Secure"
        browser.execute_script("document.cookie = arguments[0]", line)
    browser.get(f"https://{ALICES}/")
    assert "Too many cookies" in browser.title
    browser.get(f"{SITE}/admin/")
    assert browser.find_elements(By.ID, "logout-form")
    browser.get(f"https://{BOBS}/")
    assert said(browser)["name"] == "bob"
    delete_all(browser, ALICES)


def come_in_again(browser: WebDriver) -> None:
    """Sign in from the beginning, with the application's cookies still there."""
    browser.delete_cookie("__Host-userpods")
    browser.delete_cookie("__Host-userpods_nonce")
    come_in(browser, "alice", ALICES)


def test_the_pod_hears_of_no_ticket(browser: WebDriver, site: Site) -> None:
    """Neither by Referer nor by what a script of it can read."""
    come_in(browser, "alice", ALICES)
    headers = str(said(browser)["headers"])
    seen = browser.execute_script(
        "return document.referrer + document.cookie + JSON.stringify("
        "performance.getEntries().map((entry) => entry.name))"
    )
    for text in (headers, seen):
        assert "ticket" not in text
        assert "enter" not in text
    assert "ticket=" not in site.router.log()


_OPEN = """
window.state = 'opening';
const socket = new WebSocket('wss://' + location.host + '/');
socket.onmessage = () => { window.state = 'open' };
socket.onclose = () => { window.state = 'closed' };
"""


def test_a_logout_at_the_site_ends_it_on_three_hosts(
    browser: WebDriver, site: Site, tmp_path: Path
) -> None:
    """Three pods of alice's, each in a tab with an open WebSocket, and bob's, which stays."""
    with ExitStack() as stack:
        for slot in FURTHER:
            site.command("slot", "alice", slot, stack.enter_context(workload(slot, tmp_path)))
        come_in(browser, "bob", BOBS)
        come_in(browser, "alice", ALICES)
        tabs = {}
        for host, name in {ALICES: "alice", **{FURTHER[slot]: slot for slot in FURTHER}}.items():
            browser.switch_to.new_window("tab")
            tabs[host] = browser.current_window_handle
            browser.get(f"https://{host}/")
            assert said(browser)["name"] == name
            browser.execute_script(_OPEN)
            wait_for(browser, "open")
        browser.switch_to.new_window("tab")
        tabs[SITE] = browser.current_window_handle
        browser.get(f"{SITE}/admin/")
        browser.find_element(By.CSS_SELECTOR, "#logout-form button").click()
        WebDriverWait(browser, 20, 0.1).until(lambda _: browser.current_url.endswith("/logout/"))
        for host, tab in tabs.items():
            browser.switch_to.window(tab)
            if host != SITE:
                wait_for(browser, "closed")
                browser.get(f"https://{host}/")
                assert browser.current_url.startswith(f"{SITE}/admin/login/")
        browser.get(f"https://{BOBS}/")
        assert said(browser)["name"] == "bob"


def wait_for(browser: WebDriver, state: str) -> None:
    WebDriverWait(browser, 5, 0.05).until(
        lambda _: browser.execute_script("return window.state") == state, f"never {state}"
    )
