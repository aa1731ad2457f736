"""Real Chromium for tests, and what is done in it again and again."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement


@contextmanager
def chromium(folder: Path, *flags: str) -> Iterator[WebDriver]:
    """A browser whose profile and downloads are in a folder, started with more flags."""
    options = webdriver.ChromeOptions()
    for flag in (
        *flags,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-extensions",
        # What moves is drawn by the processor here, for as long as it is shown.
        "--force-prefers-reduced-motion",
        "--window-size=1500,900",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.binary_location = shutil.which("chromium") or ""
    driver = shutil.which("chromedriver") or ""
    if not options.binary_location or not driver:
        pytest.fail("Chromium is missing (Debian: apt-get install chromium chromium-driver)")
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.set_page_load_timeout(60)
    try:
        yield browser
    finally:
        browser.quit()


def sign_in(browser: WebDriver, name: str, password: str) -> None:
    """Fill in the login form that is shown."""
    browser.find_element(By.NAME, "username").send_keys(name)
    browser.find_element(By.NAME, "password").send_keys(password)
    browser.find_element(By.CSS_SELECTOR, "main button[type=submit], .submit-row input").click()


def wait_for_text(browser: WebDriver, css: str, text: str, *, seconds: float = 30) -> None:
    """Wait until an element says something, over reloads of the page."""

    def said(_: WebDriver) -> bool:
        try:
            return any(text in found.text for found in browser.find_elements(By.CSS_SELECTOR, css))
        except WebDriverException:  # the page was just replaced
            return False

    where = f"{browser.current_url}: no {text!r} in {css}"
    WebDriverWait(browser, seconds, 0.1).until(said, where)


def press_one(browser: WebDriver, css: str, text: str) -> None:
    """Click on the one element that is called so, once it is there."""

    def press(_: WebDriver) -> bool:
        found = [one for one in browser.find_elements(By.CSS_SELECTOR, css) if _called(one) == text]
        if len(found) == 1:
            found[0].click()
        return len(found) == 1

    # The page that it is on may be on its way, or just replace what is on it.
    ignored = [StaleElementReferenceException]
    wait = WebDriverWait(browser, 30, 0.1, ignored_exceptions=ignored)
    wait.until(press, f"{browser.current_url}: no {text!r} in {css}")


def _called(element: WebElement) -> str | None:
    is_input = element.tag_name == "input"
    return element.get_attribute("value") if is_input else element.text


def keep_picture(browser: WebDriver, name: str) -> None:
    """Save what is shown where ``USERPODS_PICTURES`` names a folder, for a person to look at."""
    if folder := os.environ.get("USERPODS_PICTURES"):
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


def keep_pictures(browser: WebDriver, name: str) -> None:
    """Save what is shown, light and dark, wide and narrow, where ``USERPODS_PICTURES`` names a
    folder: for a person to look at."""
    if not (folder := os.environ.get("USERPODS_PICTURES")):
        return
    for theme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        for width in (1280, 390):
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.save_screenshot(str(Path(folder) / f"{name}-{theme}-{width}.png"))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
