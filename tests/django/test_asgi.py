"""Under ASGI, in a real uvicorn: async views of the project's, and many requests at once."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes

TOP = Path(__file__).parents[2]
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    database: Path
    log: Path

    def slow(self, *, is_slow: bool) -> None:
        """Have each answer of the cluster take a second, or none."""
        mark = self.database.with_name(self.database.name + ".slow")
        mark.touch() if is_slow else mark.unlink(missing_ok=True)

    def connections(self) -> int:
        """Return how often the process has the database open."""
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        found = [str(link.readlink()) for link in links if link.is_symlink()]
        return sum(name.startswith(str(self.database)) for name in found)


@dataclass
class Client:
    """A browser as far as cookies go."""

    server: Server
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        connection.request(method, path, headers={**sent, **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return answer.status, text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("asgi")
    database, log = folder / "db.sqlite3", folder / "log"
    environment = {**os.environ, "ASGI_DATABASE": str(database)}
    migrate = "from tests.django import asgi_site; from django.core.management import call_command"
    subprocess.run(
        [sys.executable, "-c", f"{migrate}; call_command('migrate', verbosity=0)"],
        env=environment,
        cwd=TOP,
        check=True,
    )
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "tests.django.asgi_site:application"]
    with log.open("wb") as to:
        process = subprocess.Popen(
            [*command, "--port", "0", "--lifespan", "off"],
            env=environment,
            cwd=TOP,
            stdout=to,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Server(process, int(found[1]), database, log)
    finally:
        process.terminate()
        process.wait(20)
    said = log.read_text()
    assert "SynchronousOnlyOperation" not in said
    assert "Traceback" not in said


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
