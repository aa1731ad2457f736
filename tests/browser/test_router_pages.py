"""The router's own pages in real Chromium: they wait without disturbing who reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium, wait_for_text
from tests.router.fake_django import FakeDjango
from tests.router.harness import Router, eventually, workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.router.fake_django import Handler

pytestmark = pytest.mark.browser


@pytest.fixture
def django(tmp_path: Path) -> Iterator[FakeDjango]:
    with workload("alice", tmp_path) as pod, FakeDjango() as django:
        django.user("alice", pod)
        yield django


@pytest.fixture
def site(tmp_path: Path, django: FakeDjango) -> Iterator[str]:
    with Router(tmp_path / "nginx", django.port, options={"retry_after": 1}) as router:
        yield f"http://127.0.0.1:{router.port}"


@pytest.fixture
def browser(tmp_path: Path, site: str) -> Iterator[WebDriver]:
    with chromium(tmp_path) as browser:
        cookie = {"url": site, "name": "sessionid", "value": "s-alice"}
        browser.execute_cdp_cmd("Network.setCookie", cookie)
        yield browser


def unavailable(handler: Handler) -> None:
    handler.send_response(500)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_a_page_that_waits_stays_as_it_is_until_there_is_another(
    browser: WebDriver, site: str, django: FakeDjango
) -> None:
    asked = []

    def broken(handler: Handler) -> None:
        asked.append(handler.path)
        unavailable(handler)

    django.odd = broken
    browser.get(f"{site}/notes?ticket=once")
    wait_for_text(browser, "h1", "Unavailable")
    browser.execute_script("window.isTheSame = true")
    before = len(asked)
    eventually(lambda: len(asked) >= before + 2, timeout=20)
    assert browser.execute_script("return window.isTheSame") is True
    # What is good for one request alone is kept for the one that shows its page.
    names = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert {name for name in names if "/notes" in name} == {f"{site}/notes"}
    django.odd = None
    WebDriverWait(browser, 20, 0.1).until(
        lambda browser: browser.execute_script(
            "return !window.isTheSame && document.body?.innerText.includes('alice')"
        )
    )
    assert browser.current_url == f"{site}/notes?ticket=once"


def moves_on(browser: WebDriver, site: str, django: FakeDjango) -> None:
    django.odd = unavailable
    browser.get(f"{site}/notes?page=2")
    wait_for_text(browser, "h1", "Unavailable")
    django.odd = None
    wait_for_text(browser, "body", "alice")
    assert browser.current_url == f"{site}/notes?page=2"


def test_a_page_that_waits_moves_on_where_its_script_may_not_run(
    browser: WebDriver, site: str, django: FakeDjango, tmp_path: Path
) -> None:
    # Cookies are the host's, whatever the port: the same user comes to both routers.
    policy = "default-src 'self'; script-src 'self'; style-src 'self'"
    header = f'add_header Content-Security-Policy "{policy}" always;'
    options: dict[str, object] = {"retry_after": 1}
    with Router(tmp_path / "policy", django.port, options=options, public=header) as router:
        moves_on(browser, f"http://127.0.0.1:{router.port}", django)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    moves_on(browser, site, django)
