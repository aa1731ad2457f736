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
from tests.browser.screenshots import STILL
from tests.browser.themed_site import THEMES, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser

PODS, TOKENS, PROFILES, SHARES = (
    f"/admin/userpods/{name}/" for name in ("userpod", "accesstoken", "profile", "share")
)


@dataclass
class Themed:
    theme: str
    site: str
    browser: WebDriver
    #: The ids of pods by their names, and those of the one profile, share and bulk run.
    pods: dict[str, str]
    profile: int
    share: int
    bulk: str

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
    with running(request.param, folder, edited=True) as (site, key), chromium(folder) as browser:
        with closing(sqlite3.connect(folder / "db")) as database:
            pods = dict(database.execute("SELECT name, id FROM userpods_userpod"))
            ids = [
                database.execute(f"SELECT id FROM userpods_{table}").fetchone()[0]  # noqa: S608
                for table in ("profile", "share", "bulkrun")
            ]
        found = Themed(request.param, site, browser, pods, *ids)
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


def test_a_pods_page_has_its_buttons(themed: Themed) -> None:
    themed.get(f"{PODS}{themed.pods['user-alice']}/change/")
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


def can_be_read(themed: Themed, css: str) -> bool:
    """Tell whether a text stands out from what is behind it, in the light and in the dark."""
    themed.browser.execute_script(STILL)
    for theme in ("dark", "light"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        themed.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        found = themed.browser.execute_script(CONTRAST, css)
        if found < 4.5:
            print(f"{themed.theme}, {theme}: {css} has a contrast of {found:.1f}")
            return False
    return True


#: The contrast of a text's colour with what is behind it, as WCAG computes it.
CONTRAST = """
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const pixel = canvas.getContext("2d", {willReadFrequently: true});
const layers = [];
const found = document.querySelector(arguments[0]);
for (let at = found; at; at = at.parentElement) {
    layers.unshift(getComputedStyle(at).backgroundColor);
}
function drawn(...colours) {
    for (const colour of colours) {
        pixel.fillStyle = colour;
        pixel.fillRect(0, 0, 1, 1);
    }
    const light = [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3)
        .map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
}
const below = drawn("white", ...layers);
const text = drawn("white", ...layers, getComputedStyle(found).color);
return (Math.max(below, text) + 0.05) / (Math.min(below, text) + 0.05);
"""


def is_ours(themed: Themed, title: str) -> None:
    """Hold a page of ours to its title, once in the tab and once on it, within the window."""
    assert themed.browser.title.startswith(title)
    headings = themed.browser.find_elements(By.CSS_SELECTOR, "#content-main h1")
    assert [found.text for found in headings] == [title]
    assert can_be_read(themed, "#content-main h1")
    fits(themed)


def fits(themed: Themed) -> None:
    """Hold a page to the width of the window, wide and narrow."""
    # django-grappelli has pages for wide windows alone.
    for width in (1280,) if themed.theme == "grappelli" else (1280, 390):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        themed.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wide = themed.browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{themed.theme}: {wide} pixels at {width}"
    themed.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_pods_pages_lead_to_each_other(themed: Themed) -> None:
    pod = f"{PODS}{themed.pods['user-bob']}/"
    for page, label in (
        ("change", "Overview"),
        ("events", "Events"),
        ("logs", "Logs"),
        ("comparison", "Should be / is"),
        ("history", "History"),
    ):
        themed.get(f"{pod}{page}/")
        keep_pictures(themed.browser, f"{themed.theme}-{page}")
        tabs = themed.browser.find_elements(By.CSS_SELECTOR, ".userpods-tabs a")
        assert [tab.text for tab in tabs] == [
            "Overview",
            "Events",
            "Logs",
            "Should be / is",
            "History",
        ]
        assert len({tab.location["y"] for tab in tabs}) == 1, "side by side"
        current = ".userpods-tabs a[aria-current]"
        now = themed.browser.find_element(By.CSS_SELECTOR, current)
        assert now.text == label
        assert now.value_of_css_property("border-bottom-style") == "solid"
        assert can_be_read(themed, current)
        fits(themed)
        if page not in {"change", "history"}:
            is_ours(themed, f"user-bob: {label}")
            assert looks_like_a_button(themed, "Refresh")


def test_the_overview_leads_to_what_it_counts(themed: Themed) -> None:
    themed.get("/admin/userpods/")
    keep_pictures(themed.browser, f"{themed.theme}-app")
    themed.browser.find_element(By.LINK_TEXT, "Overview").click()
    keep_pictures(themed.browser, f"{themed.theme}-overview")

    is_ours(themed, "Overview")
    assert can_be_read(themed, ".userpods-state.userpods-failed")
    assert can_be_read(themed, ".userpods-facts dd")
    assert "The rollout of the changed template was stopped" in themed.seen()
    themed.browser.find_element(By.CSS_SELECTOR, "a:has(.userpods-failed)").click()
    rows = themed.browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")
    assert [row.text.split()[0] for row in rows] == ["user-bob"]


def test_a_profile_is_chosen_for_pods(themed: Themed) -> None:
    boxes = [("_selected_action", themed.pods["user-alice"])]
    themed.get(PODS)
    themed.post(PODS, ("action", "choose_profile"), ("index", "0"), *boxes)
    keep_pictures(themed.browser, f"{themed.theme}-choose")

    is_ours(themed, "Choose a profile for 1 pod")
    # The admin's own list of models has ids as well.
    box = themed.browser.find_element(By.NAME, "profile")
    assert box.accessible_name == "Profile"
    assert box.value_of_css_property("border-top-style") == "solid", "it can be seen"
    assert [found.text for found in box.find_elements(By.TAG_NAME, "option")] == ["Standard", "GPU"]
    assert can_be_read(themed, ".userpods-page select")
    assert looks_like_a_button(themed, "Choose")
    assert looks_like_a_button(themed, "No, take me back")


def test_going_on_with_a_rollout_is_asked_first(themed: Themed) -> None:
    themed.get(PODS)
    assert looks_like_a_button(themed, "Resume the rollout")
    themed.get(f"{PODS}resume-rollout/")
    keep_pictures(themed.browser, f"{themed.theme}-resume")

    is_ours(themed, "Resume the rollout?")
    assert looks_like_a_button(themed, "Resume the rollout")
    assert looks_like_a_button(themed, "No, take me back")


def test_a_bulk_run_shows_what_failed_and_tries_it_again(themed: Themed) -> None:
    themed.get(f"{PODS}bulk/{themed.bulk}/")
    keep_pictures(themed.browser, f"{themed.theme}-bulk")

    is_ours(themed, "Restart 2 pods")
    bar = themed.browser.find_element(By.TAG_NAME, "progress")
    assert bar.size["height"] == 10
    assert bar.size["width"] > 200
    assert "user-bob" in themed.browser.find_element(By.CLASS_NAME, "userpods-failures").text
    assert can_be_read(themed, ".userpods-why")
    for text in ("Retry 1 that failed", "Refresh", "All user pods"):
        assert looks_like_a_button(themed, text)


def test_a_profile_has_its_preview_and_its_versions(themed: Themed) -> None:
    themed.get(f"{PROFILES}add/")
    keep_pictures(themed.browser, f"{themed.theme}-profile-add")
    for name in ("slug", "name", "at_once", "image", "template"):
        field = themed.browser.find_element(By.NAME, name)
        assert field.value_of_css_property("border-top-style") == "solid", f"{name} can be seen"
    themed.get(f"{PROFILES}{themed.profile}/change/")
    keep_pictures(themed.browser, f"{themed.theme}-profile")
    fits(themed)
    user = themed.browser.find_element(By.ID, "userpods-preview-user")
    assert user.accessible_name == "Username"
    assert user.value_of_css_property("border-top-style") == "solid", "it can be seen"
    assert looks_like_a_button(themed, "Restore this version")
    assert looks_like_a_button(themed, "Show the manifests")
    button = themed.browser.find_element(By.CSS_SELECTOR, "[formaction]")
    themed.browser.execute_script(
        "arguments[0].removeAttribute('formtarget'); arguments[0].click()", button
    )
    wait_for_text(themed.browser, "#content-main h1", "Preview for boss")
    keep_pictures(themed.browser, f"{themed.theme}-preview")

    is_ours(themed, "Preview for boss")
    assert "image: example.org/gpu:1" in themed.seen()
    assert can_be_read(themed, ".userpods-yaml")


def test_who_a_pod_is_shared_with_can_be_seen_and_chosen(themed: Themed) -> None:
    themed.get(SHARES)
    keep_pictures(themed.browser, f"{themed.theme}-shares")
    assert "bob" in themed.browser.find_element(By.ID, "result_list").text
    for page, fields in (("add", ("pod", "user", "group")), (f"{themed.share}/change", ())):
        themed.get(f"{SHARES}{page}/")
        keep_pictures(themed.browser, f"{themed.theme}-share-{page.split('/')[-1]}")
        for name in (*fields, "expires_at_0", "expires_at_1"):
            field = themed.browser.find_element(By.NAME, name)
            assert field.value_of_css_property("border-top-style") == "solid", f"{name} can be seen"
            assert field.accessible_name, f"{name} has a label"
        fits(themed)


def test_a_confirmation_asks_its_own_question(themed: Themed) -> None:
    # The last of them: the pods of all others run.
    themed.get(PODS)
    keep_pictures(themed.browser, f"{themed.theme}-list")
    boxes = [("_selected_action", pk) for pk in themed.pods.values()]
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
