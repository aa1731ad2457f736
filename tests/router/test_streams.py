"""The waiting page's streams through the router, from Django under ASGI: at the site, at a pod."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.router.hosts_site import ALICES, Client, Site, hosts_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.router

ON_SITE, ON_PODS_HOST = ("www.example.org", "/userpods/stream/"), (ALICES, "/.userpods/stream/")


@pytest.fixture(scope="module")
def site(folder: Path, alice_pod: str, bob_pod: str) -> Iterator[Site]:
    limits = {
        "userpods_clients 64": "userpods_clients 2",
        "userpods_streams 32": "userpods_streams 2",
    }
    peers = {"alice": alice_pod, "bob": bob_pod}
    with hosts_site(folder, peers, limits=limits, is_asgi=True) as running:
        yield running


@pytest.fixture(scope="module")
def alice(site: Site) -> Client:
    """Her browser, signed in at the site and at her pod's host."""
    client = Client(site)
    client.sign_in("alice")
    assert client.navigate(f"https://{ALICES}/")[1].status == 200
    return client


class Stream:
    """One that is open."""

    def __init__(self, client: Client, host: str, path: str) -> None:
        port = client.site.router.port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        jar = client.jar(host)
        headers = {
            "Host": host,
            "Cookie": "; ".join(f"{key}={value}" for key, value in jar.items()),
            "X-Forwarded-For": client.address,
            "X-Forwarded-Proto": "https",
            "Accept": "text/event-stream",
            "Sec-Fetch-Site": "same-origin",
        }
        self._connection.request("GET", path, headers=headers)
        self.answer = self._connection.getresponse()
        self.status = self.answer.status

    def next(self) -> dict[str, Any]:
        """The next that is told."""
        while line := self.answer.readline():
            if line.startswith(b"data: {"):
                found: dict[str, Any] = json.loads(line[6:])
                return found
        raise EOFError

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


@pytest.mark.parametrize("where", [ON_SITE, ON_PODS_HOST])
def test_nothing_on_the_way_keeps_an_event_back(
    site: Site, alice: Client, where: tuple[str, str]
) -> None:
    site.command("becomes", "alice", "starting")
    with closing(Stream(alice, *where)) as stream:
        assert stream.status == 200
        assert stream.next()["state"] == "starting"
        site.command("becomes", "alice", "failed")
        began = time.monotonic()
        assert stream.next()["state"] == "failed"
        assert time.monotonic() - began < 5


def test_streams_of_one_client_are_few_and_take_no_place_of_other_requests(
    site: Site, alice: Client
) -> None:
    site.command("becomes", "alice", "starting")
    with ExitStack() as opened:
        for _ in range(2):
            stream = opened.enter_context(closing(Stream(alice, *ON_SITE)))
            assert stream.next()["state"] == "starting"
        with closing(Stream(alice, *ON_PODS_HOST)) as refused:
            assert refused.status == 429
        assert alice.get("https://www.example.org/userpods/status/").status == 200
