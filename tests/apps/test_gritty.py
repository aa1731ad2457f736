"""A terminal in users' pods: a typed command is answered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from tests.apps.conftest import Visitor

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
# It is painted, so what it says can only be marked and copied.
COPY = """
const clipboard = new DataTransfer();
const copy = {clipboardData: clipboard, bubbles: true, cancelable: true};
document.querySelector(".xterm").dispatchEvent(new ClipboardEvent("copy", copy));
return clipboard.getData("text/plain");
"""


def copied(visitor: Visitor) -> str:
    """Mark the whole terminal with the mouse, and copy."""
    screen = visitor.wait_for(".xterm-screen")
    width, height = screen.size["width"], screen.size["height"]
    mouse = ActionChains(visitor.browser)
    mouse.move_to_element_with_offset(screen, 2 - width // 2, 5 - height // 2).click_and_hold()
    mouse.move_by_offset(width - 20, height - 20).release().perform()
    return str(visitor.script(COPY))


def wait_for(visitor: Visitor, text: str) -> None:
    """Wait until the terminal says something."""
    says = f"the terminal does not say {text!r}"
    WebDriverWait(visitor.browser, 60).until(lambda _: text in copied(visitor), says)


def test_a_typed_command_is_answered(alice: Visitor, bob: Visitor) -> None:
    for visitor in (alice, bob):
        visitor.open()
        wait_for(visitor, "$ " if os.geteuid() else "# ")
        keyboard = visitor.browser.find_element(By.CSS_SELECTOR, ".xterm-helper-textarea")
        keyboard.send_keys("echo six times seven is $((6*7)) for $USERPODS_USER", Keys.ENTER)
        wait_for(visitor, f"six times seven is 42 for {visitor.name}")
    keep_picture(alice.browser, "gritty")
