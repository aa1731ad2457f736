"""JupyterLab in users' pods: a cell, a large file both ways, a terminal."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.apps.jupyterlab import home, open_new, press, run_cell
from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apps.conftest import Visitor
    from tests.browser.demos import Demo

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
WAYS = ["host", "one", "path"]
LARGE = 30_000_000  # bytes
# A chooser of files is the desktop's; this puts the field that asks for it into the page instead.
SHOW_CHOOSER = """
HTMLInputElement.prototype.click = function () {
  this.id = "chooser";
  document.body.append(this);
};
"""
# Else a terminal is painted, and nobody can read it but a person.
SCREEN_READER = ".jupyter/lab/user-settings/@jupyterlab/terminal-extension"


def test_a_cell_runs_and_its_output_appears(alice: Visitor, bob: Visitor) -> None:
    say = 'import os; print("six times seven is", 6 * 7, "for", os.environ["USERPODS_USER"])'
    for visitor in (alice, bob):
        run_cell(visitor, say)
        told = f"six times seven is 42 for {visitor.name}"
        visitor.wait_for(".jp-OutputArea-output", text=told)
    keep_picture(alice.browser, "jupyterlab")


def test_a_file_of_30_mb_goes_up_and_comes_down(demo: Demo, alice: Visitor, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(LARGE))
    alice.open("lab?reset")
    alice.wait_for(".jp-LauncherCard")
    alice.script(SHOW_CHOOSER)
    alice.wait_for("jp-button[title='Upload Files']").click()
    alice.browser.find_element(By.ID, "chooser").send_keys(str(large))
    # It asks whether one is sure, of so large a file.
    alice.wait_for(".jp-Dialog .jp-mod-accept").click()
    arrived = home(demo, "alice") / "large.bin"
    wait_for_size(arrived)
    assert arrived.read_bytes() == large.read_bytes()
    item = alice.wait_for(".jp-DirListing-item", text="large.bin")
    ActionChains(alice.browser).context_click(item).perform()
    alice.wait_for(".lm-Menu [data-command='filebrowser:download']").click()
    came = alice.downloads / "large.bin"
    wait_for_size(came)
    assert came.read_bytes() == large.read_bytes()


def wait_for_size(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or path.stat().st_size < LARGE:
        assert time.monotonic() < deadline, f"{path} is not there, or not whole"
        time.sleep(0.2)


def test_a_terminal_answers(demo: Demo, alice: Visitor) -> None:
    settings = home(demo, "alice") / SCREEN_READER
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "plugin.jupyterlab-settings").write_text('{"screenReaderMode": true}')
    open_new(alice, "terminal")
    alice.wait_for(".jp-Terminal .xterm").click()
    press(alice, "echo six times seven is $((6*7))", Keys.ENTER)
    alice.wait_for(".xterm-accessibility-tree", text="six times seven is 42")
