"""The controller's own port: how it is, and nothing else, whatever it is asked."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError

from django_userpods.controller import metrics as module
from django_userpods.controller.http import Server
from django_userpods.controller.metrics import Metrics
from tests.django.support import sync
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing import MemoryCluster


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that is healthy, and not ready."""
    made = Server(
        "127.0.0.1", 0, healthy=lambda: "", ready=lambda: "nobody leads yet", metrics=Metrics()
    )
    yield made
    made.close()


def ask(server: Server, path: str, method: str = "GET") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_it_says_how_it_is(server: Server) -> None:
    assert ask(server, "/healthz") == (200, "ok\n")
    assert ask(server, "/readyz?verbose") == (503, "nobody leads yet\n")
    assert ask(server, "/healthz", "HEAD") == (200, "")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz/../metrics", "/debug"])
def test_there_is_nothing_else(server: Server, path: str) -> None:
    assert ask(server, path) == (404, "not found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "<b>"])
def test_nothing_can_be_asked_of_it_but_to_say_so(server: Server, method: str) -> None:
    status, said = ask(server, "/metrics", method)
    assert status == 501
    assert "<b>" not in said
    assert "userpods_" not in said


@pytest.mark.django_db
def test_its_numbers_name_nobody(memory: MemoryCluster) -> None:
    pytest.importorskip("prometheus_client")
    UserFactory(username="alice")
    sync()
    found = Metrics().exposition()
    assert found is not None
    assert b'userpods_pods{state="running"} 1.0' in found[0]
    assert b"alice" not in found[0]


def test_clients_that_say_nothing_hold_up_nobody(server: Server) -> None:
    with ExitStack() as stack:
        for number in range(200):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(b"" if number % 2 else b"GET /healthz HTTP/1.1\r\nA: b")
        assert ask(server, "/healthz") == (200, "ok\n")


def test_a_database_that_hangs_holds_up_no_answer_of_the_api_server_and_no_other_scrape(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer is counted before a watch or a worker has it."""
    asked, freed = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        assert freed.wait(120)
        message = "canceling statement due to user request"
        raise OperationalError(message)

    monkeypatch.setattr(module, "rows", hang)
    metrics = Metrics()
    hanging = Server("127.0.0.1", 0, healthy=lambda: "", ready=lambda: "", metrics=metrics)
    scrape = threading.Thread(target=ask, args=[hanging, "/metrics"])
    scrape.start()
    try:
        assert asked.wait(60)
        answer = threading.Thread(target=metrics.answered, args=["PUT", 418], daemon=True)
        answer.start()
        answer.join(30)
        assert not answer.is_alive()
        assert (
            'userpods_api_calls_total{code="418",method="PUT"} 1.0' in ask(hanging, "/metrics")[1]
        )
    finally:
        freed.set()
        scrape.join()
        hanging.close()
