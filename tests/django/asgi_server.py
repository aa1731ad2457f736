"""``asgi_site`` in a real uvicorn, and clients of it."""

from __future__ import annotations

import http.client
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parents[2]
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    database: Path
    log: Path
    #: Sessions of those who are signed in for several tests.
    sessions: dict[str, str] = field(default_factory=dict)

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


@contextmanager
def asgi_server(folder: Path) -> Iterator[Server]:
    """Run the site, with its database in a folder."""
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
        # Streams that are still open end first.
        process.wait(40)
    said = log.read_text()
    assert "SynchronousOnlyOperation" not in said
    assert "Traceback" not in said


def becomes(server: Server, name: str, state: str, message: str = "", **more: str) -> None:
    """Have a pod in a state that no look at the cluster changes."""
    columns = {"state": state, "message": message, "looked_at": "2999-01-01", **more}
    with closing(sqlite3.connect(server.database, timeout=30)) as database, database:
        database.execute(
            f"UPDATE userpods_userpod SET {', '.join(f'{key} = ?' for key in columns)} "  # noqa: S608 - names of ours
            "WHERE name = ?",
            (*columns.values(), f"user-{name}"),
        )
