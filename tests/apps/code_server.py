"""What people do in code-server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

    from tests.apps.conftest import Visitor

KEYBOARD = ".terminal .xterm-helper-textarea"


def press_with_control(visitor: Visitor, key: str) -> None:
    keys = ActionChains(visitor.browser).key_down(Keys.CONTROL).send_keys(key)
    keys.key_up(Keys.CONTROL).perform()


def open_terminal(visitor: Visitor) -> WebElement:
    """Open a terminal unless there is one; return what takes its keys."""
    if not visitor.browser.find_elements(By.CSS_SELECTOR, KEYBOARD):
        press_with_control(visitor, "`")
        visitor.wait_for(".terminal .xterm-screen")
    return visitor.browser.find_element(By.CSS_SELECTOR, KEYBOARD)
