"""People at the demo, whose pods are processes behind the real router: by the keyboard alone, with
tokens, and in the admin, whose open pages show what becomes of processes."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.audit import AXE
from tests.browser.chromium import keep_pictures
from tests.browser.demo_pages import Looks, staying
from tests.browser.demos import Demo, end, started
from tests.browser.keyboard import Keyboard
from tests.browser.people import COMMAND, Person
from tests.browser.screens import made
from tests.clusters.local import all_marked, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.browser, pytest.mark.router]

PODS, PROFILES = "/admin/userpods/userpod/", "/admin/userpods/profile/"
#: The file without which pods of the profile Broken end at their start, and what they say then.
DATA, MISSING = "data", "the data is missing"
#: Seconds that a page may take to show something new: a crashed process waits up to 30 s.
SOON = 90


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo whose pods tell what they are asked, and some of them crash."""
    folder = tmp_path_factory.mktemp("demo")
    data = shlex.quote(str(folder / DATA))
    crash = f'test "$FLAVOUR" != broken || test -e {data} || {{ echo {MISSING}; exit 3; }}'
    running = started(folder, DEMO_COMMAND=f"{crash}; {COMMAND}")
    try:
        yield running
    finally:
        end(running)


def processes(demo: Demo, name: str) -> list[int]:
    """The processes of somebody's pod."""
    theirs, found = f"USERPODS_USER={name}".encode(), []
    for pid in all_marked(demo.folder / "site" / "pods"):
        with suppress(OSError):  # gone meanwhile
            if theirs in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def asks(demo: Demo, owner: str, token: str = "") -> tuple[int, str]:
    """Ask somebody's pod through the router, as a program does: the status and the answer."""
    pod = urlsplit(demo.pods[owner])
    connection = http.client.HTTPConnection("127.0.0.1", pod.port or 80, timeout=30)
    headers = {"Host": pod.netloc, "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def asked(demo: Demo, sql: str) -> list[Any]:
    """What the site's database says."""
    with closing(sqlite3.connect(demo.folder / "site" / "db.sqlite3", timeout=30)) as database:
        return database.execute(sql).fetchall()


def are_all(demo: Demo, state: str) -> bool:
    """Whether all pods are in a state, in the database and as processes."""
    there = {bool(processes(demo, name)) for name in demo.pods}
    said = asked(demo, "SELECT DISTINCT state FROM userpods_userpod")
    return said == [(state,)] and there == {state == "running"}


def makes_broken(admin: Person) -> None:
    """Make the profile whose pods crash without their data."""
    admin.goes(f"{PROFILES}add/")
    for name, text in (("slug", "broken"), ("name", "Broken"), ("env", '{"FLAVOUR": "broken"}')):
        admin.fills(name, text)
    admin.presses("Save")
    admin.sees("was added successfully", ".messagelist")


@pytest.mark.timeout(400)
def test_a_pods_user_needs_nothing_but_the_keyboard(
    admin: Person, alice: Person, bob: Person
) -> None:
    makes_broken(admin)
    demo, keys = alice.demo, Keyboard(alice.browser, alice.demo.site)
    assert alice.is_told()["name"] == "alice "
    [first] = processes(demo, "alice")

    keys.goes("/userpods/")
    keys.tabs_to("#pod-main button", "Restart")
    keys.press(Keys.ENTER)
    wait_for(lambda: processes(demo, "alice") not in ([first], []), seconds=SOON)
    keys.sees("running", "#pod-main .state")
    keys.tabs_to("#pod-main button", "Stop")
    keys.press(Keys.SPACE)
    keys.sees("stopped", "#pod-main .state")
    wait_for(lambda: not processes(demo, "alice"), seconds=SOON)

    keys.tabs_to("#pod-main summary", "Choose a profile")
    keys.press(Keys.ENTER)
    keys.tabs_to("#pod-main [type=radio]")
    chosen = "return document.activeElement.id"
    while alice.browser.execute_script(chosen) != "profile-0-broken":
        keys.press(Keys.ARROW_DOWN)
    keys.tabs_to("#pod-main button", "Choose")
    keys.press(Keys.ENTER)
    keys.sees("Broken", "#pod-main dl")

    keys.tabs_to("#pod-main button", "Start")
    keys.press(Keys.ENTER)
    keys.sees("failed", "#pod-main .state", seconds=SOON)
    keys.tabs_to("#pod-main a", "Open")
    keys.press(Keys.ENTER)
    keys.sees("Your workspace could not start", "h1", seconds=SOON)
    keys.sees("It stops right after it is started.", "#userpods-message")
    keep_pictures(alice.browser, "local-failed")
    (demo.folder / DATA).touch()
    keys.tabs_to("button", "Try again")
    keys.press(Keys.ENTER)
    keys.sees('"alice broken"', seconds=SOON)
    assert alice.browser.current_url == demo.pods["alice"]

    keys.goes("/userpods/")
    keys.tabs_to("#shares-0 summary", "Share")
    keys.press(Keys.SPACE)
    keys.tabs_to("#shares-0 input[name=whom]")
    keys.press("bob", Keys.ENTER)
    keys.sees("Shared with 1", "#shares-0 summary")
    guest = Keyboard(bob.browser, demo.site)
    guest.goes("/userpods/")
    guest.tabs_to("section[aria-labelledby=userpods-shared] a", "Open")
    guest.press(Keys.ENTER)
    guest.sees('"alice broken"')


@pytest.mark.timeout(300)
def test_staff_stop_and_start_all_with_the_keyboard_alone(admin: Person) -> None:
    demo, keys = admin.demo, Keyboard(admin.browser, admin.demo.site)
    for operation, state in (("stop", "stopped"), ("start", "running")):
        keys.goes(PODS)
        keys.tabs_to("#action-toggle")
        keys.press(Keys.SPACE)
        keys.chooses(f"userpods_{operation}")
        if operation == "stop":
            keys.sees("Stop 3 pods?", "h1")
            keys.tabs_to(".userpods-buttons button", "Stop 3 pods")
            keys.press(Keys.SPACE)
        wait_for(partial(are_all, demo, state), seconds=SOON)


@pytest.mark.timeout(300)
def test_a_token_is_shown_once_reaches_its_owners_pod_and_is_revoked(alice: Person) -> None:
    demo, tokens = alice.demo, "[aria-labelledby=userpods-tokens]"
    find = alice.browser.find_element
    assert asks(demo, "alice")[0] != 200
    alice.goes("/userpods/")
    find(By.CSS_SELECTOR, f"{tokens} summary").click()
    alice.fills("label", "laptop")
    find(By.ID, "userpods-label").send_keys(Keys.ENTER)
    alice.sees("Copy the token now", "h1")
    token = str(find(By.ID, "userpods-token").get_attribute("value"))

    alice.presses("I have copied it")
    alice.sees("Never used.", f"{tokens} .item")
    assert token not in alice.browser.page_source
    status, said = asks(demo, "alice", token)
    assert (status, json.loads(said)["name"]) == (200, "alice broken")
    assert token not in said, "it does not reach the pod"
    assert asks(demo, "bob", token)[0] == 403
    alice.goes("/userpods/")
    alice.sees("ago.", f"{tokens} .item")
    assert "Never used." not in find(By.CSS_SELECTOR, f"{tokens} .item").text
    keep_pictures(alice.browser, "local-token")
    alice.presses("Revoke", within=tokens)
    alice.sees("revoked", f"{tokens} .item")
    assert asks(demo, "alice", token)[0] in {401, 403}


@pytest.mark.timeout(400)
def test_open_pages_of_the_admin_show_what_becomes_of_a_process(admin: Person) -> None:
    demo, browser = admin.demo, admin.browser
    admin.goes(PODS)
    browser.execute_script("window.isTheSamePage = true")
    [(pod,)] = asked(demo, "SELECT id FROM userpods_userpod WHERE name = 'user-alice'")

    def of_alice(what: str) -> str:
        return f'[data-userpods-pod="{pod}"][data-userpods-shows="{what}"]'

    def is_the_same_page() -> bool:
        return bool(browser.execute_script("return window.isTheSamePage"))

    admin.sees("running", of_alice("state"), seconds=SOON)
    (demo.folder / DATA).unlink()
    for process in processes(demo, "alice"):
        os.kill(process, signal.SIGKILL)
    admin.sees("failed", of_alice("state"), seconds=SOON)
    admin.sees("exited with status 3", of_alice("reason"), seconds=SOON)
    assert is_the_same_page()
    keep_pictures(browser, "local-list")

    admin.presses("user-alice", within="#result_list")
    browser.execute_script("window.isTheSamePage = true")
    admin.sees("exited with status 3", of_alice("message"), seconds=SOON)
    tabs = ".userpods-tabs"
    admin.presses("Events", within=tabs)
    admin.sees("CrashLoopBackOff", "tbody")
    admin.sees(MISSING, "tbody")
    keep_pictures(browser, "local-events")
    admin.presses("Logs", within=tabs)
    admin.sees(MISSING, "pre")
    browser.find_element(By.ID, "userpods-follow").click()
    starts = "return document.querySelector('#userpods-logs').innerText.split(' start on ').length"
    before = browser.execute_script(starts)
    WebDriverWait(browser, SOON, 0.5).until(lambda _: browser.execute_script(starts) > before)
    keep_pictures(browser, "local-logs")
    admin.presses("Overview", within=tabs)
    admin.sees("failed", of_alice("state"))
    browser.execute_script("window.isTheSamePage = true")
    (demo.folder / DATA).touch()
    admin.sees("running", of_alice("state"), seconds=SOON)
    assert is_the_same_page()


@pytest.mark.skipif(AXE is None, reason="NOT RUN: axe-selenium-python needs Python 3.12")
@pytest.mark.timeout(1800)  # a machine that does other things at the same time
def test_all_that_they_opened_can_be_read_in_both_languages(
    admin: Person, alice: Person, bob: Person
) -> None:
    """With axe and measured, in each theme and width, and with what the journeys left on it."""
    demo = alice.demo
    [(pod,)] = asked(demo, "SELECT id FROM userpods_userpod WHERE name = 'user-alice'")
    [(profile,)] = asked(demo, "SELECT id FROM userpods_profile WHERE slug = 'broken'")
    [(run,)] = asked(demo, "SELECT max(id) FROM userpods_bulkrun")
    staff, owner, guest = Looks(admin), Looks(alice), Looks(bob)
    staff.admin_pages(pod=pod, profile=profile, run=run)
    staff.at("refused", demo.pods["alice"], en="This is not your workspace")
    owner.at("home", "/userpods/")
    owner.at("token", "/userpods/", made("for a look"))
    guest.at("home-guest", "/userpods/")

    def stop() -> None:
        alice.goes("/userpods/")
        alice.browser.find_element(By.CSS_SELECTOR, "#pod-main button[value=stop]").click()
        alice.sees("", "#pod-main .state.stopped")

    stop()
    owner.at("home-stopped", "/userpods/")
    alice.browser.find_element(By.CSS_SELECTOR, "#pod-main button[value=start]").click()
    (demo.folder / DATA).unlink()
    with staying(alice.browser):
        owner.at("waiting", demo.pods["alice"], en="Your workspace is starting", before=stop)
    alice.browser.get(demo.pods["alice"])
    alice.sees("Your workspace could not start", "h1", seconds=SOON)
    with staying(alice.browser), staying(bob.browser):
        owner.at("waiting-failed", demo.pods["alice"], en="Your workspace could not start")
        guest.at("waiting-guest", demo.pods["alice"])
    assert [*staff.findings, *owner.findings, *guest.findings] == []


@pytest.mark.timeout(300)
def test_an_open_list_shows_that_a_user_was_deleted(admin: Person) -> None:
    demo, browser = admin.demo, admin.browser
    [(pod, user)] = asked(demo, "SELECT id, owner_id FROM userpods_userpod WHERE name = 'user-bob'")
    admin.goes(PODS)
    browser.execute_script("window.isTheSamePage = true")
    before = browser.current_window_handle
    browser.switch_to.new_window("tab")
    admin.goes(f"/admin/auth/user/{user}/delete/")
    browser.find_element(By.CSS_SELECTOR, "#content form [type=submit]").click()
    admin.sees("was deleted successfully", ".messagelist")
    browser.close()
    browser.switch_to.window(before)
    state = f'[data-userpods-pod="{pod}"][data-userpods-shows="state"]'
    admin.sees("gone", state, seconds=SOON)
    assert browser.execute_script("return window.isTheSamePage")
    wait_for(lambda: not processes(demo, "bob"), seconds=SOON)
    assert not asked(demo, "SELECT id FROM userpods_userpod WHERE name = 'user-bob'")
