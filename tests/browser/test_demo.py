"""``make demo`` as a person uses it: the real demo on a free port, in real Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from django_userpods.clusters.local import LocalCluster
from django_userpods.core.objects import DEPLOYMENT, Ref
from tests.browser.chromium import chromium, keep_picture, sign_in, wait_for_text
from tests.browser.demos import DEMO, Demo, end, left_running, start, started
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = [pytest.mark.browser, pytest.mark.router]
CHARLIE_PASSWORD = "long-enough-for-charlie"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = started(tmp_path_factory.mktemp("demo"))
    yield demo
    end(demo)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    with chromium(tmp_path) as browser:
        yield browser


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_everybody_gets_to_their_own_pod(demo: Demo, browser: WebDriver, name: str) -> None:
    page = f"{demo.pods[name]}some/page?x=1"
    browser.get(page)
    assert browser.current_url.startswith(f"{demo.site}/accounts/login/")
    keep_picture(browser, "login")
    sign_in(browser, name, demo.passwords[name])
    wait_for_text(browser, "h1", f"This is {name}'s own pod")
    assert browser.find_element(By.ID, "user").text == name
    assert browser.current_url == page, "back to where they wanted to go"
    body = browser.find_element(By.TAG_NAME, "body").text
    assert "sessionid" not in body, "the site's cookies do not reach a pod"
    assert "userpods" not in body.lower().replace("x-userpods-user", ""), "nor do ours"
    keep_picture(browser, name)


def test_a_wrong_password_signs_nobody_in(demo: Demo, browser: WebDriver) -> None:
    browser.get(f"{demo.site}/")
    sign_in(browser, "alice", demo.passwords["bob"])
    wait_for_text(browser, "[role=alert]", "enter a correct username and password")
    assert browser.get_cookie("sessionid") is None
    keep_picture(browser, "wrong-password")
    browser.get(demo.pods["alice"])
    assert "/accounts/login/" in browser.current_url


def test_the_account_page_leads_to_the_pod_and_back(demo: Demo, browser: WebDriver) -> None:
    browser.get(f"{demo.site}/")
    sign_in(browser, "alice", demo.passwords["alice"])
    browser.find_element(By.LINK_TEXT, "Open your pod").click()
    wait_for_text(browser, "h1", "This is alice's own pod")
    assert browser.current_url == demo.pods["alice"]
    browser.find_element(By.LINK_TEXT, "Your account").click()
    wait_for_text(browser, "#pod-name", "user-alice")
    assert browser.current_url == f"{demo.site}/accounts/"
    keep_picture(browser, "account")


def test_somebody_elses_pod_is_refused(demo: Demo, browser: WebDriver) -> None:
    browser.get(demo.pods["bob"])
    sign_in(browser, "alice", demo.passwords["alice"])
    wait_for_text(browser, "body", "not your workspace")
    keep_picture(browser, "not-yours")


def test_a_number_leads_to_the_name(demo: Demo, browser: WebDriver) -> None:
    browser.get(demo.site.replace("localhost", "127.0.0.1") + "/accounts/")
    assert browser.current_url.startswith(f"{demo.site}/accounts/login/")


def test_after_a_sign_out_somebody_else_signs_in(demo: Demo, browser: WebDriver) -> None:
    alices, bobs = demo.pods["alice"], demo.pods["bob"]
    browser.get(alices)
    sign_in(browser, "alice", demo.passwords["alice"])
    wait_for_text(browser, "h1", "This is alice's own pod")
    browser.get(f"{demo.site}/accounts/")
    browser.find_element(By.XPATH, "//button[text()='Sign out']").click()
    wait_for_text(browser, "h1", "Sign in")
    browser.get(alices)
    assert "/accounts/login/" in browser.current_url, "at once, not when a cache expires"
    browser.get(bobs)
    sign_in(browser, "bob", demo.passwords["bob"])
    wait_for_text(browser, "h1", "This is bob's own pod")
    browser.get(alices)
    wait_for_text(browser, "body", "not your workspace")


def test_charlie_is_added_in_the_admin_and_has_a_pod(demo: Demo, browser: WebDriver) -> None:
    browser.get(f"{demo.site}/admin/auth/user/add/")
    sign_in(browser, "admin", demo.passwords["admin"])
    wait_for_text(browser, "h1", "Add user")
    browser.find_element(By.NAME, "username").send_keys("charlie")
    browser.find_element(By.NAME, "password1").send_keys(CHARLIE_PASSWORD)
    browser.find_element(By.NAME, "password2").send_keys(CHARLIE_PASSWORD)
    browser.find_element(By.NAME, "_save").click()
    wait_for_text(browser, ".messagelist", "charlie")
    browser.get(f"{demo.site}/admin/userpods/userpod/")
    wait_for_text(browser, "#result_list", "user-charlie")
    keep_picture(browser, "admin")

    browser.delete_all_cookies()
    browser.get(demo.pods["alice"].replace("alice", "charlie"))
    sign_in(browser, "charlie", CHARLIE_PASSWORD)
    wait_for_text(browser, "h1", "This is charlie's own pod")
    assert browser.find_element(By.ID, "user").text == "charlie"


def test_a_stopped_pod_starts_when_its_user_comes(demo: Demo, browser: WebDriver) -> None:
    browser.get(f"{demo.site}/admin/auth/user/?q=bob")
    sign_in(browser, "admin", demo.passwords["admin"])
    wait_for_text(browser, "h1", "Select user to change")
    browser.find_element(By.CSS_SELECTOR, "input.action-select").click()
    Select(browser.find_element(By.NAME, "action")).select_by_visible_text("Stop pods")
    browser.find_element(By.CSS_SELECTOR, ".actions button[name=index]").click()
    wait_for_text(browser, "h1", "Stop 1 pod?")
    browser.find_element(By.CSS_SELECTOR, "#content form [type=submit]").click()
    wait_for_text(browser, ".messagelist", "Stopped 1 pod")
    browser.get(f"{demo.site}/admin/userpods/userpod/?q=user-bob")
    wait_for_text(browser, "#result_list", "stopped")
    browser.delete_all_cookies()
    browser.get(f"{demo.pods['bob']}deep/link")
    sign_in(browser, "bob", demo.passwords["bob"])
    keep_picture(browser, "waiting")
    wait_for_text(browser, "h1", "This is bob's own pod")
    assert browser.current_url == f"{demo.pods['bob']}deep/link"


def test_the_controller_puts_back_what_somebody_deleted(demo: Demo) -> None:
    with closing(LocalCluster(state_dir=str(demo.folder / "site" / "pods"))) as cluster:
        found = cluster.list(DEPLOYMENT, namespace=None, labels={})
        [first] = [item for item in found if item["metadata"]["name"] == "user-alice"]
        cluster.delete(Ref.of(first), uid=first["metadata"]["uid"])
        deadline = time.monotonic() + 30
        while cluster.get(Ref.of(first)) is None:
            assert time.monotonic() < deadline, (demo.folder / "logs/controller.log").read_text()
            time.sleep(0.2)


def test_it_starts_soon(demo: Demo) -> None:
    assert demo.seconds < 60


def test_a_second_demo_of_the_same_folder_or_port_says_so(demo: Demo) -> None:
    port = int(demo.site.rpartition(":")[2])
    for folder, wanted, words in (
        (demo.folder, free_port(), "another demo uses"),
        (demo.folder / "other", port, f"port {port} of 127.0.0.1 cannot be used"),
    ):
        process = start(folder, port=wanted)
        told, _ = process.communicate(timeout=30)
        assert process.returncode == 1
        assert words in told
        assert "Traceback" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_starts_again_and_ends_by_a_signal(tmp_path: Path, number: int) -> None:
    first = started(tmp_path)
    assert len(left_running(tmp_path)) > 5
    assert "Nothing is left running" in end(first)
    again = started(tmp_path)
    assert again.passwords.keys() == {"alice", "bob", "admin"}
    assert again.passwords != first.passwords
    end(again, number)


def test_a_demo_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    demo = started(tmp_path)
    demo.process.kill()
    demo.process.communicate()
    deadline = time.monotonic() + 40
    while left := left_running(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_it_ends_when_its_terminal_closes(tmp_path: Path) -> None:
    demo = started(tmp_path)
    assert demo.process.stdout is not None
    demo.process.stdout.close()
    demo.process.send_signal(signal.SIGHUP)
    assert demo.process.wait(60) == 0
    assert left_running(tmp_path) == []


def test_what_is_no_port_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        env={**os.environ, "DEMO_PORT": "eighty"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "DEMO_PORT is 'eighty'" in done.stdout
