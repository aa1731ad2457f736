"""The pages that screenshots are made of: one line for each. To add one, add it here."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import example_site
from tests.browser.example_site import CRASHES, NO_ROOM, PULLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from selenium.webdriver.chrome.webdriver import WebDriver

PODS, TOKENS, SHARES = (f"/admin/userpods/{name}/" for name in ("userpod", "accesstoken", "share"))
PROFILES, SESSIONS = "/admin/userpods/profile/", "/admin/userpods/podsession/"
WAITING = "/userpods/waiting/"


@dataclass(frozen=True)
class Screen:
    """A page: who opens it where, in which state alice's pod is then, and what is done there.

    ``path`` may hold ``{name}`` of a user for the id of the main pod, ``{token}``, ``{share}``,
    ``{profile}``, ``{session}`` and ``{bulk}``.
    """

    name: str
    path: str
    who: str = "alice"
    state: str = "running"
    message: str = ""
    act: Callable[[WebDriver], None] | None = None
    #: What is so meanwhile.
    given: Callable[[], AbstractContextManager[object]] = nullcontext
    headers: tuple[tuple[str, str], ...] = ()
    #: Whether the page's script learns nothing, and so does not move on.
    stays: bool = False


def leads_on(act: Callable[[WebDriver], None]) -> Callable[[WebDriver], None]:
    """Wait for the page that comes of what is done on this one."""

    def done(browser: WebDriver) -> None:
        browser.execute_script("window.before = true")
        act(browser)
        WebDriverWait(browser, 30, 0.1).until(
            lambda browser: browser.execute_script(
                "return !window.before && document.readyState === 'complete'"
            ),
            f"nothing came of what was done at {browser.current_url}",
        )

    return done


def unfolded(css: str) -> Callable[[WebDriver], None]:
    """Show what is folded away."""

    def act(browser: WebDriver) -> None:
        browser.execute_script("document.querySelector(arguments[0]).click()", css)

    return act


def click(css: str, **values: str) -> Callable[[WebDriver], None]:
    """Click on something, after fields of these names were given these values.

    What it leads to is shown here: a picture of a page behind another one is never taken.
    """

    @leads_on
    def act(browser: WebDriver) -> None:
        for name, value in values.items():
            script = "document.querySelector(`[name=${arguments[0]}]`).value = arguments[1]"
            browser.execute_script(script, name, value)
        found = browser.find_element(By.CSS_SELECTOR, css)
        script = "arguments[0].removeAttribute('formtarget'); arguments[0].click()"
        browser.execute_script(script, found)

    return act


def asked(action: str, count: int) -> Callable[[WebDriver], None]:
    """Select the first of a list and choose what to do with them."""

    @leads_on
    def act(browser: WebDriver) -> None:
        for box in browser.find_elements(By.NAME, "_selected_action")[:count]:
            browser.execute_script("arguments[0].click()", box)
        browser.execute_script(
            "document.querySelector('select[name=action]').value = arguments[0]", action
        )
        browser.execute_script("document.querySelector('button[name=index]').click()")

    return act


def made(label: str) -> Callable[[WebDriver], None]:
    """Have a token made on My pods."""

    @leads_on
    def act(browser: WebDriver) -> None:
        browser.execute_script(
            "const field = document.querySelector('#userpods-label');"
            "field.value = arguments[0]; field.form.requestSubmit()",
            label,
        )

    return act


def sent(form: str, **values: str) -> Callable[[WebDriver], None]:
    """Send a form with these values, be they what its fields ask for or not."""

    @leads_on
    def act(browser: WebDriver) -> None:
        browser.execute_script(
            "const form = document.querySelector(arguments[0]);"
            "for (const [name, value] of Object.entries(arguments[1])) {"
            "  if (!form.elements[name]) form.append(Object.assign("
            "    document.createElement('input'), {type: 'hidden', name}));"
            "  form.elements[name].value = value;"
            "}"
            "HTMLFormElement.prototype.submit.call(form)",
            form,
            values,
        )

    return act


def issued(browser: WebDriver) -> None:
    """Have a token issued in the admin."""
    browser.execute_script(
        "const field = document.querySelector('[name=user]');"
        "field.append(new Option('', arguments[0], true, true))",
        example_site.user("alice").pk,
    )
    sent("#accesstoken_form", label=example_site.MADE)(browser)


def alone(**settings: object) -> Callable[[], AbstractContextManager[object]]:
    """Other settings meanwhile."""

    def given() -> AbstractContextManager[object]:
        from django.test import override_settings

        return override_settings(**settings)

    return given


def typed_beyond(number: int) -> Callable[[], AbstractContextManager[object]]:
    """Have more than so many confirmed by their number."""

    def given() -> AbstractContextManager[object]:
        from django_userpods.admin import actions

        return mock.patch.object(actions, "TYPED_BEYOND", number)

    return given


def broken(user: object) -> bool:
    """Tell nobody who may have a pod."""
    message = f"{user} could not be looked up"
    raise LookupError(message)


HOSTS = alone(
    USERPODS_URL="http://{pod}.pods.example.org/", USERPODS_SITE_URL="http://www.example.org/"
)
ON_ALICES_HOST = (("X-Userpods-Host", "alice.pods.example.org"),)
ADD, DELETE, SHARE, TOKEN = (
    "form:has(#userpods-slot)",
    "#pod-lab form[action$='/delete/']",
    "form:has([name=whom])",
    "form:has(#userpods-label)",
)

SCREENS = (
    # --- what a pod's user sees
    Screen("home", "/userpods/"),
    Screen("home-failed", "/userpods/", state="failed", message=CRASHES),
    Screen("home-tokens", "/userpods/", act=unfolded("details:has(#userpods-label) summary")),
    Screen("home-shares", "/userpods/", act=unfolded("details[id^=shares-] summary")),
    Screen("home-token-made", "/userpods/", act=made(example_site.MADE)),
    Screen("home-profiles", "/userpods/", state="stopped", act=unfolded("[id^=profile-] summary")),
    Screen("home-pending", "/userpods/", state="pending", message=NO_ROOM, stays=True),
    Screen("home-starting", "/userpods/", state="starting", message=PULLS, stays=True),
    Screen("home-deleting", "/userpods/", state="deleting", stays=True),
    Screen("home-guest", "/userpods/", who="bob"),
    Screen("home-staff", "/userpods/", who="boss"),
    Screen("home-one", "/userpods/", who="carol", given=alone(USERPODS_MAX_PODS=1)),
    Screen("home-stops", "/userpods/", given=alone(USERPODS_IDLE_TIMEOUT=9 * 3600)),
    Screen("home-wrong-name", "/userpods/", act=sent(ADD, slot="Not a name")),
    Screen("home-wrong-typed", "/userpods/", act=sent(DELETE, typed="lap")),
    Screen("home-wrong-share", "/userpods/", act=sent(SHARE, whom="nobody of this name")),
    Screen("home-wrong-token", "/userpods/", act=sent(TOKEN, label="")),
    Screen("home-not-allowed", "/userpods/", act=sent("#pod-main .choices form", do="recreate")),
    Screen("home-logs", "/userpods/pods/user-alice/logs/"),
    Screen("home-unavailable", "/userpods/", given=alone(USERPODS_SELECT=broken)),
    Screen("waiting-pending", WAITING, state="pending"),
    Screen("waiting-no-room", WAITING, state="pending", message=NO_ROOM),
    Screen("waiting-image", WAITING, state="starting", message=PULLS),
    Screen("waiting-starting", WAITING, state="starting"),
    Screen("waiting-failed", WAITING, state="failed", message=CRASHES),
    Screen("waiting-failed-image", WAITING, state="failed", message=PULLS),
    Screen("waiting-staff", WAITING, who="judy", act=unfolded("summary")),
    Screen("waiting-deleting", WAITING, state="deleting"),
    Screen("waiting-running", WAITING, state="running", stays=True),
    Screen("waiting-stopped", WAITING, state="stopped", stays=True),
    Screen("waiting-unknown", WAITING, given=alone(USERPODS_SELECT=broken)),
    Screen("waiting-guest", f"{WAITING}?at=/pods/alice/", who="bob", state="failed"),
    Screen("no-workspace", WAITING, who="stranger"),
    Screen("refused", "/userpods/enter/?to=/pods/frank/", who="carol"),
    Screen("refused-nowhere", "/userpods/enter/?to=/nowhere/"),
    Screen("refused-not-ready", "/userpods/enter/", who="grace", given=example_site.nameless),
    Screen("nobody", WAITING, who=""),
    Screen("old-token", WAITING, who="", headers=(("Authorization", "Bearer upt_old"),)),
    # --- on a pod's host
    Screen(
        "pod-used-link",
        "/.userpods/enter?ticket=used",
        who="",
        given=HOSTS,
        headers=ON_ALICES_HOST,
    ),
    Screen("pod-nobody", "/.userpods/waiting/", who="", given=HOSTS, headers=ON_ALICES_HOST),
    # --- the admin
    Screen("admin-first", "/admin/", who="boss"),
    Screen("admin-overview", f"{PODS}overview/", who="boss"),
    Screen("admin-app", "/admin/userpods/", who="boss"),
    Screen("admin-list", PODS, who="boss"),
    Screen("admin-list-failed", f"{PODS}?state__exact=failed", who="boss"),
    Screen("admin-pod", f"{PODS}{{bob}}/change/", who="boss"),
    Screen("admin-events", f"{PODS}{{bob}}/events/", who="boss"),
    Screen("admin-logs", f"{PODS}{{bob}}/logs/", who="boss"),
    Screen("admin-comparison", f"{PODS}{{bob}}/comparison/", who="boss", given=example_site.edited),
    Screen("admin-history", f"{PODS}{{bob}}/history/", who="boss"),
    Screen("admin-confirm", PODS, who="boss", act=asked("userpods_stop", 99)),
    Screen("admin-recreate", PODS, who="boss", act=asked("userpods_recreate", 3)),
    Screen("admin-restart", PODS, who="boss", act=asked("userpods_restart", 1)),
    Screen(
        "admin-confirm-typed",
        PODS,
        who="boss",
        act=asked("userpods_stop", 99),
        given=typed_beyond(2),
    ),
    Screen(
        "admin-choose-profile",
        PODS,
        who="boss",
        act=asked("choose_profile", 99),
        given=typed_beyond(2),
    ),
    Screen("admin-list-nothing", f"{PODS}?q=nowhere", who="boss"),
    Screen("admin-list-rollout", PODS, who="boss", given=example_site.stopped_rollout),
    Screen(
        "admin-overview-rollout", f"{PODS}overview/", who="boss", given=example_site.stopped_rollout
    ),
    Screen(
        "admin-resume", f"{PODS}resume-rollout/", who="boss", given=example_site.stopped_rollout
    ),
    Screen("admin-bulk", f"{PODS}bulk/{{bulk}}/", who="boss"),
    Screen("admin-bulk-runs", f"{PODS}bulk/", who="boss"),
    Screen("admin-users", "/admin/auth/user/", who="boss"),
    Screen("admin-user", "/admin/auth/user/{alice-user}/change/", who="boss"),
    Screen("admin-user-failed", "/admin/auth/user/{bob-user}/change/", who="boss"),
    Screen("admin-user-add", "/admin/auth/user/add/", who="boss"),
    Screen("admin-user-delete", "/admin/auth/user/{alice-user}/delete/", who="boss"),
    Screen("admin-users-delete", "/admin/auth/user/", who="boss", act=asked("delete_selected", 99)),
    Screen("admin-users-stop", "/admin/auth/user/", who="boss", act=asked("userpods_stop", 3)),
    # Without our mixin.
    Screen("admin-plain-delete", "/plain/auth/user/{alice-user}/delete/", who="boss"),
    Screen("admin-plain-deletes", "/plain/auth/user/", who="boss", act=asked("delete_selected", 3)),
    Screen("admin-tokens", TOKENS, who="boss"),
    Screen("admin-token-add", f"{TOKENS}add/", who="boss"),
    Screen("admin-token-wrong", f"{TOKENS}add/", who="boss", act=sent("#accesstoken_form")),
    Screen("admin-token-issued", f"{TOKENS}add/", who="boss", act=issued),
    Screen("admin-token", f"{TOKENS}{{token}}/change/", who="boss"),
    Screen("admin-token-revoke", TOKENS, who="boss", act=asked("revoke", 2)),
    Screen("admin-shares", SHARES, who="boss"),
    Screen("admin-share-add", f"{SHARES}add/", who="boss"),
    Screen("admin-share-add-to", f"{SHARES}add/?pod={{alice}}", who="boss"),
    Screen("admin-share", f"{SHARES}{{share}}/change/", who="boss"),
    Screen("admin-share-wrong", f"{SHARES}add/", who="boss", act=sent("#share_form")),
    Screen("admin-share-delete", f"{SHARES}{{share}}/delete/", who="boss"),
    Screen("admin-profiles", PROFILES, who="boss"),
    Screen("admin-profile-add", f"{PROFILES}add/", who="boss"),
    Screen("admin-profile", f"{PROFILES}{{profile}}/change/", who="boss"),
    Screen(
        "admin-profile-preview",
        f"{PROFILES}{{profile}}/change/",
        who="boss",
        act=click("[formaction*=preview]"),
    ),
    Screen(
        "admin-profile-preview-wrong",
        f"{PROFILES}{{profile}}/change/",
        who="boss",
        act=click("[formaction*=preview]", resources="[]"),
    ),
    Screen(
        "admin-profile-preview-nobody",
        f"{PROFILES}{{profile}}/change/",
        who="boss",
        act=click("[formaction*=preview]", preview_user="nobody"),
    ),
    Screen("admin-profile-wrong", f"{PROFILES}add/", who="boss", act=sent("#profile_form")),
    Screen("admin-profile-delete", f"{PROFILES}{{profile}}/delete/", who="boss"),
    Screen(
        "admin-profile-in-use",
        f"{PROFILES}{{profile}}/change/",
        who="boss",
        given=example_site.in_use,
    ),
    Screen(
        "admin-profile-restore",
        f"{PROFILES}{{profile}}/change/",
        who="boss",
        act=click("[name=restore]"),
        given=example_site.in_use,
    ),
    Screen("admin-profile-history", f"{PROFILES}{{profile}}/history/", who="boss"),
    Screen("admin-sessions", SESSIONS, who="boss"),
    Screen("admin-session", f"{SESSIONS}{{session}}/change/", who="boss"),
    Screen("admin-session-delete", f"{SESSIONS}{{session}}/delete/", who="boss"),
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
    ("home-shares", "en", "light", 390),
    ("home-tokens", "en", "dark", 390),
    ("home-profiles", "en", "light", 390),
    ("admin-overview", "en", "light", 1280),
    ("admin-comparison", "en", "light", 1280),
    ("admin-history", "en", "light", 1280),
    ("admin-bulk", "en", "light", 1280),
    ("admin-profile-in-use", "en", "light", 1280),
    ("admin-profile-restore", "en", "light", 1280),
    ("router", "zh", "light", 390),
)
