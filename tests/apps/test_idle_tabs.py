"""``DEMO_IDLE=30 make demo APP=...``: a tab that somebody forgot keeps no pod awake, work does.

bob opens the application, waits until it is there, and does nothing more. alice does, now and
then, what people do in hers. Once bob's pod is stopped his tab goes on to ask for it, which starts
nothing; he himself does. (JupyterLab has a test of its own.)
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import demo_apps
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.apps.code_server import open_terminal
from tests.apps.conftest import START, visit
from tests.apps.idling import GONE, idling, state, stops
from tests.browser.chromium import keep_picture
from tests.testcluster import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.apps.conftest import Visitor

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
#: Seconds without use; and those for which a tab of a stopped pod is looked at.
IDLE, LONGER = 30, 15


#: What a page has asked for since ``performance.clearResourceTimings()``, and how it was answered.
ASKED = """
return performance.getEntriesByType("resource")
  .map(entry => `${entry.responseStatus} ${new URL(entry.name).pathname}`);
"""


def press(visitor: Visitor, *keys: str) -> None:
    ActionChains(visitor.browser).send_keys(*keys).perform()


def move_slider(visitor: Visitor) -> None:
    slider = visitor.browser.find_element(By.CSS_SELECTOR, "[data-testid=stSlider] input")
    slider.send_keys(Keys.ARROW_RIGHT)


def run_cell(visitor: Visitor) -> None:
    visitor.wait_for(".cm-content").click()
    press(visitor, "1;")
    keys = ActionChains(visitor.browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER)
    keys.key_up(Keys.CONTROL).perform()


def ask_for_a_count(visitor: Visitor) -> None:
    visitor.wait_for("button", text="Count").click()


def reload_page(visitor: Visitor) -> None:
    visitor.open()


def type_a_command(visitor: Visitor) -> None:
    keyboard = visitor.browser.find_element(By.CSS_SELECTOR, ".xterm-helper-textarea")
    keyboard.send_keys("seq 500", Keys.ENTER)


def type_a_command_in_code(visitor: Visitor) -> None:
    open_terminal(visitor)
    keyboard = visitor.browser.find_element(By.CSS_SELECTOR, ".terminal .xterm-helper-textarea")
    keyboard.send_keys("seq 500", Keys.ENTER)


@dataclass(frozen=True)
class Case:
    """An application: where it is opened, what shows that it is there, and what people do in it."""

    path: str
    there: str
    use: Callable[[Visitor], None]


CASES = {
    "streamlit": Case("", "[data-testid=stMarkdown]", move_slider),
    "marimo": Case("?file=__new__", ".cm-content", run_cell),
    "gradio": Case("", "textarea", ask_for_a_count),
    "node-red": Case("", ".red-ui-palette-node", reload_page),
    "gritty": Case("", ".xterm-screen", type_a_command),
    "code-server": Case("", ".explorer-folders-view", type_a_command_in_code),
    "tensorboard": Case("", "tb-webapp", reload_page),
    "django": Case("", "form button", reload_page),
}


@pytest.mark.parametrize("app", sorted(CASES))
def test_an_open_tab_keeps_no_pod_awake_and_work_does(app: str, tmp_path: Path) -> None:
    case, signed_in = CASES[app], contextmanager(visit)
    try:
        demo_apps.installed(demo_apps.load(app), build.cache_dir() / "apps")
    except demo_apps.OtherVersionNeededError as error:
        pytest.skip(str(error))
    with (
        idling(tmp_path, app, IDLE) as demo,
        signed_in(demo, "alice", tmp_path / "alice") as alice,
        signed_in(demo, "bob", tmp_path / "bob") as bob,
    ):
        for visitor in (bob, alice):
            visitor.open(case.path)
            visitor.wait_for(case.there, seconds=START)
        # Until here either may have been stopped for want of a visitor.
        before = {name: len(stops(demo, name)) for name in ("alice", "bob")}
        bob.script("performance.clearResourceTimings()")
        deadline = time.monotonic() + GONE
        while state(demo, "bob") != "stopped":
            assert time.monotonic() < deadline, "bob's pod is stopped"
            case.use(alice)
            assert state(demo, "alice") == "ready"
            time.sleep(IDLE / 6)
        assert stops(demo, "bob")[before["bob"] :] == ["idle rule"], bob.script(ASKED)
        assert stops(demo, "alice")[before["alice"] :] == []

        until = time.monotonic() + LONGER
        while time.monotonic() < until:
            assert state(demo, "bob") == "stopped", f"started by one of {bob.script(ASKED)}"
            time.sleep(1)
        keep_picture(bob.browser, f"{app}-stopped")
        bob.open(case.path)
        bob.wait_for(case.there, seconds=START)
