"""Idle pods with Django itself and a real router: who was used, and requests that wake."""

from __future__ import annotations

import datetime
import http.server
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.access import router_activity
from django_userpods.exceptions import NothingHeard
from tests.router.harness import raw, workload
from tests.router.test_django import running_site
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.harness import Response
    from tests.router.test_django import Site

pytestmark = pytest.mark.router

JSON = ("Accept", "application/json")


#: A loopback address of our own: on the usual one a port is soon somebody else's.
HOST = "127.31.7.1"


@pytest.fixture(scope="module")
def port() -> int:
    """Where alice's pod is, once it is there."""
    return free_port(HOST)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, port: int, bob_pod: str) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with running_site(folder, f"{HOST}:{port}", bob_pod) as found:
        yield found


@pytest.fixture(scope="module")
def tokens(site: Site) -> dict[str, tuple[str, str]]:
    return {
        name: ("Authorization", f"Bearer {site.command('token', name)}")
        for name in ("alice", "bob")
    }


def test_what_the_router_saw_is_known_when_it_is_asked(
    site: Site, tokens: dict[str, tuple[str, str]], settings: Any
) -> None:
    settings.USERPODS_ROUTERS = [f"http://127.0.0.1:{site.router.internal}"]
    assert "user-bob" not in router_activity.ask(within=60).used
    begun = datetime.datetime.now(datetime.UTC)
    assert site.router.get("/", tokens["bob"]).status == 200
    heard = router_activity.ask(within=60)
    second = datetime.timedelta(seconds=1)
    assert begun - second < heard.used["user-bob"] < begun + 60 * second
    assert heard.since < begun


def test_a_stopped_pod_is_woken_by_a_request_that_waits_for_it(
    site: Site, tokens: dict[str, tuple[str, str]], port: int, tmp_path: Path
) -> None:
    site.command("become", "alice", "stopped", "stopped")
    answers: list[Response] = []
    name, value = tokens["alice"]
    request = (
        f"POST /x HTTP/1.1\r\nHost: site.test\r\n{name}: {value}\r\nPrefer: wait=60\r\n"
        "Connection: close\r\nContent-Length: 5\r\n\r\nhello"
    )
    thread = threading.Thread(
        target=lambda: answers.append(raw(site.router.port, request.encode(), timeout=90))
    )
    thread.start()
    deadline = time.monotonic() + 30
    while site.command("asked", "alice") != "running alice":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not answers
    with workload("alice", tmp_path, host=HOST, port=port):
        thread.join(90)
        assert answers[0].status == 200
        assert (answers[0].json()["name"], answers[0].json()["body"]) == ("alice", 5)


def test_a_script_that_does_not_wait_wakes_it_all_the_same(
    site: Site, tokens: dict[str, tuple[str, str]]
) -> None:
    site.command("become", "alice", "stopped", "stopped")
    answer = site.router.get("/x", tokens["alice"], JSON)
    assert answer.status == 503
    assert answer.get("retry-after") is not None
    assert site.command("asked", "alice") == "running alice"


@pytest.mark.parametrize(
    ("state", "message", "said"),
    [
        ("failed", "exceeded quota: small", "There is no room left for more workspaces."),
        ("starting", "Unschedulable: 0/3 nodes", "There is no room for it at the moment."),
        ("failed", "CrashLoopBackOff", "It stops right after it is started."),
    ],
)
def test_a_start_that_cannot_be_is_said_at_once(
    site: Site, tokens: dict[str, tuple[str, str]], state: str, message: str, said: str
) -> None:
    site.command("become", "alice", "running", state, message)
    begun = time.monotonic()
    answer = site.router.get("/x", tokens["alice"], JSON, ("Prefer", "wait=60"))
    assert (answer.status, answer.json()["message"]) == (503, said)
    assert time.monotonic() - begun < 20


class Odd(http.server.BaseHTTPRequestHandler):
    """Something that is no router of ours."""

    said: tuple[int, bytes] = (200, b"")

    def do_GET(self) -> None:
        self.send_response(self.said[0])
        self.send_header("Content-Length", str(len(self.said[1])))
        self.end_headers()
        self.wfile.write(self.said[1])

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"{}"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"pods": {}}'),
        (200, b'{"since": 7, "pods": []}'),
        (200, b'{"since": 7, "pods": {"user-a": "now"}}'),
        (200, b'{"since": 1e400, "pods": {}}'),
    ],
)
def test_a_router_that_does_not_say_is_heard_of_as_silent(
    settings: Any, status: int, body: bytes
) -> None:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (Odd,), {"said": (status, body)})
    )
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    settings.USERPODS_ROUTERS = [f"http://127.0.0.1:{server.server_address[1]}"]
    try:
        with pytest.raises(NothingHeard):
            router_activity.ask(within=60)
    finally:
        server.shutdown()
        server.server_close()


def test_of_two_routers_both_have_to_say(site: Site, settings: Any) -> None:
    settings.USERPODS_ROUTERS = [
        f"http://127.0.0.1:{site.router.internal}",
        f"http://127.0.0.1:{free_port()}",
    ]
    with pytest.raises(NothingHeard):
        router_activity.ask(within=60)
