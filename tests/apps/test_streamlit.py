"""Streamlit in users' pods: its slider moves a text, and a file goes up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apps.conftest import Visitor

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
WAYS = ["host", "one", "path"]
TEXT = "[data-testid=stMarkdown]"


def test_the_slider_moves_its_text(alice: Visitor, bob: Visitor) -> None:
    for visitor in (alice, bob):
        visitor.open()
        visitor.wait_for("h1", text=f"{visitor.name}'s Streamlit")
        visitor.wait_for(TEXT, text="The square of 50 is 2500.")
        slider = visitor.browser.find_element(By.CSS_SELECTOR, "[data-testid=stSlider] input")
        slider.send_keys(Keys.ARROW_RIGHT)
        visitor.wait_for(TEXT, text="The square of 51 is 2601.")
    keep_picture(alice.browser, "streamlit")


def test_a_file_goes_up(alice: Visitor, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(5_000_000))
    alice.open()
    alice.wait_for(TEXT, text="The square of 50 is 2500.")
    alice.browser.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(large))
    alice.wait_for(TEXT, text="large.bin has 5000000 bytes.")
