"""A real gateway with TLS in front, as Ingress and as Gateway API: the way people come."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from websockets.sync.client import connect

from tests.e2e import traefik
from tests.e2e.client import HOST, ORIGIN
from tests.e2e.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.e2e.site import Site
    from tests.e2e.traefik import WayIn

pytestmark = [pytest.mark.node, pytest.mark.timeout(900, func_only=True)]
MEGABYTES = 100


@pytest.fixture(scope="module")
def running(site: Site) -> Site:
    traefik.start(site)
    return site


@pytest.fixture(scope="module", params=["ingress", "gateway"])
def way(running: Site, request: pytest.FixtureRequest) -> Iterator[WayIn]:
    with traefik.way_in(running, request.param) as way:
        yield way


def curl(way: WayIn, *args: str) -> str:
    """What curl prints, with the site's name at the gateway's address and TLS verified."""
    command = ["curl", "--silent", "--show-error", "--max-time", "30", "--cacert", str(way.ca)]
    command += ["--noproxy", "*", "--resolve", f"{HOST}:443:{way.address}", *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_curl_with_a_cookie_jar(way: WayIn, tmp_path: Path, name: str) -> None:
    jar = str(tmp_path / "jar")
    login = json.dumps({"user": name, "pwd": way.site.passwords[name]})
    content_type = "Content-Type: application/json"
    said = curl(way, "-c", jar, "-H", content_type, "-d", login, f"{ORIGIN}/api/login")
    assert json.loads(said) == {"user": name}
    assert json.loads(curl(way, "-b", jar, f"{ORIGIN}/some/page"))["user"] == name
    assert json.loads(curl(way, f"{ORIGIN}/"))["error"] == "no token"


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_chromium(way: WayIn, tmp_path: Path, name: str) -> None:
    browser = _chromium(way, tmp_path)
    try:
        browser.get(f"{ORIGIN}/some/page")
        assert "/accounts/login/" in browser.current_url
        browser.find_element(By.NAME, "username").send_keys(name)
        browser.find_element(By.NAME, "password").send_keys(way.site.passwords[name])
        browser.find_element(By.CSS_SELECTOR, "main button[type=submit]").click()
        WebDriverWait(browser, 60).until(lambda it: it.current_url == f"{ORIGIN}/some/page")
        text = browser.find_element(By.TAG_NAME, "body").text
        assert json.loads(text[text.index("{") : text.rindex("}") + 1])["user"] == name
        cookies = {cookie["name"]: cookie for cookie in browser.get_cookies()}
        assert cookies["sessionid"]["secure"]
        assert cookies["sessionid"]["httpOnly"]
    finally:
        browser.quit()


def test_a_websocket(way: WayIn) -> None:
    for name in ("alice", "bob"):
        client = way.signed_in(name)
        raw = socket.create_connection((way.address, 443), timeout=20)
        headers = {"Cookie": f"sessionid={client.cookies['sessionid']}"}
        url = f"wss://{HOST}/ws"
        with connect(url, sock=raw, ssl=way.tls, additional_headers=headers) as there:
            # The first message says who it is.
            assert str(there.recv(timeout=20)).startswith(f"user-{name}-")
            for text in ("one", "x" * 100_000):
                there.send(text)
                assert there.recv(timeout=20) == text


def test_server_sent_events_arrive_one_by_one(way: WayIn) -> None:
    client = way.signed_in("alice")
    connection = client.connect()
    headers = {"Host": HOST, "Cookie": f"sessionid={client.cookies['sessionid']}"}
    started = time.monotonic()
    connection.request("GET", "/events?count=4&interval=700ms", headers=headers)
    response = connection.getresponse()
    assert response.getheader("Content-Type") == "text/event-stream"
    arrived = [time.monotonic() - started for line in response if line.startswith(b"data:")]
    connection.close()
    assert len(arrived) == 4
    # Kept back, they would come together at the end.
    assert arrived[3] - arrived[0] > 1.5, arrived


def test_a_large_upload(way: WayIn) -> None:
    client = way.signed_in("bob")
    body = bytes(range(256)) * (MEGABYTES << 12)
    answer = client.request("POST", "/upload", body=body)
    assert answer.status == 200, answer.text
    said = answer.json()
    assert said["bytes"] == MEGABYTES << 20
    assert said["sha256"] == hashlib.sha256(body).hexdigest()
    assert said["hostname"].startswith("user-bob-")


def test_plain_http_does_not_reach_a_pod(way: WayIn) -> None:
    with socket.create_connection((way.address, 80), timeout=20) as plain:
        session = way.signed_in("alice").cookies["sessionid"]
        head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nCookie: sessionid={session}\r\n"
        plain.sendall(f"{head}Connection: close\r\n\r\n".encode())
        answer = b""
        while part := plain.recv(65536):
            answer += part
    assert answer.split()[1] in {b"301", b"308"}, answer
    assert f"Location: {ORIGIN}/".encode() in answer


def test_another_host_is_not_the_sites(way: WayIn) -> None:
    client = way.signed_in("alice")
    answer = client.request("GET", "/", headers={"Host": "other.example.org"})
    assert answer.status == 404


def test_the_router_is_rolled_behind_the_gateway(way: WayIn) -> None:
    clients = {name: way.signed_in(name) for name in ("alice", "bob")}
    with Load(clients, rate=12) as load:
        time.sleep(1)
        site = way.site
        site.kubectl("rollout", "restart", "deployment/userpods-router", "-n", "userpods")
        site.rollout("deployment/userpods-router")
        time.sleep(12)
    assert load.summary() == "none"


def _chromium(way: WayIn, folder: Path) -> WebDriver:
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-proxy-server",
        "--disable-background-networking",
        f"--user-data-dir={folder / 'profile'}",
        f"--host-resolver-rules=MAP {HOST} {way.address}",
        # Chromium has a list of authorities of its own; the certificate is checked by curl.
        "--ignore-certificate-errors",
    ):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    browser.set_page_load_timeout(90)
    return browser
