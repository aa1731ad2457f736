"""A terminal in users' pods: it answers what its user types, and no page of another origin."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from tests.apps.conftest import Visitor
    from tests.browser.demos import Demo

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


def shell_asked_for_by(alice: Visitor, origin: str) -> int:
    """Open the terminal's WebSocket as a page of an origin would; the status of the answer."""
    url = urlsplit(alice.url)
    cookies = (f"{each['name']}={each['value']}" for each in alice.browser.get_cookies())
    try:
        with connect(
            f"ws://{url.netloc}/socket.io/?EIO=4&transport=websocket",
            sock=socket.create_connection(("127.0.0.1", url.port or 80)),
            origin=Origin(origin),
            additional_headers={"Cookie": "; ".join(cookies)},
        ):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def test_no_page_of_another_origin_gets_a_shell(demo: Demo, alice: Visitor) -> None:
    alice.open()
    assert shell_asked_for_by(alice, alice.url.rstrip("/")) == 101
    assert shell_asked_for_by(alice, demo.pods["bob"].rstrip("/")) == 401
    assert shell_asked_for_by(alice, "https://evil.example") == 401
