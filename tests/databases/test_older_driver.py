"""psycopg 2 beside psycopg 3: the controller is told of marks by either."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from django_userpods.controller import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.databases.servers import Server

pytestmark = [
    pytest.mark.databases,
    pytest.mark.parametrize("server", ["postgresql"], indirect=True),
]
#: Seconds: less than those after which a quiet connection is looked at anyway (``_QUIET``).
SOON = 4.0


class Listener:
    """A process that listens by psycopg 2."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line.strip())

    def looks(self, *, within: float) -> bool:
        """Whether it would look now."""
        try:
            return self._lines.get(timeout=within) == "look"
        except queue.Empty:
            return False


@contextmanager
def listening(server: Server) -> Iterator[Listener]:
    command = [sys.executable, "-m", "tests.databases.older_driver", json.dumps(server.settings)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Listener(process)
        finally:
            process.kill()


@pytest.mark.usefixtures("database")
def test_psycopg_2_is_told_of_a_mark_at_its_commit_and_outlives_its_connection(
    server: Server, settings: Any
) -> None:
    settings.USERPODS_CONTROLLER = True
    assert changes._QUIET > SOON
    with listening(server) as older:
        assert older.looks(within=60), "once it listens"
        for name in ("alice", "bob"):
            User.objects.create(username=name)
            assert older.looks(within=SOON), name
        assert not older.looks(within=0.5), "a notification is heard once"
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
            )
            assert cursor.fetchall() == [(True,)]
        assert older.looks(within=30), "it listens anew"
        time.sleep(0.2)
        User.objects.create(username="charlie")
        assert older.looks(within=SOON)
