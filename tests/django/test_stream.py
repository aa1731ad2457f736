"""The waiting page's stream: in a real uvicorn, and not at all where a thread would wait."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods import lifecycle
from django_userpods.access.authenticators import Visitor
from django_userpods.models import UserPod
from django_userpods.pages import streams
from django_userpods.pages.streams import Streams
from tests.django.asgi_server import BROWSER, Server, asgi_server, becomes
from tests.django.asgi_server import Client as HttpClient
from tests.django.support import row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

STREAM = "/userpods/stream/"


class Events:
    """A stream that is open, read event by event."""

    def __init__(self, client: HttpClient, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=20)
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        self.connection.request("GET", STREAM, headers={"Cookie": cookies, **headers})
        self.answer = self.connection.getresponse()

    def next(self) -> dict[str, Any]:
        """The next that is told, without signs of life; nothing more is an error."""
        while line := self.answer.readline():
            if line.startswith(b"data: {"):
                found: dict[str, Any] = json.loads(line[6:])
                return found
        raise EOFError

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def status_of(client: HttpClient) -> int:
    """What a stream is answered with that is closed at once."""
    with closing(Events(client)) as events:
        return events.answer.status


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with asgi_server(tmp_path_factory.mktemp("asgi")) as running:
        yield running


def made(server: Server, name: str) -> HttpClient:
    client = HttpClient(server)
    assert client.ask(f"/make/{name}")[0] == 200
    return client


@pytest.mark.processes
def test_each_change_is_told_within_a_moment(server: Server) -> None:
    client = made(server, "alice")
    becomes(server, "alice", "pending")
    events = Events(client)
    assert events.answer.status == 200
    assert events.answer.headers["Content-Type"] == "text/event-stream"
    assert events.answer.headers["X-Accel-Buffering"] == "no"
    assert "no-store" in events.answer.headers["Cache-Control"]
    assert events.next()["state"] == "pending"
    becomes(server, "alice", "starting")
    began = time.monotonic()
    assert events.next()["state"] == "starting"
    assert time.monotonic() - began < 5
    becomes(server, "alice", "failed", "ErrImagePull: registry.internal")
    told = events.next()
    assert told["state"] == "failed"
    assert told["message"] == "The software that it runs could not be fetched."
    assert "registry" not in json.dumps(told)
    becomes(server, "alice", "deleting", wanted="absent")
    with pytest.raises(EOFError):
        events.next()
    events.close()


@pytest.mark.processes
def test_a_reader_hears_their_own_language_and_pod(server: Server) -> None:
    clients = {name: made(server, name) for name in ("chi", "eng")}
    for name in clients:
        becomes(server, name, "starting")
    chinese = Events(clients["chi"], **{"Accept-Language": "zh-hans"})
    english = Events(clients["eng"])
    for events in (chinese, english):
        events.next()
    for name in clients:
        becomes(server, name, "failed", "OOMKilled")
    told = chinese.next()
    assert told["service"] == "user-chi"
    assert "内存" in told["message"]
    assert english.next() == {
        "state": "failed",
        "message": "It needs more memory than it is allowed.",
        "service": "user-eng",
    } | {key: value for key, value in told.items() if key not in {"state", "message", "service"}}
    for events in (chinese, english):
        events.close()


@pytest.mark.processes
def test_one_user_opens_a_few_and_gives_their_places_back(server: Server) -> None:
    client = made(server, "tabs")
    becomes(server, "tabs", "starting")
    before = server.connections()
    opened = [Events(client) for _ in range(4)]
    for events in opened:
        assert events.next()["state"] == "starting"
    assert status_of(client) == 503
    other = Events(made(server, "other"))
    assert other.answer.status == 200
    time.sleep(2)
    assert server.connections() <= before + 2, "the thread that asks has one, no stream any"
    for events in (*opened, other):
        events.close()
    deadline = time.monotonic() + 20
    while status_of(client) != 200:
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.mark.processes
def test_it_ends_and_only_whom_it_concerns_is_answered(server: Server) -> None:
    client = made(server, "ends")
    becomes(server, "ends", "starting")
    page = client.ask("/userpods/waiting/", **BROWSER)[1]
    assert f'data-stream="{STREAM}"' in page
    events = Events(client)
    began = time.monotonic()
    events.next()
    while events.answer.readline():
        pass
    assert 20 < time.monotonic() - began < 60
    events.close()
    client.ask("/leave")
    assert status_of(client) == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("untouched_session")
def test_under_wsgi_there_is_none_and_nothing_is_asked_for_it(signed_in: Client) -> None:
    UserPod.objects.update(state="starting", looked_at="2999-01-01T00:00Z")
    with CaptureQueriesContext(connection) as queries:
        answer = signed_in.get(STREAM)
    assert (answer.status_code, answer.content) == (204, b"")
    assert len(queries) == 0
    assert signed_in.post(STREAM).status_code == 405
    page = signed_in.get("/userpods/waiting/", headers=BROWSER).text
    assert "data-stream" not in page
    assert 'data-status="/userpods/status/"' in page


@pytest.mark.django_db(transaction=True)
def test_all_streams_together_are_one_question(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Streams, "_ask", lambda _: None)
    UserPod.objects.update(state="starting", looked_at="2999-01-01T00:00Z")
    found = Streams()
    pod, counts = row(alice), []
    for number in range(4):
        assert found.begin(Visitor(alice, number), pod, "en", 25) is not None
        with CaptureQueriesContext(connection) as queries:
            streams._tell(found._those_open())
        counts.append(len(queries))
    assert counts[0] == counts[-1] <= 2
    assert found.begin(Visitor(alice, 9), pod, "en", 25) is None


@pytest.mark.django_db(transaction=True)
def test_places_nobody_came_to_are_free_again_and_the_process_has_only_so_many(
    alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Streams, "_ask", lambda _: None)
    monkeypatch.setattr(streams, "MOST", 3)
    found, pod = Streams(), row(alice)
    for _ in range(3):
        assert found.begin(Visitor(alice, 0), pod, "en", 0.2) is not None
    assert found.begin(Visitor(alice, 0), pod, "en", 0.2) is None
    time.sleep(0.3)
    assert found.begin(Visitor(alice, 0), pod, "en", 0.2) is not None


@pytest.mark.django_db(transaction=True)
def test_a_pod_that_is_a_path_is_asked_for_by_its_own(
    signed_in: Client, alice: Any, settings: Any
) -> None:
    settings.USERPODS_MAX_PODS = 2
    settings.USERPODS_URL = "/pods/{pod}/"
    lab = lifecycle.add_pod(alice, "lab")
    UserPod.objects.update(state="starting", looked_at="2999-01-01T00:00Z")
    headers = {**BROWSER, "X-Userpods-Path": f"{lab.path}deep"}
    page = signed_in.get("/userpods/waiting/", headers=headers).text
    [url] = {part.split('"')[0] for part in page.split('data-status="')[1:]}
    assert signed_in.get(url.replace("&amp;", "&")).json()["service"] == lab.name
    assert signed_in.get("/userpods/status/?at=/pods/bob/").status_code == 403
    assert signed_in.get("/userpods/status/").json()["service"] == "user-alice"
