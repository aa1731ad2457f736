"""The demo, whose pods are real processes behind the real router, and people's browsers at it."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium, press_one, sign_in, wait_for_text
from tests.browser.demos import Demo, end, started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver

_WORKLOAD = Path(__file__).parents[1] / "router" / "workload.py"
#: Says as JSON whose it is, of which flavour (``FLAVOUR``), and what it was asked. Has WebSockets.
COMMAND = (
    f"exec {shlex.quote(sys.executable)} {shlex.quote(str(_WORKLOAD))}"
    ' --name "$USERPODS_USER $FLAVOUR" --port "$PORT"'
)


@contextmanager
def telling_demo(folder: Path) -> Iterator[Demo]:
    """A demo whose pods tell what they are asked."""
    demo = started(folder, DEMO_COMMAND=COMMAND)
    try:
        yield demo
    finally:
        end(demo)


@dataclass
class Person:
    """Somebody who is signed in at a demo, in a browser of their own."""

    name: str
    demo: Demo
    browser: WebDriver

    def goes(self, path: str) -> None:
        """Open a page of the site."""
        self.browser.get(self.demo.site + path)

    def sees(self, text: str, css: str = "body", *, seconds: float = 30) -> None:
        """Wait until the page says something."""
        wait_for_text(self.browser, css, text, seconds=seconds)

    def fills(self, name: str, text: str) -> None:
        """Write into a field in place of what is there."""
        field = self.browser.find_element(By.NAME, name)
        field.clear()
        field.send_keys(text)

    def presses(self, text: str, *, within: str = "body") -> None:
        """Click on the one button or link that is called so, once it is there."""
        press_one(self.browser, f"{within} :is(button, summary, a, input[type=submit])", text)

    def is_told(self, path: str = "", *, of: str = "") -> dict[str, Any]:
        """Open a pod, by default their own, and return what it says when it answers."""
        self.browser.get(self.demo.pods[of or self.name] + path)
        told: dict[str, Any] = {}

        def answers(browser: WebDriver) -> bool:
            try:
                told.update(json.loads(browser.find_element(By.TAG_NAME, "body").text))
            except (ValueError, WebDriverException):
                return False
            return True

        WebDriverWait(self.browser, 60, 0.2).until(answers, f"{self.browser.current_url}")
        return told


@contextmanager
def person(name: str, demo: Demo, folder: Path) -> Iterator[Person]:
    """Somebody who has just signed in."""
    with chromium(folder / name) as browser:
        browser.get(f"{demo.site}/accounts/login/?next=/accounts/")
        sign_in(browser, name, demo.passwords[name])
        wait_for_text(browser, "body", name)
        yield Person(name, demo, browser)
