"""Our pages of the admin under the themes that people wear, in real Chromium."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium, keep_pictures, wait_for_text
from tests.browser.themed_site import THEMES, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser

PODS, TOKENS = "/admin/userpods/userpod/", "/admin/userpods/accesstoken/"


@dataclass
class Themed:
    theme: str
    site: str
    browser: WebDriver
    pods: list[str]

    def get(self, path: str) -> None:
        self.browser.get(self.site + path)

    def post(self, path: str, *fields: tuple[str, str]) -> None:
        """Send a form as the page that is shown would, however its theme draws it."""
        before = self.browser.find_element(By.TAG_NAME, "html")
        self.browser.execute_script(
            """
            const form = document.createElement("form");
            form.method = "post";
            form.action = arguments[0];
            const token = ["csrfmiddlewaretoken", document.cookie.match(/csrftoken=(\\w+)/)[1]];
            for (const [name, value] of [token, ...arguments[1]]) {
                const field = document.createElement("input");
                [field.type, field.name, field.value] = ["hidden", name, value];
                form.append(field);
            }
            document.body.append(form);
            form.submit();
            """,
            path,
            fields,
        )
        WebDriverWait(self.browser, 15, 0.1).until(
            lambda browser: (
                browser.find_element(By.TAG_NAME, "html") != before
                and browser.execute_script("return document.readyState") == "complete"
            )
        )

    def seen(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "body").text


@pytest.fixture(scope="module", params=THEMES)
def themed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Themed]:
    """A site whose admin wears a theme, and the browser of somebody who may do everything there."""
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder) as (site, key), chromium(folder) as browser:
        with closing(sqlite3.connect(folder / "db")) as database:
            pods = [pk for (pk,) in database.execute("SELECT id FROM userpods_userpod")]
        found = Themed(request.param, site, browser, pods)
        found.get("/static/userpods/admin.css")
        browser.add_cookie({"name": "sessionid", "value": key})
        yield found


def looks_like_a_button(themed: Themed, text: str) -> bool:
    """Tell whether something with this text is as large as a button, and drawn as one."""
    found = themed.browser.find_element(By.XPATH, f"//*[normalize-space(text())='{text}']")
    border = found.value_of_css_property("border-top-style")
    colour = found.value_of_css_property("background-color").replace(" ", "")
    is_drawn = border == "solid" and (
        colour != "rgba(0,0,0,0)" or found.value_of_css_property("border-top-color") != colour
    )
    return is_drawn and found.size["height"] >= 24 and found.size["width"] >= 40


def test_a_confirmation_asks_its_own_question(themed: Themed) -> None:
    themed.get(PODS)
    keep_pictures(themed.browser, f"{themed.theme}-list")
    boxes = [("_selected_action", pk) for pk in themed.pods]
    themed.post(PODS, ("action", "userpods_stop"), ("index", "0"), *boxes)
    keep_pictures(themed.browser, f"{themed.theme}-confirm")

    assert [
        h1.text for h1 in themed.browser.find_elements(By.CSS_SELECTOR, "#content-main h1")
    ] == ["Stop 4 pods?"]
    assert themed.browser.title.startswith("Stop 4 pods?")
    assert "Delete" not in themed.seen()
    assert "is cut off" in themed.seen()
    assert looks_like_a_button(themed, "Stop 4 pods")
    assert looks_like_a_button(themed, "No, take me back")

    themed.browser.find_element(By.CSS_SELECTOR, "#content-main button[type=submit]").click()
    wait_for_text(themed.browser, "body", "Stopped 4 pods.")


def test_a_pods_page_has_its_buttons(themed: Themed) -> None:
    themed.get(f"{PODS}{themed.pods[0]}/change/")
    keep_pictures(themed.browser, f"{themed.theme}-pod")
    for text in ("Sync", "Start", "Stop", "Restart", "Delete and recreate"):
        assert looks_like_a_button(themed, text)


def test_a_token_is_shown_once_under_its_own_title(themed: Themed) -> None:
    themed.get(f"{TOKENS}add/")
    keep_pictures(themed.browser, f"{themed.theme}-token-add")
    for name in ("label", "expires_at_0", "expires_at_1"):
        field = themed.browser.find_element(By.NAME, name)
        assert field.accessible_name, f"{name} has a label"
        assert field.value_of_css_property("border-top-style") == "solid", f"{name} can be seen"
    box = themed.browser.find_element(By.CLASS_NAME, "select2-selection")
    assert box.value_of_css_property("border-top-style") == "solid", "whose it is can be chosen"
    about = ("user", "1"), ("label", "laptop"), ("scope", "reach")
    themed.post(f"{TOKENS}add/", *about, ("_save", "Save"))
    keep_pictures(themed.browser, f"{themed.theme}-issued")

    assert themed.browser.title.startswith("Copy the token now")
    assert "Delete" not in themed.seen()
    assert re.search(r"Authorization: Bearer upt_\S+", themed.seen())
    assert looks_like_a_button(themed, "Copy")
    assert looks_like_a_button(themed, "I have copied it")
    themed.get(f"{TOKENS}1/change/")
    keep_pictures(themed.browser, f"{themed.theme}-token")
    assert looks_like_a_button(themed, "Revoke")
