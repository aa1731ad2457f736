"""``DEMO_IDLE=30 make demo APP=jupyterlab``: who is stopped, and what a click brings back.

alice's cell runs in silence until the test lets it go on, when bob, who left a tab open and does
nothing, was stopped.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.apps.conftest import START, visit
from tests.apps.idling import idling, state, stops, wait_until
from tests.apps.jupyterlab import home, run_cell, start_next_cell
from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.apps.conftest import Visitor
    from tests.browser.demos import Demo

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
#: Seconds: enough between two steps of a person on a machine that is busy.
IDLE = 30
# In one line, because the editor indents by itself.
WAITS = (
    'import os, time; [time.sleep(0.1) for _ in iter(lambda: os.path.exists("go"), True)];'
    ' print("it went", "on")'
)
# Which of the questions that the page has asked since then were answered how: 503 of a stopped pod.
ASKED = """
return performance.getEntriesByType("resource")
  .filter(entry => new URL(entry.name).pathname.startsWith("/api/"))
  .map(entry => entry.responseStatus);
"""


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Demo]:
    """One of the test's own: ``demo`` is each module's, without a timeout."""
    with idling(tmp_path, "jupyterlab", IDLE) as demo:
        yield demo


def save_notebook(demo: Demo, visitor: Visitor, source: str, output: str) -> None:
    """Run a cell in a new notebook, and save that under the name that it has."""
    notebook = home(demo, visitor.name) / "Untitled.ipynb"
    # Up to here it may have been stopped for want of a visitor, and starts.
    visitor.open("lab?reset")
    visitor.wait_for(".jp-LauncherCard", seconds=START)
    run_cell(visitor, source)
    visitor.wait_for(".jp-OutputArea-output", text=output)
    ActionChains(visitor.browser).key_down(Keys.CONTROL).send_keys("s").key_up(
        Keys.CONTROL
    ).perform()
    # It asks whether its name is to be another one.
    visitor.wait_for(".jp-Dialog .jp-mod-accept").click()
    wait_until(lambda: output in notebook.read_text(), "the notebook is saved")


def test_an_open_tab_keeps_no_pod_awake_a_running_cell_does_and_a_click_wakes_it(
    short: Demo, tmp_path: Path
) -> None:
    demo, signed_in = short, contextmanager(visit)
    with (
        signed_in(demo, "alice", tmp_path / "alice") as alice,
        signed_in(demo, "bob", tmp_path / "bob") as bob,
    ):
        save_notebook(demo, alice, "print('alice has', 6 * 7)", "alice has 42")
        start_next_cell(alice, WAITS)
        save_notebook(demo, bob, "print('bob has', 6 * 7)", "bob has 42")
        bob.script("performance.clearResourceTimings()")
        wait_until(lambda: state(demo, "bob") == "stopped", "bob's pod is stopped")
        assert stops(demo, "bob")[-1] == "idle rule"
        assert 200 in bob.script(ASKED), "while the tab went on to ask"
        wait_until(lambda: 503 in bob.script(ASKED), "the tab asks for more")
        assert state(demo, "bob") == "stopped", "which starts nothing"
        keep_picture(bob.browser, "jupyterlab-stopped")

        assert state(demo, "alice") == "ready"
        (home(demo, "alice") / "go").touch()
        alice.wait_for(".jp-OutputArea-output", text="it went on")

        bob.browser.get(f"{demo.site}/accounts/")
        bob.browser.find_element(By.LINK_TEXT, "Open your pod").click()
        bob.wait_for(".jp-DirListing-item", text="Untitled.ipynb", seconds=START)
        bob.open("lab/tree/Untitled.ipynb")
        bob.wait_for(".jp-OutputArea-output", text="bob has 42")
