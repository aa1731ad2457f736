"""My pods in real Chromium: with the keyboard alone, with scripts and without."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium, keep_pictures, wait_for_text
from tests.browser.themed_site import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.browser


@dataclass
class Person:
    browser: WebDriver
    site: str
    has_scripts: bool
    database: Path

    def find(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def press(self, text: str, *, within: str = "body") -> None:
        """Press a button by the keyboard."""
        [button] = [
            found
            for found in self.find(within).find_elements(By.CSS_SELECTOR, "button, summary, a")
            if found.text == text
        ]
        button.send_keys(Keys.ENTER)

    def has_pod(self, state: str, message: str = "", step_times: str = "") -> None:
        """Have the pod in a state that no look at the cluster changes."""
        with closing(sqlite3.connect(self.database, timeout=30)) as database, database:
            database.execute(
                "UPDATE userpods_userpod SET state = ?, message = ?, step_times = ?, "
                "looked_at = '2999-01-01' "
                "WHERE name = 'user-boss'",
                (state, message, step_times),
            )

    def image(self) -> str:
        """The image that the pod runs, as was seen in the cluster."""
        with closing(sqlite3.connect(self.database, timeout=30)) as database:
            [(image,)] = database.execute(
                "SELECT image FROM userpods_userpod WHERE name = 'user-boss'"
            )
        return str(image)

    def steps(self) -> list[str]:
        """The steps of the waiting page, as their looks tell them."""
        found = self.browser.find_elements(By.CSS_SELECTOR, "#userpods-steps li")
        return [str(item.get_attribute("class")) for item in found]

    def focused(self) -> tuple[str | None, ...]:
        """The field that has the focus: its id, what it holds, whether it is said to be wrong."""
        field = self.browser.switch_to.active_element
        return tuple(field.get_attribute(name) for name in ("id", "value", "aria-invalid"))

    def sees_state(self, text: str, pod: str) -> None:
        """Wait for a pod's state, which comes by itself where there are scripts."""

        def said(browser: WebDriver) -> bool:
            if not self.has_scripts:
                browser.refresh()
            with suppress(WebDriverException):  # the page was just replaced
                return text in self.find(f"{pod} .state").text
            return False

        WebDriverWait(self.browser, 60, 0.3).until(said)

    def sees(self, text: str, css: str = "body") -> None:
        wait_for_text(self.browser, css, text)


@pytest.fixture(scope="module", params=["scripts", "no scripts"])
def person(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("home")
    with running("plain", folder) as (site, key), chromium(folder) as browser:
        browser.get(f"{site}/userpods/assets/css")
        browser.add_cookie({"name": "sessionid", "value": key})
        if request.param == "no scripts":
            # The driver needs scripts itself; all that the page has is this file.
            browser.execute_cdp_cmd("Network.enable", {})
            browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/userpods/assets/js*"]})
        yield Person(browser, site, request.param == "scripts", folder / "db")


def test_a_person_looks_after_what_is_theirs(person: Person) -> None:
    person.browser.get(f"{person.site}/userpods/")
    person.sees_state("running", "#pod-main")
    keep_pictures(person.browser, "home")

    person.press("Stop", within="#pod-main")
    person.sees_state("stopped", "#pod-main")
    keep_pictures(person.browser, "home-stopped")
    person.press("Start", within="#pod-main")
    person.sees_state("running", "#pod-main")

    person.find("#userpods-slot").send_keys("Not a name", Keys.ENTER)
    person.sees("A name has at most", "[role=alert]")
    assert person.focused() == ("userpods-slot", "Not a name", "true")
    person.sees("A name has at most", "#userpods-slot-error")
    keep_pictures(person.browser, "home-error")
    person.find("#userpods-slot").clear()
    person.find("#userpods-slot").send_keys("lab", Keys.ENTER)
    person.sees_state("running", "#pod-lab")

    person.press("Make a token")
    person.find("#userpods-label").send_keys("laptop", Keys.ENTER)
    person.sees("Copy the token now", "h1")
    assert str(person.find("#userpods-token").get_attribute("value")).startswith("upt_")
    keep_pictures(person.browser, "home-token")
    person.press("I have copied it")
    person.sees("laptop", ".item")
    person.press("Delete", within="#pod-lab")
    keep_pictures(person.browser, "home-full")
    person.press("Revoke")
    person.sees("revoked", ".item")

    if not person.find("#pod-lab input[name=typed]").is_displayed():
        person.press("Delete", within="#pod-lab")
    person.find("#pod-lab input[name=typed]").send_keys("lab", Keys.ENTER)
    person.sees("You have 1 of 3")
    assert not person.browser.find_elements(By.ID, "pod-lab")


def test_one_that_failed_is_seen_to_answer_again(person: Person) -> None:
    person.browser.get(f"{person.site}/userpods/")
    person.sees_state("running", "#pod-main")
    person.has_pod("failed", "CrashLoopBackOff: no")
    person.browser.refresh()
    person.sees_state("failed", "#pod-main")
    person.has_pod("running")
    person.sees_state("running", "#pod-main")


def test_the_waiting_page_shows_how_far_it_has_come(person: Person) -> None:
    person.has_pod("pending")
    person.browser.get(f"{person.site}/userpods/waiting/")
    assert person.steps() == ["current", "", "", ""]
    person.has_pod("starting", step_times="- -")
    if not person.has_scripts:
        person.browser.refresh()
    WebDriverWait(person.browser, 60, 0.2).until(
        lambda _: person.steps() == ["done", "current", "", ""]
    )
    keep_pictures(person.browser, "waiting-starting")
    person.has_pod("failed", "ErrImagePull: no such image")
    if not person.has_scripts:
        person.browser.refresh()
    person.sees("could not start", "h1")
    assert person.steps() == ["done", "failed", "", ""]
    keep_pictures(person.browser, "waiting-failed")
    person.press("My workspaces")
    person.sees("The software that it runs could not be fetched.", "#pod-main")
    keep_pictures(person.browser, "home-failed")


def test_a_person_chooses_a_profile_and_nobody_elses(person: Person) -> None:
    assert person.image() != "example.org/gpu:1"
    person.has_pod("running")
    person.browser.get(f"{person.site}/userpods/")
    person.press("Stop", within="#pod-main")
    person.sees_state("stopped", "#pod-main")
    person.press("Choose a profile", within="#pod-main")
    assert not person.browser.find_elements(By.ID, "profile-0-secret")
    person.find("#profile-0-gpu").send_keys(Keys.SPACE)
    keep_pictures(person.browser, "home-profiles")
    person.press("Choose", within="#pod-main")
    person.sees("GPU", "#pod-main dl")
    person.press("Start", within="#pod-main")
    person.sees_state("running", "#pod-main")
    assert person.image() == "example.org/gpu:1"

    person.find("#userpods-slot").send_keys("lab")
    person.browser.execute_script("document.getElementById('profile-new-gpu').value = 'secret'")
    person.find("#profile-new-gpu").send_keys(Keys.SPACE)
    person.find("#userpods-slot").send_keys(Keys.ENTER)
    person.sees("You cannot choose this profile.", "[role=alert]")
    status = "return performance.getEntriesByType('navigation')[0].responseStatus"
    assert person.browser.execute_script(status) == 403
    assert not person.browser.find_elements(By.ID, "pod-lab")
