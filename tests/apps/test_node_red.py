"""Node-RED in users' pods: its editor deploys a flow, and the flow answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.apps.conftest import Visitor

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
WAYS = ["host", "path"]
ANSWER = 'msg.payload = "six times seven is " + 6 * 7 + " for " + env.get("USERPODS_USER");'
FLOW: list[dict[str, Any]] = [
    {"id": "1", "type": "tab", "label": "Greeting"},
    {"id": "2", "z": "1", "type": "http in", "method": "get", "url": "/greeting", "wires": [["3"]]},
    {"id": "3", "z": "1", "type": "function", "func": f"{ANSWER} return msg;", "wires": [["4"]]},
    {"id": "4", "z": "1", "type": "http response"},
]
# Places of the nodes on the sheet.
for number, node in enumerate(FLOW[1:]):
    node.update(x=140 + 180 * number, y=80)


def notifications(browser: WebDriver) -> bool:
    """Whether one is shown: asked in one go, since they leave the page while one looks."""
    found = "[...document.querySelectorAll('.red-ui-notification')]"
    return bool(browser.execute_script(f"return {found}.some(shown => shown.offsetParent)"))


def test_a_flow_is_deployed_and_answers(alice: Visitor, bob: Visitor) -> None:
    for visitor in (alice, bob):
        visitor.open()
        visitor.wait_for(".red-ui-palette-node")
        import_it = ActionChains(visitor.browser)
        import_it.key_down(Keys.CONTROL).send_keys("i").key_up(Keys.CONTROL).perform()
        visitor.wait_for("#red-ui-clipboard-dialog-import-text").send_keys(json.dumps(FLOW))
        visitor.wait_for("#red-ui-clipboard-dialog-ok:not(.disabled)").click()
        visitor.wait_for("#red-ui-header-button-deploy:not(.disabled)").click()
        visitor.wait_for(".red-ui-notification", text="Successfully deployed")
        if visitor is alice:
            # They go away by themselves; until then they cover the tab.
            WebDriverWait(visitor.browser, 60).until_not(notifications)
            visitor.wait_for(".red-ui-tab", text="Greeting").click()
            keep_picture(visitor.browser, "node-red")
        visitor.open("greeting")
        visitor.wait_for("body", text=f"six times seven is 42 for {visitor.name}")
