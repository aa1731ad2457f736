"""One HTTP/2 connection for two hosts: two users who share it get nothing of each other's.

A browser opens no second connection for a second host that has the same address and certificate
(RFC 9113, 9.1.1). Here both hosts lead to the router, in one browser that is alice on the one and
bob on the other; that they share a connection is looked up, not assumed. HAProxy and Go speak
HTTP/2 with what is at hand; Traefik takes minutes to build and runs with the end-to-end tests.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.browser.chromium import chromium
from tests.router.gateways import HOSTS, TRAEFIK, Gateway, Second, gateway
from tests.router.hostile_answers import HOSTILE
from tests.router.test_hostile_answers import PASSED, REFUSED, UNENDED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = [pytest.mark.router, pytest.mark.browser]

USERS = dict(zip(("alice", "bob"), HOSTS, strict=True))
ANSWERS = HOSTILE | REFUSED | PASSED | UNENDED
_FETCH = """
const [paths, done] = arguments;
const read = async (path) => {
  try {
    return await (await fetch(path, {signal: AbortSignal.timeout(5000)})).text();
  } catch (error) {
    return String(error);
  }
};
Promise.all(paths.map(read)).then(done);
"""


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    return {"cache_seconds": 60, "recheck_seconds": 60}


@pytest.fixture(
    scope="module",
    params=["go", "haproxy-safe", pytest.param(TRAEFIK, marks=pytest.mark.node)],
)
def running_gateway(
    request: pytest.FixtureRequest, folder: Path, running_router: Router
) -> Iterator[Gateway]:
    with gateway(request.param, running_router.port, folder / request.param) as running:
        yield running


@pytest.fixture(scope="module")
def browser(running_gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabs]:
    with chromium(
        tmp_path_factory.mktemp("profile"),
        "--no-proxy-server",
        "--host-resolver-rules=MAP *.site.test 127.0.0.1",
        # Not "all errors": a connection with an error that is ignored is never shared.
        f"--ignore-certificate-errors-spki-list={running_gateway.pin}",
    ) as driver:
        yield Tabs(driver, running_gateway.secure)


class Tabs:
    """A browser with a tab for each user, who is signed in on a host of their own."""

    def __init__(self, driver: WebDriver, port: int) -> None:
        self.driver = driver
        self.tabs = {}
        for name, host in USERS.items():
            driver.switch_to.new_window("tab")
            self.tabs[name] = driver.current_window_handle
            driver.get(f"https://{host}:{port}/static/")
            driver.add_cookie({"name": "sessionid", "value": f"s-{name}", "secure": True})

    def fetch(self, name: str, *paths: str) -> list[str]:
        """What the user gets for these paths, all asked for at once."""
        self.driver.switch_to.window(self.tabs[name])
        found: list[str] = self.driver.execute_async_script(_FETCH, paths)
        return found

    def begin(self, name: str, path: str) -> None:
        """Ask for a path and go on."""
        self.driver.switch_to.window(self.tabs[name])
        self.driver.execute_script("fetch(arguments[0]).catch(() => {})", path)


def test_two_users_on_one_connection_reach_their_own(
    browser: Tabs, running_gateway: Gateway, django: FakeDjango
) -> None:
    answers: list[dict[str, Any]] = []
    for _ in range(3):
        for name in USERS:
            for text in browser.fetch(name, *(f"/{name}/{number}" for number in range(20))):
                answers.append(json.loads(text))
                assert answers[-1]["name"] == name
                assert answers[-1]["target"].startswith(f"/{name}/")
    assert len(client_ports(running_gateway, answers)) == 1


@pytest.mark.timeout(280)
def test_nothing_of_a_hostile_pod_reaches_the_other_host(browser: Tabs, django: FakeDjango) -> None:
    for name, answer in ANSWERS.items():
        parts = [("bytes", answer), ("bytes", b"pwned"), ("bytes", b"pwned")]
        browser.begin("alice", f"/parts?{urlencode([('apart', '0.05'), *parts])}")
        for text in browser.fetch("bob", *(f"/bob/{number}" for number in range(5))):
            assert json.loads(text)["name"] == "bob", (name, text)
            for mark in Second.MARKS:
                assert mark.decode() not in text, (name, text)


def client_ports(running: Gateway, answers: list[dict[str, Any]]) -> set[str]:
    """The clients' ports of the connections over which these answers were asked for."""
    if running.kind != TRAEFIK:
        headers = [header for answer in answers for header in answer["headers"]]
        return {value for key, value in headers if key.lower() == "x-client-port"}
    lines = map(json.loads, running.access_log.read_text().splitlines())
    asked = [line for line in lines if line["RequestPath"].startswith(("/alice/", "/bob/"))]
    assert len(asked) == len(answers)
    assert {line["RequestProtocol"] for line in asked} == {"HTTP/2.0"}
    return {line["ClientPort"] for line in asked}
