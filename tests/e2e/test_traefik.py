"""A real gateway with TLS in front, as Ingress and as Gateway API: the way people come."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from websockets import InvalidStatus, Origin
from websockets.sync.client import connect

from tests.e2e import traefik
from tests.e2e.client import HOST, ORIGIN, POD_SESSION, SITE_SESSION, pods_host
from tests.e2e.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.e2e.traefik import WayIn

pytestmark = [pytest.mark.node, pytest.mark.timeout(900, func_only=True)]
MEGABYTES = 100


@pytest.fixture(scope="module", params=["ingress", "gateway"])
def way(behind_traefik: Site, request: pytest.FixtureRequest) -> Iterator[WayIn]:
    with traefik.way_in(behind_traefik, request.param) as way:
        yield way


def curl(way: WayIn, *args: str) -> str:
    """What curl prints, with the names at the gateway's address and TLS verified."""
    command = ["curl", "--silent", "--show-error", "--max-time", "30", "--cacert", str(way.ca)]
    command += ["--noproxy", "*"]
    for host in (HOST, pods_host("alice"), pods_host("bob")):
        command += ["--resolve", f"{host}:443:{way.address}"]
    return subprocess.run([*command, *args], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_curl_signs_in_with_a_cookie_jar(way: WayIn, tmp_path: Path, name: str) -> None:
    jar, own = str(tmp_path / "jar"), f"https://{pods_host(name)}"
    login = json.dumps({"user": name, "pwd": way.site.passwords[name]})
    content_type = "Content-Type: application/json"
    said = curl(way, "-c", jar, "-H", content_type, "-d", login, f"{ORIGIN}/api/login")
    assert json.loads(said) == {"user": name}
    # As a page that is opened: through the site's ticket, to the path that was asked for.
    there = curl(way, "-b", jar, "-c", jar, "-L", "-H", "Accept: text/html", f"{own}/some/page")
    said = json.loads(there)
    assert (said["user"], said["path"]) == (name, "/some/page")
    # From now on without.
    assert json.loads(curl(way, "-b", jar, f"{own}/"))["user"] == name
    assert json.loads(curl(way, f"{own}/"))["error"] == "no token"
    # At the other's host the same jar is nobody's, and its owner is told that it is not theirs.
    (other,) = {"alice", "bob"} - {name}
    theirs = f"https://{pods_host(other)}/"
    assert json.loads(curl(way, "-b", jar, theirs))["error"] == "no token"
    page = ("-o", "/dev/null", "-w", "%{http_code} %{url_effective}")
    there = curl(way, "-b", jar, "-c", jar, "-L", "-H", "Accept: text/html", *page, theirs)
    assert there.startswith(f"403 {ORIGIN}/userpods/enter/")


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_chromium_signs_in_and_comes_to_the_page_that_was_asked_for(
    way: WayIn, tmp_path: Path, name: str
) -> None:
    page = f"https://{pods_host(name)}/some/page?x=1"
    with traefik.browser(way, tmp_path) as browser:
        browser.get(page)
        assert browser.current_url.startswith(f"{ORIGIN}/accounts/login/")
        browser.find_element(By.NAME, "username").send_keys(name)
        browser.find_element(By.NAME, "password").send_keys(way.site.passwords[name])
        browser.find_element(By.CSS_SELECTOR, "main button[type=submit]").click()
        WebDriverWait(browser, 60).until(lambda it: it.current_url == page)
        text = browser.find_element(By.TAG_NAME, "body").text
        assert json.loads(text[text.index("{") : text.rindex("}") + 1])["user"] == name
        cookies = {cookie["name"]: cookie for cookie in browser.get_cookies()}
        assert POD_SESSION in cookies
        assert SITE_SESSION not in cookies
        for cookie in cookies.values():
            assert cookie["secure"]
            assert cookie["httpOnly"]
        browser.get(f"{ORIGIN}/accounts/")
        (session,) = [one for one in browser.get_cookies() if one["name"] == SITE_SESSION]
        assert session["secure"]
        assert session["httpOnly"]
        # The account page leads to the pod.
        browser.find_element(By.LINK_TEXT, "Open your pod").click()
        WebDriverWait(browser, 60).until(lambda it: it.current_url == f"https://{pods_host(name)}/")
        # Who signs out of the site is out of the pod's host, too.
        browser.get(f"{ORIGIN}/accounts/")
        browser.find_element(By.CSS_SELECTOR, "main form button[type=submit]").click()
        WebDriverWait(browser, 60).until(lambda it: "/accounts/login/" in it.current_url)
        browser.get(page)
        assert browser.current_url.startswith(f"{ORIGIN}/accounts/login/")


def test_a_websocket_reaches_its_users_pod(way: WayIn) -> None:
    for name in ("alice", "bob"):
        client = way.signed_in(name)
        raw = socket.create_connection((way.address, 443), timeout=20)
        headers = {"Cookie": f"{POD_SESSION}={client.cookies[POD_SESSION]}"}
        url = f"wss://{client.host}/ws"
        with connect(url, sock=raw, ssl=way.tls, additional_headers=headers) as there:
            # The first message says who it is.
            assert str(there.recv(timeout=20)).startswith(f"user-{name}-")
            for text in ("one", "x" * 100_000):
                there.send(text)
                assert there.recv(timeout=20) == text


def test_a_page_of_another_pod_opens_no_websocket(way: WayIn) -> None:
    client = way.signed_in("alice")
    headers = {"Cookie": f"{POD_SESSION}={client.cookies[POD_SESSION]}"}
    raw = socket.create_connection((way.address, 443), timeout=20)
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(
            f"wss://{client.host}/ws",
            sock=raw,
            ssl=way.tls,
            additional_headers=headers,
            origin=Origin(f"https://{pods_host('bob')}"),
        ),
    ):
        pass
    assert refused.value.response.status_code == 401


