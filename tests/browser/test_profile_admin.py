"""Profiles from the admin to people's pods, in real Chromium on the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.browser.chromium import keep_pictures

if TYPE_CHECKING:
    from tests.browser.people import Person

pytestmark = [pytest.mark.browser, pytest.mark.router]

PROFILES = "/admin/userpods/profile/"


def errors(admin: Person) -> dict[str, str]:
    """The form's errors, by the field that each stands at."""
    found = admin.browser.find_elements(By.CSS_SELECTOR, ".form-row:has(.errorlist)")
    return {
        str(row.get_attribute("class")).split("field-")[1].split()[0]: row.find_element(
            By.CLASS_NAME, "errorlist"
        ).text
        for row in found
    }


def versions(admin: Person) -> list[list[str]]:
    rows = admin.browser.find_elements(By.CSS_SELECTOR, ".userpods-history tbody tr")
    shown = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in rows]
    return [[number, by, changed, back] for number, _at, by, changed, back in shown]


def becomes(alice: Person, name: str) -> None:
    """Wait until what answers at alice's pod says that it is called so."""
    WebDriverWait(alice.browser, 60, 0.5).until(lambda _: alice.is_told()["name"] == name)


@pytest.mark.timeout(300)
def test_one_is_made_looked_at_chosen_changed_and_taken_back(admin: Person, alice: Person) -> None:
    assert alice.is_told()["name"] == "alice "

    admin.goes(f"{PROFILES}add/")
    admin.fills("slug", "sweet")
    admin.fills("name", "Sweet")
    admin.fills("description", "Tastes of honey.")
    admin.fills("env", '{"FLAVOUR": 7}')
    admin.presses("Save")
    admin.sees("Please correct the error below.", ".errornote")
    assert list(errors(admin)) == ["env"]
    # What it says to write can be written there: it is JSON.
    assert errors(admin)["env"].endswith('is not text. Write {"FLAVOUR": "7"}.')
    keep_pictures(admin.browser, "profile-error")

    admin.fills("env", '{"FLAVOUR": "{username}-sweet"}')
    admin.fills("preview_user", "alice")
    before = admin.browser.current_window_handle
    admin.presses("Show the manifests")
    WebDriverWait(admin.browser, 30, 0.1).until(lambda driver: len(driver.window_handles) == 2)
    admin.browser.switch_to.window(admin.browser.window_handles[-1])
    admin.sees("Preview for alice", "h1")
    text = admin.browser.find_element(By.CSS_SELECTOR, ".userpods-yaml").text
    assert "name: user-alice" in text
    assert "value: alice-sweet" in text
    keep_pictures(admin.browser, "profile-preview")
    admin.browser.close()
    admin.browser.switch_to.window(before)
    admin.presses("Save")
    admin.sees("was added successfully", ".messagelist")

    alice.goes("/userpods/")
    alice.presses("Stop", within="#pod-main")
    alice.sees("stopped", "#pod-main .state")
    alice.presses("Choose a profile", within="#pod-main")
    alice.sees("Tastes of honey.", "#pod-main .profiles")
    alice.browser.find_element(By.ID, "profile-0-sweet").click()
    alice.presses("Choose", within="#pod-main")
    alice.sees("Sweet", "#pod-main dl")
    alice.presses("Start", within="#pod-main")
    alice.sees("running", "#pod-main .state", seconds=60)
    becomes(alice, "alice alice-sweet")

    admin.goes(PROFILES)
    admin.presses("Sweet", within="#result_list")
    admin.fills("env", '{"FLAVOUR": "sour"}')
    admin.presses("Save and continue editing")
    admin.sees("1 pod uses this profile", ".messagelist")
    assert versions(admin) == [
        ["2", "admin", "environment variables", "current version"],
        ["1", "admin", "everything", "Restore this version"],
    ]
    keep_pictures(admin.browser, "profile-versions")
    becomes(alice, "alice sour")

    admin.presses("Restore this version")
    admin.presses("Restore version 1")
    admin.sees("version 1", ".messagelist")
    assert [line[0] for line in versions(admin)] == ["3", "2", "1"]
    assert admin.browser.find_element(By.NAME, "env").get_attribute("value") == (
        '{"FLAVOUR": "{username}-sweet"}'
    )
    becomes(alice, "alice alice-sweet")


@pytest.mark.timeout(300)
def test_one_of_anothers_is_neither_offered_nor_to_be_had(admin: Person, alice: Person) -> None:
    admin.goes("/admin/auth/group/add/")
    admin.fills("name", "research")
    admin.presses("Save")
    admin.sees("was added successfully", ".messagelist")
    admin.goes(f"{PROFILES}add/")
    for field, text in (("slug", "theirs"), ("name", "Theirs"), ("env", '{"FLAVOUR": "theirs"}')):
        admin.fills(field, text)
    Select(admin.browser.find_element(By.NAME, "groups")).select_by_visible_text("research")
    admin.presses("Save")
    admin.sees("was added successfully", ".messagelist")
    admin.goes(f"{PROFILES}add/")
    for field, text in (("slug", "all"), ("name", "Everybody's"), ("env", '{"FLAVOUR": "all"}')):
        admin.fills(field, text)
    admin.presses("Save")
    admin.sees("was added successfully", ".messagelist")

    alice.goes("/userpods/")
    alice.presses("Stop", within="#pod-main")
    alice.sees("stopped", "#pod-main .state")
    alice.presses("Choose a profile", within="#pod-main")
    assert "Theirs" not in alice.browser.page_source
    script = "document.getElementById('profile-0-all').value = 'theirs'"
    alice.browser.execute_script(script)
    alice.browser.find_element(By.ID, "profile-0-all").click()
    alice.presses("Choose", within="#pod-main")
    alice.sees("You cannot choose this profile.", "[role=alert]")
    status = "return performance.getEntriesByType('navigation')[0].responseStatus"
    assert alice.browser.execute_script(status) == 403
    keep_pictures(alice.browser, "profile-not-offered")
    alice.goes("/userpods/")
    alice.presses("Start", within="#pod-main")
    alice.sees("running", "#pod-main .state", seconds=60)
    assert "theirs" not in alice.is_told()["name"]
