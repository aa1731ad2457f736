"""A Django site with accounts and an admin of its own, in pods of a Django site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from tests.apps.conftest import Visitor
    from tests.browser.demos import Demo

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
WAYS = ["host", "one", "path"]
#: Of an account in the pod, which nobody at the site has.
PASSWORD = "only-in-the-pod-1"
LOADED = """
return [...document.querySelectorAll("link[rel=stylesheet], script[src]")].map(e => e.href || e.src)
"""


def fill(visitor: Visitor, **values: str) -> None:
    for name, value in values.items():
        visitor.wait_for(f"[name={name}]").send_keys(value)


def test_a_new_pod_gives_its_first_account_to_its_user(alice: Visitor) -> None:
    alice.open()
    assert alice.browser.current_url == f"{alice.url}first-account/"
    fill(alice, username="owner", password1=PASSWORD, password2=PASSWORD)
    alice.wait_for("form button").click()
    alice.wait_for("h1", text="Notes of owner")
    fill(alice, text="Pears are ripe")
    alice.wait_for("form:not([action]) button").click()
    alice.wait_for("li", text="Pears are ripe")


def test_its_own_admin_signs_in_and_saves_a_form(alice: Visitor) -> None:
    alice.open()
    alice.wait_for("form[action$='logout/'] button").click()
    alice.wait_for("h1", text="Sign in to your notes")
    alice.open("admin/notes/note/add/")
    assert alice.browser.current_url.startswith(f"{alice.url}admin/login/")
    fill(alice, username="owner", password=PASSWORD)
    alice.wait_for(".submit-row input").click()
    fill(alice, text="Quinces are not")
    alice.wait_for("[name=_save]").click()
    alice.wait_for(".messagelist", text="was added successfully")
    assert alice.wait_for("#result_list").text.count("are") == 2
    assert all(url.startswith(alice.url) for url in alice.script(LOADED)), "its own style"
    assert alice.script("return document.styleSheets[0].cssRules.length") > 100
    keep_picture(alice.browser, "django")


def test_both_sessions_live_side_by_side(demo: Demo, alice: Visitor) -> None:
    """The browser is signed in as owner in the pod and as alice at the site, and either may go."""
    alice.open()
    alice.wait_for("h1", text="Notes of owner")
    in_pod = session(alice, "notes_sessionid" if "/pods/" in alice.url else "sessionid")
    alice.browser.get(f"{demo.site}/accounts/")
    alice.wait_for("body", text="alice")
    at_site = session(alice, "sessionid")
    assert in_pod["value"] != at_site["value"]
    assert all(cookie["httpOnly"] for cookie in (in_pod, at_site))
    # Out of the pod's site: the other one does not mind.
    alice.open()
    alice.wait_for("form[action$='logout/'] button").click()
    alice.wait_for("h1", text="Sign in to your notes")
    alice.browser.get(f"{demo.site}/accounts/")
    alice.wait_for("body", text="alice")
    assert session(alice, "sessionid")["value"] == at_site["value"]
    alice.open()
    fill(alice, username="owner", password=PASSWORD)
    alice.wait_for("form button").click()
    alice.wait_for("h1", text="Notes of owner")
    # Out of the site: the pod cannot be reached, and what is signed in there is of no use.
    alice.browser.get(f"{demo.site}/accounts/")
    alice.browser.find_element(By.XPATH, "//button[text()='Sign out']").click()
    alice.wait_for("h1", text="Sign in")
    alice.open()
    WebDriverWait(alice.browser, 10).until(
        lambda browser: browser.current_url.startswith(f"{demo.site}/accounts/login/")
    )


def test_bob_does_not_see_alices(alice: Visitor, bob: Visitor) -> None:
    bob.open()
    assert bob.browser.current_url == f"{bob.url}first-account/"


def session(visitor: Visitor, name: str) -> dict[str, str]:
    """A cookie of the page that is shown."""
    found = visitor.browser.get_cookie(name)
    assert found, [cookie["name"] for cookie in visitor.browser.get_cookies()]
    return found
