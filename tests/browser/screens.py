"""The pages that screenshots are made of: one line for each. To add one, add it here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from selenium.webdriver.common.by import By

from tests.browser.example_site import CRASHES, NO_ROOM, PULLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver.chrome.webdriver import WebDriver

PODS, TOKENS, SHARES = (f"/admin/userpods/{name}/" for name in ("userpod", "accesstoken", "share"))
PROFILES = "/admin/userpods/profile/"
WAITING = "/userpods/waiting/"


@dataclass(frozen=True)
class Screen:
    """A page: who opens it where, in which state alice's pod is then, and what is done there.

    ``path`` may hold ``{name}`` of a user for the id of the main pod, ``{token}``, ``{share}``,
    ``{profile}`` and ``{bulk}``.
    """

    name: str
    path: str
    who: str = "alice"
    state: str = "running"
    message: str = ""
    act: Callable[[WebDriver], None] | None = None


def click(css: str) -> Callable[[WebDriver], None]:
    """Click on the first that there is, if there is one; what it leads to is shown here."""

    def act(browser: WebDriver) -> None:
        for found in browser.find_elements(By.CSS_SELECTOR, css)[:1]:
            # A picture of a page behind another one is never taken.
            script = "arguments[0].removeAttribute('formtarget'); arguments[0].click()"
            browser.execute_script(script, found)

    return act


def asked(operation: str, count: int) -> Callable[[WebDriver], None]:
    """Select the first pods of the list and choose what to do with them."""

    def act(browser: WebDriver) -> None:
        for box in browser.find_elements(By.NAME, "_selected_action")[:count]:
            browser.execute_script("arguments[0].click()", box)
        choice = f"select[name=action] option[value=userpods_{operation}]"
        click(choice)(browser)
        browser.execute_script(
            "document.querySelector('select[name=action]').value = arguments[0]",
            f"userpods_{operation}",
        )
        click("button[name=index]")(browser)

    return act


def made(label: str) -> Callable[[WebDriver], None]:
    """Have a token made on My pods."""

    def act(browser: WebDriver) -> None:
        browser.execute_script(
            "const field = document.querySelector('#userpods-label');"
            "field.value = arguments[0]; field.form.requestSubmit()",
            label,
        )

    return act


SCREENS = (
    # --- what a pod's user sees
    Screen("home", "/userpods/"),
    Screen("home-failed", "/userpods/", state="failed", message=CRASHES),
    Screen("home-tokens", "/userpods/", act=click("details:has(#userpods-label) summary")),
    Screen("home-shares", "/userpods/", act=click("details[id^=shares-] summary")),
    Screen("home-token-made", "/userpods/", act=made("phone")),
    Screen("home-profiles", "/userpods/", state="stopped", act=click("[id^=profile-] summary")),
    Screen("home-logs", "/userpods/pods/user-alice/logs/"),
    Screen("waiting-pending", WAITING, state="pending"),
    Screen("waiting-no-room", WAITING, state="pending", message=NO_ROOM),
    Screen("waiting-image", WAITING, state="starting", message=PULLS),
    Screen("waiting-starting", WAITING, state="starting"),
    Screen("waiting-failed", WAITING, state="failed", message=CRASHES),
    Screen("waiting-failed-image", WAITING, state="failed", message=PULLS),
    Screen("waiting-staff", WAITING, who="judy", act=click("summary")),
    Screen("waiting-deleting", WAITING, state="deleting"),
    Screen("no-workspace", WAITING, who="stranger"),
    Screen("refused", "/userpods/enter/?to=/pods/frank/", who="carol"),
    Screen("nobody", WAITING, who=""),
    # --- the admin
    Screen("admin-first", "/admin/", who="boss"),
    Screen("admin-overview", f"{PODS}overview/", who="boss"),
    Screen("admin-app", "/admin/userpods/", who="boss"),
    Screen("admin-list", PODS, who="boss"),
    Screen("admin-list-failed", f"{PODS}?state__exact=failed", who="boss"),
    Screen("admin-pod", f"{PODS}{{bob}}/change/", who="boss"),
    Screen("admin-events", f"{PODS}{{bob}}/events/", who="boss"),
    Screen("admin-logs", f"{PODS}{{bob}}/logs/", who="boss"),
    Screen("admin-comparison", f"{PODS}{{bob}}/comparison/", who="boss"),
    Screen("admin-history", f"{PODS}{{bob}}/history/", who="boss"),
    Screen("admin-confirm", PODS, who="boss", act=asked("stop", 99)),
    Screen("admin-recreate", PODS, who="boss", act=asked("recreate", 3)),
    Screen("admin-bulk", f"{PODS}bulk/{{bulk}}/", who="boss"),
    Screen("admin-users", "/admin/auth/user/", who="boss"),
    Screen("admin-user-delete", "/admin/auth/user/{alice-user}/delete/", who="boss"),
    Screen("admin-tokens", TOKENS, who="boss"),
    Screen("admin-token-add", f"{TOKENS}add/", who="boss"),
    Screen("admin-shares", SHARES, who="boss"),
    Screen("admin-share-add", f"{SHARES}add/", who="boss"),
    Screen("admin-profiles", PROFILES, who="boss"),
    Screen("admin-profile-add", f"{PROFILES}add/", who="boss"),
    Screen("admin-profile", f"{PROFILES}{{profile}}/change/", who="boss"),
    Screen(
        "admin-profile-preview",
        f"{PROFILES}{{profile}}/change/",
        who="boss",
        act=click("[formaction*=preview]"),
    ),
    Screen("admin-sessions", "/admin/userpods/podsession/", who="boss"),
)

#: The few that the documentation shows, by page, language, theme and width; all together less than
#: a megabyte.
IN_DOCS = (
    ("home", "en", "light", 1280),
    ("waiting-starting", "en", "light", 390),
    ("waiting-failed", "en", "light", 390),
    ("waiting-failed", "zh", "dark", 390),
    ("refused", "en", "light", 390),
    ("home-logs", "en", "dark", 1280),
    ("admin-list", "en", "light", 1280),
    ("admin-list", "zh", "dark", 1280),
    ("admin-pod", "en", "light", 1280),
    ("admin-confirm", "en", "light", 1280),
    ("home", "zh", "light", 1280),
    ("router", "zh", "light", 390),
)