def test_on_a_kept_connection_each_request_is_its_own_hosts(way: WayIn) -> None:
    clients = {name: way.signed_in(name) for name in ("alice", "bob")}
    connection = clients["alice"].connect()
    for whose, host, status in (
        ("alice", "alice", 200),
        ("alice", "bob", 403),
        ("bob", "bob", 200),
        ("bob", "alice", 403),
        ("alice", "alice", 200),
    ):
        cookie = f"{POD_SESSION}={clients[whose].cookies[POD_SESSION]}"
        connection.request("GET", "/", headers={"Host": pods_host(host), "Cookie": cookie})
        response = connection.getresponse()
        body = response.read()
        assert response.status == status, body
        if status == 200:
            assert json.loads(body)["user"] == whose
    connection.close()


@pytest.mark.parametrize("size", [8 << 10, 16 << 10, 32 << 10])
def test_an_applications_cookies_keep_nobody_out(way: WayIn, size: int) -> None:
    client = way.signed_in("alice")
    own = {f"c{number}": "x" * 2000 for number in range(size // 2000 + 1)}
    client.cookies.update(own)
    sent = client.get("/headers").json()["Cookie"]
    assert sent == ["; ".join(f"{name}={value}" for name, value in own.items())]
    # Signed out, the same browser signs in again.
    assert client.request("POST", "/api/logout", host=HOST).status == 200
    assert client.get("/").status == 401
    assert way.site.signed_in("alice", client=client).get("/").json()["user"] == "alice"


def test_server_sent_events_arrive_one_by_one(way: WayIn) -> None:
    client = way.signed_in("alice")
    connection = client.connect()
    headers = {"Host": client.host, "Cookie": f"{POD_SESSION}={client.cookies[POD_SESSION]}"}
    started = time.monotonic()
    connection.request("GET", "/events?count=4&interval=700ms", headers=headers)
    response = connection.getresponse()
    assert response.getheader("Content-Type") == "text/event-stream"
    arrived = [time.monotonic() - started for line in response if line.startswith(b"data:")]
    connection.close()
    assert len(arrived) == 4
    # Kept back, they would come together at the end.
    assert arrived[3] - arrived[0] > 1.5, arrived


def test_a_large_upload_arrives_whole(way: WayIn) -> None:
    client = way.signed_in("bob")
    body = bytes(range(256)) * (MEGABYTES << 12)
    answer = client.request("POST", "/upload", body=body)
    assert answer.status == 200, answer.text
    said = answer.json()
    assert said["bytes"] == MEGABYTES << 20
    assert said["sha256"] == hashlib.sha256(body).hexdigest()
    assert said["hostname"].startswith("user-bob-")


def test_plain_http_reaches_neither_site_nor_pod(way: WayIn) -> None:
    client = way.signed_in("alice")
    for host, name in ((client.host, POD_SESSION), (HOST, SITE_SESSION)):
        with socket.create_connection((way.address, 80), timeout=20) as plain:
            cookie = f"{name}={client.jars[host][name]}"
            head = f"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n"
            plain.sendall(f"{head}Connection: close\r\n\r\n".encode())
            answer = b""
            while part := plain.recv(65536):
                answer += part
        assert answer.split()[1] in {b"301", b"308"}, answer
        assert f"Location: https://{host}/".encode() in answer


def test_another_host_is_neither_the_sites_nor_a_pods(way: WayIn) -> None:
    client = way.signed_in("alice")
    for host in ("other.example.org", "pods.example.org", "x.alice.pods.example.org"):
        answer = client.request("GET", "/", headers={"Host": host})
        # To an Ingress a wildcard is one label, to the Gateway API any number of them; then the
        # router says that this is no pod's.
        is_wider = way.name == "gateway" and host.startswith("x.")
        assert answer.status == (403 if is_wider else 404), host


def test_the_router_is_rolled_behind_the_gateway(way: WayIn) -> None:
    clients = {name: way.signed_in(name) for name in ("alice", "bob")}
    with Load(clients, rate=12) as load:
        time.sleep(1)
        site = way.site
        site.kubectl("rollout", "restart", "deployment/userpods-router", "-n", "userpods")
        site.rollout("deployment/userpods-router")
        time.sleep(12)
    assert load.summary() == "none"
