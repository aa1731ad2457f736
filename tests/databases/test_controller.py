"""A leader on a real database is told of marks."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import marks
from django_userpods.cluster import another_cluster
from django_userpods.controller import changes
from django_userpods.controller import term as terms
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.term import Options, Term
from django_userpods.models import UserPod
from tests.django.support import names
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.testing import MemoryCluster
    from tests.databases.servers import Server

pytestmark = [pytest.mark.databases, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def term(settings: Any, database: None, memory: MemoryCluster) -> Iterator[Term]:
    """A term that has begun, and is in sync."""
    settings.USERPODS_CONTROLLER = True
    made = Term(Options(), Metrics(), another_cluster())
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
def test_who_listens_to_postgresql_ends_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """However long it would wait for a word: a leader that ends gives its Lease back after it."""
    monkeypatch.setattr(changes, "_QUIET", 3600.0)
    told: list[None] = []
    monkeypatch.setattr(changes, "_is_told", partial(noted, changes._is_told, told))
    term: Term = request.getfixturevalue("term")
    wait_for(lambda: told, "somebody who listens")
    assert term.end(30)


def noted(is_told: Callable[..., bool], told: list[None], *connection: Any) -> bool:
    told.append(None)
    return is_told(*connection)


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
