"""A site whose pods have hosts of their own, over TLS, and Chromium that alice and bob share."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium
from tests.router.gateways import gateway
from tests.router.harness import workload
from tests.router.hosts_site import ALICES, BOBS, SITE, Site, hosts_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.router.gateways import Gateway

#: Alice's further pods, by slot.
FURTHER = {slot: f"alice---{slot}.pods.example.org" for slot in ("gpu", "lab")}
STRANGER = "evil.test"
CERTIFIED = ("www.example.org", ALICES, BOBS, STRANGER, *FURTHER.values())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        workload("alice", folder) as alice,
        workload("bob", folder) as bob,
        hosts_site(folder, {"alice": alice, "bob": bob}) as running,
    ):
        yield running


@contextmanager
def shared_browser(front: Gateway, folder: Path) -> Iterator[WebDriver]:
    """Chromium behind a gateway, in which alice and bob are signed in at their own pods' hosts."""
    flags = (
        f"--host-resolver-rules=MAP * 127.0.0.1:{front.secure}",
        # Not "all errors": a connection with an error that is ignored is never shared.
        f"--ignore-certificate-errors-spki-list={front.pin}",
        "--no-proxy-server",
    )
    with chromium(folder, *flags) as driver:
        driver.set_script_timeout(20)
        for name, host in (("bob", BOBS), ("alice", ALICES)):
            come_in(driver, name, host)
        yield driver


@pytest.fixture(scope="module")
def browser(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One behind Go's proxy, which takes larger headers than HAProxy does by default."""
    folder = tmp_path_factory.mktemp("browser")
    with (
        gateway("go", site.router.port, folder, CERTIFIED) as front,
        shared_browser(front, folder) as driver,
    ):
        yield driver


def come_in(browser: WebDriver, name: str, host: str) -> None:
    """Sign in at the site in place of whoever was, and open a pod there."""
    browser.get(f"{SITE}/admin/login/")
    browser.delete_cookie("__Host-sessionid")
    browser.get(f"https://{host}/.userpods/sign-in")
    assert browser.current_url.startswith(f"{SITE}/admin/login/")
    browser.find_element(By.NAME, "username").send_keys(name)
    browser.find_element(By.NAME, "password").send_keys(name)
    browser.find_element(By.CSS_SELECTOR, ".submit-row input").click()
    WebDriverWait(browser, 20, 0.1).until(lambda _: browser.current_url == f"https://{host}/")
    assert said(browser)["name"] == name


def said(browser: WebDriver) -> dict[str, Any]:
    """What the pod that answered says of the request."""
    found: dict[str, Any] = json.loads(browser.find_element(By.TAG_NAME, "body").text)
    return found
