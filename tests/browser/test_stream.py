"""The waiting page of a site under ASGI in real Chromium: it hears of changes, or asks as ever."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium, wait_for_text
from tests.django.asgi_server import Client, Server, asgi_server, becomes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with asgi_server(tmp_path_factory.mktemp("asgi")) as running:
        client = Client(running)
        client.ask("/make/alice")
        running.sessions["alice"] = client.cookies["sessionid"]
        yield running


@pytest.fixture(scope="module")
def browser(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        driver.get(f"http://127.0.0.1:{server.port}/userpods/assets/css")
        driver.add_cookie({"name": "sessionid", "value": server.sessions["alice"]})
        driver.execute_cdp_cmd("Network.enable", {})
        yield driver


def asked(browser: WebDriver, what: str) -> int:
    """How often the page that is shown has asked for something of ours."""
    script = "return performance.getEntriesByType('resource').map(one => one.name)"
    return sum(f"/userpods/{what}/" in name for name in browser.execute_script(script))


def steps(browser: WebDriver) -> list[str]:
    found = browser.find_elements(By.CSS_SELECTOR, "#userpods-steps li")
    return [str(item.get_attribute("class")) for item in found]


@pytest.mark.parametrize("has_stream", [True, False], ids=["stream", "no stream"])
def test_it_follows_its_pod_to_the_end(
    server: Server, browser: WebDriver, has_stream: bool
) -> None:
    blocked = [] if has_stream else ["*/userpods/stream/*"]
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": blocked})
    becomes(server, "alice", "pending")
    browser.get(f"http://127.0.0.1:{server.port}/userpods/waiting/")
    assert steps(browser) == ["current", "", "", ""]

    taken = " ".join([f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"] * 2)
    becomes(server, "alice", "starting", step_times=taken)
    WebDriverWait(browser, 15, 0.1).until(lambda _: steps(browser) == ["done", "current", "", ""])
    # Each question that is under way has ended, and is counted.
    WebDriverWait(browser, 15, 0.1).until(lambda _: asked(browser, "status") > 0 or has_stream)
    assert asked(browser, "status") == 0 if has_stream else asked(browser, "status") > 0

    becomes(server, "alice", "failed", "ErrImagePull: no such image")
    wait_for_text(browser, "h1", "could not start")
    wait_for_text(browser, "#userpods-message", "could not be fetched")
    becomes(server, "alice", "running")
    wait_for_text(browser, "h1", "does not answer yet")
    said = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [one for one in said if "Content Security Policy" in str(one["message"])]
