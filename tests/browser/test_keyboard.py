"""My pods and the admin's bulk runs with the keyboard alone, in real Chromium.

Nothing is clicked on and nothing is focused by the driver: what is reached is reached by Tab, and
each stop on the way shows that it is one.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium, keep_picture
from tests.browser.keyboard import Keyboard
from tests.browser.themed_site import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser

PODS = "/admin/userpods/userpod/"
#: With alice, bob, carol and boss these are 64, more than are done without typing how many.
MORE = 60


@dataclass
class AtPlainSite(Keyboard):
    """A browser by its keys at a site whose database is a file."""

    database: Path

    def asked(self, sql: str) -> list[Any]:
        """What the database says."""
        with closing(sqlite3.connect(self.database, timeout=30)) as database:
            return database.execute(sql).fetchall()


@pytest.fixture(scope="module")
def keyboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtPlainSite]:
    folder = tmp_path_factory.mktemp("keyboard")
    with running("plain", folder, more=MORE) as (site, key), chromium(folder) as browser:
        browser.get(f"{site}/userpods/assets/css")
        browser.add_cookie({"name": "sessionid", "value": key})
        yield AtPlainSite(browser, site, folder / "db")


@pytest.mark.timeout(300)
def test_my_pods(keyboard: AtPlainSite) -> None:
    keyboard.goes("/userpods/")
    keyboard.sees("running", "#pod-main .state")
    keyboard.tabs_to("#pod-main button", "Stop")
    keep_picture(keyboard.browser, "keyboard-stop")
    keyboard.press(Keys.SPACE)
    keyboard.sees("stopped", "#pod-main .state")
    keyboard.tabs_to("#pod-main button", "Start")
    keyboard.press(Keys.ENTER)
    keyboard.sees("running", "#pod-main .state")
    asked = "SELECT restarted_at FROM userpods_userpod WHERE name = 'user-boss' AND slot = ''"
    assert keyboard.asked(asked) == [(None,)]
    keyboard.tabs_to("#pod-main button", "Restart")
    keyboard.press(Keys.ENTER)
    WebDriverWait(keyboard.browser, 30, 0.2).until(lambda _: keyboard.asked(asked) != [(None,)])

    keyboard.goes("/userpods/")
    keyboard.tabs_to("#userpods-slot")
    keyboard.press("lab", Keys.ENTER)
    keyboard.sees("running", "#pod-lab .state")
    keyboard.tabs_to("#pod-lab summary", "Delete")
    keyboard.press(Keys.SPACE)
    keyboard.tabs_to("#pod-lab input[name=typed]")
    keyboard.press("main")
    keyboard.tabs_to("#pod-lab button", "Delete lab")
    keyboard.press(Keys.ENTER)
    keyboard.sees("Nothing was deleted", "#pod-lab .error")
    # It may be on its way, and is followed on this page, too.
    keyboard.sees("running", "#pod-lab .state")
    # The field that is wrong has the focus, with what was typed.
    keep_picture(keyboard.browser, "keyboard-delete")
    script = "return document.activeElement.matches('#pod-lab input[name=typed]')"
    assert keyboard.browser.execute_script(script)
    marks = ActionChains(keyboard.browser).key_down(Keys.CONTROL).send_keys("a")
    marks.key_up(Keys.CONTROL).perform()
    keyboard.press("lab", Keys.ENTER)
    keyboard.sees("You have 1 of 3")
    assert not keyboard.browser.find_elements(By.ID, "pod-lab")

    keyboard.tabs_to("#pod-main a", "Open")
    leads = keyboard.browser.switch_to.active_element.get_attribute("href")
    keyboard.press(Keys.ENTER)
    WebDriverWait(keyboard.browser, 30, 0.1).until(lambda browser: browser.current_url == leads)


@pytest.mark.timeout(400)
def test_more_than_fifty_at_once(keyboard: AtPlainSite) -> None:
    for turn in ("back", "on"):
        keyboard.goes(PODS)
        keyboard.tabs_to("#action-toggle")
        keyboard.press(Keys.SPACE)
        keyboard.chooses("userpods_stop")
        keyboard.sees("Stop 64 pods?", "h1")
        if turn == "back":
            keyboard.tabs_to(".userpods-buttons a", "No, take me back")
            keep_picture(keyboard.browser, "keyboard-back")
            keyboard.press(Keys.ENTER)
            keyboard.sees("user-boss", "#result_list")
    keyboard.tabs_to("#userpods-typed")
    keyboard.press("46", Keys.ENTER)
    keyboard.sees("That is not the right number.", "[role=alert]")
    keyboard.tabs_to("#userpods-typed")
    keep_picture(keyboard.browser, "keyboard-typed")
    keyboard.press("64")
    keyboard.tabs_to(".userpods-buttons button", "Stop 64 pods")
    keep_picture(keyboard.browser, "keyboard-confirm")
    keyboard.press(Keys.SPACE)
    keyboard.sees("Finished: 64 of 64 pods.", "#userpods-run-summary", seconds=180)
    assert keyboard.asked("SELECT DISTINCT wanted FROM userpods_userpod") == [("stopped",)]
    keyboard.tabs_to(".userpods-buttons a", "All user pods")
    keep_picture(keyboard.browser, "keyboard-bulk")
    keyboard.press(Keys.ENTER)
    keyboard.sees("stopped", "#result_list")
