"""A database server of the distribution's under the tests, in place of SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from django.core.management import call_command
from django.db import connections
from django.db.utils import ConnectionHandler

from tests.databases.servers import STARTERS, Server
from tests.testcluster.processes import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.testing import MemoryCluster

# Django knows mysqlclient alone, which has to be compiled; this is the same interface.
pymysql.install_as_MySQLdb()


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """What all servers run in."""
    made = Run()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session", params=sorted(STARTERS))
def server(request: Any, run: Run) -> Iterator[Server]:
    """A server that runs, as long as its tests do."""
    started = STARTERS[request.param](run)
    yield started
    run.stop(started.kind)


@pytest.fixture
def use_database(
    server: Server, memory: MemoryCluster, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Callable[..., None]]:
    """Return what puts the server in place of the settings' database; emptied at the end."""
    # Of all threads, and this one's own.
    settings, own = connections.settings["default"], connections["default"]

    def use(level: str = "read committed") -> None:
        connections["default"].close()
        handler = ConnectionHandler({"default": server.at(level)})
        connections.settings["default"] = handler.settings["default"]
        del connections["default"]
        if not server.migrated:
            call_command("migrate", verbosity=0)
            server.migrated = True

    with django_db_blocker.unblock():
        use()
        yield use
        use()
        call_command("flush", interactive=False, verbosity=0)
        connections["default"].close()
        connections.settings["default"] = settings
        connections["default"] = own


@pytest.fixture
def database(use_database: Callable[..., None]) -> None:
    """The server in place of the settings' database, at its usual level of isolation."""
