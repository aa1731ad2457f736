"""Five hundred pods at once, in real Chromium: followed to the end, and what failed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By

from tests.browser.chromium import chromium, keep_pictures, wait_for_text
from tests.browser.themed_site import BAD, running

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser

#: With alice, bob, carol and boss these are 505.
MORE = 501


def press(browser: WebDriver, text: str) -> None:
    browser.find_element(By.XPATH, f"//button[normalize-space()='{text}']").click()


def test_five_hundred_pods_are_stopped_on_a_page_that_goes_on_by_itself(tmp_path: Path) -> None:
    with running("plain", tmp_path, more=MORE) as (site, key), chromium(tmp_path) as browser:
        browser.get(f"{site}/static/userpods/admin.css")
        browser.add_cookie({"name": "sessionid", "value": key})
        browser.get(f"{site}/admin/userpods/userpod/")
        browser.find_element(By.ID, "action-toggle").click()
        browser.find_element(By.CSS_SELECTOR, ".actions .question a").click()
        browser.find_element(By.CSS_SELECTOR, "select[name=action] [value=userpods_stop]").click()
        browser.find_element(By.CSS_SELECTOR, ".actions [type=submit]").click()

        wait_for_text(browser, "h1", "Stop 505 pods?")
        assert "Your own pod is among them: user-boss." in browser.page_source
        browser.find_element(By.NAME, "typed").send_keys("505")
        press(browser, "Stop 505 pods")

        wait_for_text(browser, "#userpods-run-summary", "of 505 pods.")
        keep_pictures(browser, "bulk-started")
        browser.execute_script("window.isTheSamePage = true")
        wait_for_text(browser, "#userpods-run-summary", "Finished: 505 of 505 pods.", seconds=180)
        assert browser.execute_script("return window.isTheSamePage"), "nothing was loaded anew"
        counts = browser.find_element(By.CSS_SELECTOR, ".userpods-counts").text
        assert counts.replace("\n", " ").split()[:2] == ["failed", "1"], counts
        failed = browser.find_element(By.CSS_SELECTOR, ".userpods-failures").text
        assert f"user-{BAD}" in failed
        assert "there is nothing to stop here" in failed
        keep_pictures(browser, "bulk-finished")

        press(browser, "Retry 1 that failed")
        wait_for_text(browser, ".messagelist", f"1 failed: user-{BAD}")

        browser.find_element(By.CSS_SELECTOR, ".userpods-failures a").click()
        wait_for_text(browser, "h1, h2", f"user-{BAD}")
        browser.get(browser.current_url.replace("/change/", "/history/"))
        wait_for_text(browser, ".userpods-history", "failed, after")
        browser.find_element(By.CSS_SELECTOR, ".userpods-history a").click()
        wait_for_text(browser, "h1", "Stop 505 pods")
