"""Gradio in users' pods: an answer comes piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.apps.conftest import Visitor

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
WAYS = ["host", "path"]


def test_an_answer_comes_piece_by_piece(alice: Visitor, bob: Visitor) -> None:
    for visitor in (alice, bob):
        visitor.open()
        visitor.wait_for("h1", text=f"{visitor.name}'s Gradio")
        visitor.wait_for("button", text="Count").click()
        seen: list[str] = []

        def complete(browser: WebDriver, seen: list[str] = seen) -> bool:
            seen.append(browser.execute_script("return document.querySelector('textarea').value"))
            return seen[-1].split() == [str(number) for number in range(1, 31)]

        WebDriverWait(visitor.browser, 60, 0.1).until(complete, "it does not count to 30")
        pieces = set(seen) - {""}
        assert len(pieces) > 3, f"all at once: {pieces}"
    keep_picture(alice.browser, "gradio")
