"""A pod shared and taken back in real Chromium, on the local cluster behind the real router."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.browser.chromium import keep_pictures
from tests.browser.people import Person, person

pytestmark = [pytest.mark.browser, pytest.mark.router]

#: Seconds within which what runs is cut: one, as is said, and one more for the machine.
WITHIN = 2
#: Opens a WebSocket and a stream, and keeps what comes and when they end.
LISTEN = """
window.came = {socket: [], stream: 0};
window.over = {};
const socket = new WebSocket(`ws://${location.host}/`);
socket.onmessage = (event) => came.socket.push(event.data);
socket.onclose = () => { over.socket = Date.now(); };
(async () => {
    try {
        const reader = (await fetch("/sse?every=0.1")).body.getReader();
        while (!(await reader.read()).done) came.stream += 1;
    } catch { /* It was cut. */ }
    over.stream = Date.now();
})();
"""


def is_out(bob: Person, *, was_in: bool) -> None:
    """Open a page of alice's pod in vain, and see where that leads."""
    bob.browser.get(f"{bob.demo.pods['alice']}lab")
    if was_in:
        bob.sees("This account or token has no access here.")
        bob.presses("Sign in")
    bob.sees("This is not your workspace", "h1")
    bob.sees("ask its owner to share it again")
    assert bob.browser.find_element(By.LINK_TEXT, "My workspaces").is_displayed()
    assert not bob.browser.find_elements(By.LINK_TEXT, "Sign in")


def shares(alice: Person, days: str) -> None:
    """Share alice's pod with bob on My pods."""
    alice.goes("/userpods/")
    alice.presses("Share", within="#shares-0")
    Select(alice.browser.find_element(By.NAME, "days")).select_by_visible_text(days)
    alice.fills("whom", "bob")
    alice.presses("Share", within="#shares-0 form[action$='/shares/']")
    alice.sees("Shared with 1", "#shares-0 summary")


def is_in(bob: Person) -> None:
    """Open what is shared from bob's own page, and listen there."""
    bob.goes("/userpods/")
    bob.sees("alice", "section[aria-labelledby=userpods-shared]")
    keep_pictures(bob.browser, "shared-with-me")
    bob.presses("Open", within="section[aria-labelledby=userpods-shared]")
    bob.sees('"alice "')
    told = bob.is_told(of="alice")
    assert told["name"] == "alice "
    sent = {name.lower(): value for name, value in told["headers"]}
    assert (sent["x-userpods-user"], sent["x-userpods-guest"]) == ("bob", "1")
    assert "cookie" not in sent
    bob.browser.execute_script(LISTEN)

    def hears(_: object) -> bool:
        came = bob.browser.execute_script("return came")
        return bool(came["socket"] == ["hello from alice "] and came["stream"] > 0)

    WebDriverWait(bob.browser, 30, 0.1).until(hears)
    assert bob.browser.execute_script("return over") == {}


def is_cut(bob: Person, after: float) -> None:
    """Wait until what bob listens to has ended; hold when, in seconds since the epoch."""

    def both(_: object) -> bool:
        return len(bob.browser.execute_script("return over")) == 2

    WebDriverWait(bob.browser, 30, 0.1).until(both, "what runs is not cut")
    for what, at in bob.browser.execute_script("return over").items():
        assert at / 1000 - after < WITHIN, what


@pytest.mark.timeout(300)
def test_a_guest_is_in_until_the_owner_takes_it_back(alice: Person, bob: Person) -> None:
    is_out(bob, was_in=False)
    shares(alice, "a day")
    alice.presses("Shared with 1", within="#shares-0")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    line = alice.browser.find_element(By.CSS_SELECTOR, "#shares-0 .item").text
    assert line.startswith("bob")
    assert "Until " in line
    assert f" {tomorrow.day}, {tomorrow.year}" in line
    keep_pictures(alice.browser, "home-shared")

    is_in(bob)
    alice.presses("Stop sharing", within="#shares-0")
    alice.sees("Share", "#shares-0 summary")
    assert "Shared with 1" not in alice.browser.page_source
    is_cut(bob, after=time.time())
    is_out(bob, was_in=True)
    keep_pictures(bob.browser, "shared-no-longer")
    bob.goes("/userpods/")
    assert not bob.browser.find_elements(By.ID, "userpods-shared")
    assert bob.is_told()["name"] == "bob ", "their own is theirs"


@pytest.mark.timeout(300)
def test_a_guest_is_out_when_the_time_that_staff_set_is_over(
    alice: Person, bob: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shares(alice, "until I stop sharing")
    with person("admin", alice.demo, tmp_path_factory.mktemp("browser")) as admin:
        admin.goes("/admin/userpods/share/")
        admin.browser.find_element(By.CSS_SELECTOR, "#result_list tbody th a").click()
        is_in(bob)
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=10)
        admin.fills("expires_at_0", f"{end:%Y-%m-%d}")
        admin.fills("expires_at_1", f"{end:%H:%M:%S}")
        admin.presses("Save")
        admin.sees("was changed successfully", ".messagelist")
        assert bob.browser.execute_script("return over") == {}, "until then he is in"
        is_cut(bob, after=end.timestamp())
        for at in bob.browser.execute_script("return over").values():
            assert at / 1000 > end.timestamp() - 1
    is_out(bob, was_in=True)
