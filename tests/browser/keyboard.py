"""Chromium of which nothing but the keyboard is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import wait_for_text

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

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
    // (The headings of columns are Django's own.)
    isTrue: !found.matches("a[role=button]") || found.closest("thead") !== null,
};
"""


@dataclass
class Keyboard:
    """A browser of which nothing but the keys is used."""

    browser: WebDriver
    site: str

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

    def chooses(self, value: str) -> None:
        """Choose among the actions of an admin list by the arrows, and run it."""
        self.tabs_to("select[name=action]", back=True)
        script = "return document.activeElement.value"
        for _ in range(20):
            if self.browser.execute_script(script) == value:
                break
            self.press(Keys.ARROW_DOWN)
        assert self.browser.execute_script(script) == value
        self.tabs_to(".actions button")
        self.press(Keys.ENTER)
