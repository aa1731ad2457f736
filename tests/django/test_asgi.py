"""Under ASGI, in a real uvicorn: async views of the project's, and many requests at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.django.asgi_server import BROWSER, Client, Server, asgi_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with asgi_server(tmp_path_factory.mktemp("asgi")) as running:
        yield running


def test_a_user_saved_and_signed_in_by_an_async_view_gets_to_a_pod(server: Server) -> None:
    client = Client(server)
    assert client.ask("/make/alice") == (200, '{"pod": "user-alice", "state": "running"}')
    assert client.ask("/whoami") == (200, '{"user": "alice", "service": "user-alice"}')
    assert client.ask("/userpods/status/")[0] == 200
    status, page = client.ask("/userpods/waiting/", **BROWSER)
    assert status == 503
    assert "<h1>" in page
    assert client.ask("/userpods/wake/", "POST")[0] == 202
    assert client.ask("/userpods/assets/js")[0] == 200

    assert client.ask("/leave")[0] == 200
    assert client.ask("/whoami")[0] == 401


def test_a_session_is_out_when_an_async_logout_is_answered(server: Server) -> None:
    client = Client(server)
    client.ask("/make/bob")
    before = Client(server, dict(client.cookies))
    assert before.ask("/whoami")[0] == 200
    client.ask("/leave")
    assert before.ask("/whoami")[0] == 401


def test_a_user_deleted_by_an_async_view_is_out(server: Server) -> None:
    client = Client(server)
    client.ask("/make/carol")
    assert Client(server).ask("/remove/carol")[0] == 200
    assert client.ask("/whoami")[0] == 401


def test_many_who_ask_at_once_all_hear(server: Server) -> None:
    clients = [Client(server) for _ in range(20)]
    for number, client in enumerate(clients):
        client.ask(f"/make/many{number}")
    before = server.connections()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: clients[number % 20].ask("/whoami"), range(300)))
    for number, answer in enumerate(answers):
        name = f"many{number % 20}"
        assert answer == (200, f'{{"user": "{name}", "service": "user-{name}"}}')
    time.sleep(1)
    assert server.connections() <= before + 2, "no thread keeps its connection"


def test_those_who_wait_for_the_cluster_hold_nobody_up(server: Server) -> None:
    visitor = Client(server)
    visitor.ask("/make/visitor")
    waiting = [Client(server) for _ in range(30)]
    for number, client in enumerate(waiting):
        client.ask(f"/make/waits{number}")
        client.ask(f"/stop/waits{number}")
    server.slow(is_slow=True)
    try:
        with ThreadPoolExecutor(30) as pool:
            asked = [pool.submit(client.ask, "/userpods/wake/", "POST") for client in waiting]
            time.sleep(0.3)
            began = time.monotonic()
            times = []
            while not all(one.done() for one in asked):
                start = time.monotonic()
                assert visitor.ask("/whoami")[0] == 200
                times.append(time.monotonic() - start)
            waited = time.monotonic() - began
            assert [one.result()[0] for one in asked] == [202] * 30
    finally:
        server.slow(is_slow=False)
    assert waited > 0.5, "they did wait"
    assert sorted(times)[len(times) // 2] < waited / 2
