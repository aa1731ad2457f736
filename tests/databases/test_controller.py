"""A leader on a real database: it is told of marks, and outlives the database's death."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import marks
from django_userpods.controller import term as terms
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.term import Options, Term
from django_userpods.models import UserPod
from tests.databases.servers import promote, start_standby
from tests.django.support import names
from tests.real.matrix import MATRIX
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing import MemoryCluster
    from tests.databases.servers import Server
    from tests.testcluster.processes import Run

pytestmark = [pytest.mark.databases, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def term(settings: Any, database: None, memory: MemoryCluster) -> Iterator[Term]:
    """A term that has begun, and is in sync."""
    settings.USERPODS_CONTROLLER = True
    made = Term(Options(), Metrics())
    made.start()
    try:
        wait_for(lambda: made.is_synced, "a look at everything")
        yield made
    finally:
        assert made.end(30)
        # PyMySQL leaves sockets of servers that went away to the collector, which complains.
        gc.collect()


def is_running(memory: MemoryCluster, *usernames: str) -> bool:
    """Tell whether these have pods, and all rows say so and ask for nothing."""
    rows = UserPod.objects.values_list("state", "asked_at")
    pods = [f"user-{name}" for name in usernames]
    return names(memory) == pods and set(rows) == {("running", None)}


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_postgresql_tells_of_a_mark_at_its_commit(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    memory: MemoryCluster,
    request: pytest.FixtureRequest,
) -> None:
    """The poll comes so seldom that it has no part in it."""
    monkeypatch.setattr(terms, "_POLL", 3600.0)
    term: Term = request.getfixturevalue("term")
    for name in ("alice", "bob"):
        User.objects.create(username=name)
        wait_for(lambda name=name: f"user-{name}" in names(memory), "its pod")  # type: ignore[misc]
    assert term.dead_thread() == ""


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_marks_are_found_by_one_query_that_uses_their_index(server: Server, database: None) -> None:
    """Of many rows a few have one: each second all of them would be read otherwise."""
    now = timezone.now()
    UserPod.objects.bulk_create(
        UserPod(owner_pk=str(number), asked_at=now if number % 1000 == 0 else None)
        for number in range(5000)
    )
    connection = connections["default"]
    table = UserPod._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}")
        indexes = connection.introspection.get_constraints(cursor, table)
    [index] = [name for name, found in indexes.items() if found["columns"] == ["asked_at"]]
    with CaptureQueriesContext(connection) as queries:
        assert len(marks.waiting()) == 5
    [query] = queries.captured_queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan
    assert "Seq Scan" not in plan


def test_marks_are_found(term: Term, memory: MemoryCluster) -> None:
    alice = User.objects.create(username="alice")
    User.objects.create(username="bob")
    wait_for(lambda: is_running(memory, "alice", "bob"), "two pods")
    alice.delete()
    wait_for(lambda: is_running(memory, "bob"), "one pod")


def test_a_database_that_dies_and_comes_back_is_no_end(
    term: Term,
    memory: MemoryCluster,
    server: Server,
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    User.objects.create(username="alice")
    wait_for(lambda: is_running(memory, "alice"), "a pod")
    server.kill(run)
    try:
        # Nobody tells of this: the database is what it would have to be held against.
        for ref in list(memory.objects):
            del memory.objects[ref]
        with pytest.raises(DatabaseError):
            UserPod.objects.count()
        for pod in ("0123456789abcdef", "fedcba9876543210"):
            term.pods.add(pod)
        wait_for(lambda: term.pods.backlog().due == 0, "a try")
    finally:
        connections.close_all()
        server.start(run)
    began = time.monotonic()
    User.objects.create(username="bob")
    wait_for(lambda: is_running(memory, "alice", "bob"), "two pods")
    MATRIX.note("database", time.monotonic() - began)
    assert term.dead_thread() == ""
    # Not the one that listens either, which is let off elsewhere.
    assert "ended" not in caplog.text


def test_a_database_that_is_slow_is_waited_for(
    term: Term, memory: MemoryCluster, server: Server
) -> None:
    User.objects.create(username="alice")
    wait_for(lambda: is_running(memory, "alice"), "a pod")
    table = UserPod._meta.db_table
    locks = {"postgresql": "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE"}
    lock = locks.get(server.kind, "LOCK TABLES {} WRITE")
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(lock.format(table))
        # Nobody can look at it, let alone write.
        for ref in list(memory.objects):
            del memory.objects[ref]
        term.notice("0123456789abcdef")
        wait_for(term.pods.running, "a look that waits")
        time.sleep(4)
    finally:
        other.close()
    began = time.monotonic()
    User.objects.create(username="bob")
    term.look_at_everything()
    wait_for(lambda: is_running(memory, "alice", "bob"), "two pods")
    MATRIX.note("slow", time.monotonic() - began)
    assert term.dead_thread() == ""


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_database_that_fails_over_is_followed(
    server: Server,
    run: Run,
    memory: MemoryCluster,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    standby = start_standby(run, server)
    try:
        hosts = f"{server.settings['HOST']},{standby.settings['HOST']}"
        monkeypatch.setitem(server.settings, "HOST", hosts)
        term: Term = request.getfixturevalue("term")
        User.objects.create(username="alice")
        wait_for(lambda: is_running(memory, "alice"), "a pod")
        server.end(run)
        promote(standby)
        began = time.monotonic()
        connections.close_all()
        User.objects.create(username="bob")
        wait_for(lambda: is_running(memory, "alice", "bob"), "two pods")
        MATRIX.note("failed-over", time.monotonic() - began)
        assert term.dead_thread() == ""
    finally:
        connections.close_all()
        standby.end(run)
        server.start(run)
