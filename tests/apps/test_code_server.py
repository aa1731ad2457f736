"""VS Code in users' pods: a terminal's file is seen, opened, changed and saved."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.apps.code_server import open_terminal, press_with_control
from tests.apps.conftest import START
from tests.apps.idling import wait_until
from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apps.conftest import Visitor
    from tests.browser.demos import Demo

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
FILES = ".explorer-folders-view"


def test_what_a_terminal_writes_is_edited_and_saved(
    demo: Demo, alice: Visitor, bob: Visitor
) -> None:
    for visitor in (alice, bob):
        file = demo.folder / f"site/pods/work/default/user-{visitor.name}/answer.txt"
        edit(visitor)
        wait_until(partial(is_saved, file), "it is saved")
        assert file.read_text() == f"Truly, six times seven is 42 for {visitor.name}\n"
    keep_picture(alice.browser, "code-server")


def is_saved(file: Path) -> bool:
    return file.read_text().startswith("Truly")


def edit(visitor: Visitor) -> None:
    visitor.open()
    visitor.wait_for(FILES, seconds=START)
    said = "six times seven is $((6*7)) for $USERPODS_USER"
    open_terminal(visitor).send_keys(f"echo {said} > answer.txt", Keys.ENTER)
    file = visitor.wait_for(f"{FILES} [aria-label^='answer.txt']")
    ActionChains(visitor.browser).double_click(file).perform()
    line = visitor.wait_for(".editor-instance .view-line", text="42")
    assert re.sub(r"\s", " ", line.text) == f"six times seven is 42 for {visitor.name}"
    line.click()
    press_with_control(visitor, Keys.HOME)
    ActionChains(visitor.browser).send_keys("Truly, ").perform()
    press_with_control(visitor, "s")
