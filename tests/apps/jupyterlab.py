"""What is done in JupyterLab by hand, in a real browser."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.real.matrix import busy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apps.conftest import Visitor
    from tests.browser.demos import Demo


def home(demo: Demo, name: str) -> Path:
    """Where the files of somebody's pod are on this machine."""
    return demo.folder / "site" / "pods" / "work" / "default" / f"user-{name}"


def press(visitor: Visitor, *keys: str) -> None:
    """Type into whatever has the focus."""
    ActionChains(visitor.browser).send_keys(*keys).perform()


def open_new(visitor: Visitor, what: str) -> None:
    """Go to JupyterLab, with no tabs of before, and open something new by its card."""
    visitor.open("lab?reset")
    visitor.wait_for(f".jp-LauncherCard[title*={what!r}]").click()


def run_cell(visitor: Visitor, source: str) -> None:
    """Type a cell into a new notebook and run it, as a person does.

    JupyterLab replaces a new notebook's first connection to its kernel and forgets what was run
    until then, also where no router is between. So the cell is run until it has a number.
    """
    open_new(visitor, "ipykernel")
    visitor.wait_for(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    visitor.wait_for(".jp-Notebook .cm-content").click()
    press(visitor, source)
    for _ in range(10):
        run_selected(visitor)
        with suppress(TimeoutException):
            visitor.wait_for(".jp-Cell:first-child .jp-InputPrompt", text="[1]", seconds=6 * busy())
            return
        visitor.wait_for(".jp-Notebook .cm-content").click()
    pytest.fail("the cell is not run")


def start_next_cell(visitor: Visitor, source: str) -> None:
    """Type a cell below the last that was run, and see it begin."""
    visitor.wait_for(".jp-Notebook .jp-Cell:last-child .cm-content").click()
    press(visitor, source)
    run_selected(visitor)
    visitor.wait_for(".jp-InputPrompt", text="[*]")


def run_selected(visitor: Visitor) -> None:
    """Run the selected cell, by Shift and Enter."""
    ActionChains(visitor.browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).perform()
    ActionChains(visitor.browser).key_up(Keys.SHIFT).perform()
