"""marimo in users' pods: a cell of a new notebook runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from tests.apps.conftest import Visitor

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
WAYS = ["host", "path"]


def test_a_cell_runs_and_its_output_appears(alice: Visitor, bob: Visitor) -> None:
    source = 'import os; print("six times seven is", 6 * 7, "for", os.environ["USERPODS_USER"])'
    for visitor in (alice, bob):
        visitor.open("?file=__new__")
        visitor.wait_for(".cm-content").click()
        keys = ActionChains(visitor.browser).send_keys(source)
        keys.key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
        told = f"six times seven is 42 for {visitor.name}"
        visitor.wait_for("[data-testid=console-output-area]", text=told)
    keep_picture(alice.browser, "marimo")
