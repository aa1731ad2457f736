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

from tests.browser.chromium import chromium, keep_picture, wait_for_text
from tests.browser.themed_site import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser

PODS = "/admin/userpods/userpod/"
#: With alice, bob, carol and boss these are 64, more than are done without typing how many.
MORE = 60
#: Maximum number of stops on the way to something.
FAR = 120
#: What has the focus: what it is called, whether it can be seen, and by what it shows the focus.
STOP = """
const found = document.activeElement;
const look = () => {
    const style = getComputedStyle(found);
    const names = ["backgroundColor", "borderColor", "boxShadow", "color"];
    return names.map((name) => style[name]).join();
};
const style = getComputedStyle(found);
const hasOutline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
const box = found.getBoundingClientRect();
const focused = look();
let changes = false;
if (!hasOutline) {
    found.blur();
    changes = look() !== focused;
    found.focus();
}
return {
    text: found.value && found.type !== "checkbox" && found.tagName === "INPUT"
        ? found.value : found.innerText.trim(),
    html: found.outerHTML.slice(0, 200),
    isPage: found === document.body,
    isIn: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
    ring: hasOutline || changes,
    isTrue: !found.matches("a[role=button]"),
};
"""


@dataclass
class Keyboard:
    """A browser of which nothing but the keys is used."""

    browser: WebDriver
    site: str
    database: Path

    def press(self, *keys: str) -> None:
        """Press some keys, one after the other, wherever the focus is."""
        ActionChains(self.browser).send_keys(*keys).perform()

    def goes(self, path: str) -> None:
        """Open a page, whose top is where Tab begins."""
        self.browser.get(self.site + path)

    def tabs_to(self, css: str, text: str = "", *, back: bool = False) -> None:
        """Go on by Tab to what is called so; hold that each stop can be seen to be one."""
        passed = []
        for _ in range(FAR):
            if back:
                keys = ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(Keys.TAB)
                keys.key_up(Keys.SHIFT).perform()
            else:
                self.press(Keys.TAB)
            stop: dict[str, Any] = self.browser.execute_script(STOP)
            if stop["isPage"]:
                continue
            assert stop["isIn"], f"the focus is out of sight: {stop['html']}"
            assert stop["ring"], f"nothing shows the focus: {stop['html']}"
            assert stop["isTrue"], f"Space does not press what is called a button: {stop['html']}"
            passed.append(stop["text"] or stop["html"])
            script = "return document.activeElement.matches(arguments[0])"
            if self.browser.execute_script(script, css) and text in {"", stop["text"]}:
                return
        raise AssertionError(f"Tab does not lead to {css} {text!r} but to {passed}")

    def sees(self, text: str, css: str = "body", *, seconds: float = 60) -> None:
        wait_for_text(self.browser, css, text, seconds=seconds)

    def asked(self, sql: str) -> list[Any]:
        """What the database says."""
        with closing(sqlite3.connect(self.database, timeout=30)) as database:
            return database.execute(sql).fetchall()


@pytest.fixture(scope="module")
def keyboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyboard]:
    folder = tmp_path_factory.mktemp("keyboard")
    with running("plain", folder, more=MORE) as (site, key), chromium(folder) as browser:
        browser.get(f"{site}/userpods/assets/css")
        browser.add_cookie({"name": "sessionid", "value": key})
        yield Keyboard(browser, site, folder / "db")


@pytest.mark.timeout(300)
def test_my_pods(keyboard: Keyboard) -> None:
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
    keyboard.sees("Nothing was deleted", "[role=alert]")
    # It may be on its way, and is followed on this page, too.
    keyboard.sees("running", "#pod-lab .state")
    keyboard.tabs_to("#pod-lab summary", "Delete")
    keyboard.press(Keys.ENTER)
    keyboard.tabs_to("#pod-lab input[name=typed]")
    keep_picture(keyboard.browser, "keyboard-delete")
    keyboard.press("lab", Keys.ENTER)
    keyboard.sees("You have 1 of 3")
    assert not keyboard.browser.find_elements(By.ID, "pod-lab")

    keyboard.tabs_to("#pod-main a", "Open")
    leads = keyboard.browser.switch_to.active_element.get_attribute("href")
    keyboard.press(Keys.ENTER)
    WebDriverWait(keyboard.browser, 30, 0.1).until(lambda browser: browser.current_url == leads)


def chooses(keyboard: Keyboard, value: str) -> None:
    """Choose among the list's actions by the arrows, and run it."""
    keyboard.tabs_to("select[name=action]", back=True)
    script = "return document.activeElement.value"
    for _ in range(20):
        if keyboard.browser.execute_script(script) == value:
            break
        keyboard.press(Keys.ARROW_DOWN)
    assert keyboard.browser.execute_script(script) == value
    keyboard.tabs_to(".actions button")
    keyboard.press(Keys.ENTER)


@pytest.mark.timeout(400)
def test_more_than_fifty_at_once(keyboard: Keyboard) -> None:
    for turn in ("back", "on"):
        keyboard.goes(PODS)
        keyboard.tabs_to("#action-toggle")
        keyboard.press(Keys.SPACE)
        chooses(keyboard, "userpods_stop")
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
