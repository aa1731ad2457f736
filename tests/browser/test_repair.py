"""A pod that cannot start, why, and how it gets on, in real Chromium on the local cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import keep_pictures
from tests.browser.people import COMMAND, Person

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = [pytest.mark.browser, pytest.mark.router]

PROFILES = "/admin/userpods/profile/"


def template(*command: str) -> str:
    """A pod that runs a command, as somebody writes it into the admin."""
    container: dict[str, Any] = {
        "name": "app",
        "image": "example.org/notebook:1",
        "command": [*command],
        "env": [
            {"name": "USERPODS_USER", "value": "{username}"},
            {"name": "FLAVOUR", "value": "repaired"},
        ],
        "ports": [{"containerPort": 8000}],
    }
    labels = {"app": "{name}"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "{name}"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "{name}"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]},
    }
    return "\n---\n".join(json.dumps(each) for each in (deployment, service))


def makes(admin: Person, slug: str, text: str) -> None:
    """Make a profile with a template."""
    admin.goes(f"{PROFILES}add/")
    for name, value in (("slug", slug), ("name", slug.title()), ("template", text)):
        admin.fills(name, value)
    admin.presses("Save")
    admin.sees("was added successfully", ".messagelist")


def starts_with(alice: Person, slug: str) -> None:
    """Choose a profile on My pods, and start by it."""
    alice.goes("/userpods/")
    alice.presses("Stop", within="#pod-main")
    alice.sees("stopped", "#pod-main .state")
    alice.presses("Choose a profile", within="#pod-main")
    alice.browser.find_element(By.ID, f"profile-0-{slug}").click()
    alice.presses("Choose", within="#pod-main")
    alice.sees(slug.title(), "#pod-main dl")
    alice.presses("Start", within="#pod-main")

    def has_begun(browser: WebDriver) -> bool:
        return "stopped" not in browser.find_element(By.CSS_SELECTOR, "#pod-main .state").text

    # Else the answer to the form could still come in place of the next page.
    WebDriverWait(alice.browser, 30, 0.1, ignored_exceptions=[WebDriverException]).until(has_begun)


def cannot_start(alice: Person, why: str) -> str:
    """Open a page of the pod, and read there why it is not to be had; the page's address."""
    page = f"{alice.demo.pods['alice']}deep/link?x=1"
    alice.browser.get(page)
    alice.sees("Your workspace could not start", "h1", seconds=60)
    alice.sees(why, "#userpods-message")
    assert alice.browser.find_elements(By.CSS_SELECTOR, "#userpods-steps .failed")
    assert alice.browser.current_url == page
    return page


def is_there(alice: Person, page: str) -> None:
    """Wait, and do nothing else, until the application shows the page that was asked for."""

    def answers(_: object) -> bool:
        return '"alice repaired"' in alice.browser.find_element(By.TAG_NAME, "body").text

    WebDriverWait(alice.browser, 60, 0.3, ignored_exceptions=[Exception]).until(answers)
    assert alice.browser.current_url == page


@pytest.mark.timeout(300)
def test_staff_repair_the_template_and_the_page_moves_on(admin: Person, alice: Person) -> None:
    makes(admin, "notebook", template("/opt/notebook/start"))
    starts_with(alice, "notebook")
    page = cannot_start(alice, "It is set up in a way that cannot be started.")
    assert "/opt/notebook" not in alice.browser.page_source, "that is for staff"
    keep_pictures(alice.browser, "repair-command")

    admin.goes("/admin/userpods/userpod/?state__exact=failed")
    admin.presses("user-alice", within="#result_list")
    admin.sees("command not found: '/opt/notebook/start'", "[data-userpods-shows=message]")
    admin.goes(PROFILES)
    admin.presses("Notebook", within="#result_list")
    admin.fills("template", template("/bin/sh", "-c", COMMAND))
    admin.presses("Save")
    admin.sees("1 pod uses this profile", ".messagelist")
    is_there(alice, page)


@pytest.mark.timeout(300)
def test_what_crashes_is_tried_again(admin: Person, alice: Person, tmp_path: Path) -> None:
    data = tmp_path / "data"
    script = f"test -e {data} || exit 3; {COMMAND}"
    makes(admin, "crashing", template("/bin/sh", "-c", script))
    starts_with(alice, "crashing")
    page = cannot_start(alice, "It stops right after it is started.")
    assert "exited with status" not in alice.browser.page_source, "that is for staff"
    keep_pictures(alice.browser, "repair-crash")

    data.touch()
    alice.presses("Try again")
    is_there(alice, page)
