"""Many pods at once, from the admin: chosen, and followed on the page of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selenium.webdriver.common.by import By

from tests.browser.chromium import wait_for_text
from tests.browser.real_site import PODS
from tests.real.matrix import busy

if TYPE_CHECKING:
    from tests.browser.real_site import OpenSite

#: Seconds that all of them may take to start or stop on a machine with nothing else to do.
LONG = 300.0


def choose(site: OpenSite, operation: str, *, many: int) -> None:
    """Select all that there are, over all pages of the list, and an action on them."""
    browser = site.browser
    site.open(PODS, staff=True)
    site.find("#action-toggle").click()
    site.press(f"Select all {many} user pods", within=".actions")
    site.find(f"select[name=action] [value=userpods_{operation}]").click()
    browser.find_element(By.CSS_SELECTOR, ".actions [type=submit]").click()


def follow(site: OpenSite, *, many: int) -> None:
    """Watch the page of the run until all is done, without loading it anew."""
    browser = site.browser
    wait_for_text(browser, "#userpods-run-summary", f"of {many} pods.")
    browser.execute_script("window.isTheSamePage = true")
    end = f"Finished: {many} of {many} pods."
    wait_for_text(browser, "#userpods-run-summary", end, seconds=LONG * busy())
    assert browser.execute_script("return window.isTheSamePage")


def counts(site: OpenSite) -> str:
    """What is said of how many pods, in one line: on a confirmation and on the page of a run."""
    return " ".join(site.find(".userpods-counts").text.split())
