"""What ``whoami`` asks of the database and the cluster, and what it does without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_userpods.models import AccessToken
from tests.django.asking_whoami import ALICE, INVALID, answer, ask, token_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


# --- cost


@pytest.mark.usefixtures("untouched_session")
def test_sessions_that_need_no_query_leave_one(alice: Any, client: Client, settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client.force_login(alice)
    with CaptureQueriesContext(connection) as queries:
        assert answer(ask(client)) == ALICE
    assert len(queries) == 1


def test_a_token_costs_one_query(alice: Any, client: Client) -> None:
    token = token_for(alice)
    ask(client, token)
    with CaptureQueriesContext(connection) as queries:
        assert answer(ask(client, token)) == ALICE
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        ask(client, "upt_unknown")
        ask(Client())
    assert len(queries) == 1


@pytest.mark.usefixtures("untouched_session")
def test_sessions_in_the_database_cost_their_own_query(signed_in: Client) -> None:
    assert SESSION_KEY in signed_in.session
    with CaptureQueriesContext(connection) as queries:
        ask(signed_in)
    assert len(queries) == 2


@pytest.mark.usefixtures("untouched_session")
def test_no_query_puts_rows_in_order(alice: Any, signed_in: Client) -> None:
    """There is one at most, and Django compares all columns to order it."""
    token = token_for(alice)
    with CaptureQueriesContext(connection) as queries:
        ask(signed_in)
        ask(Client(), token)
    assert queries.captured_queries
    assert not [query["sql"] for query in queries if "ORDER BY" in query["sql"]]


def test_the_cluster_is_never_asked(signed_in: Client, memory: MemoryCluster) -> None:
    memory.calls.clear()
    ask(signed_in)
    assert not memory.calls


# --- a database that cannot be written to


@pytest.fixture
def read_only(transactional_db: None) -> Iterator[Callable[[], None]]:
    """What makes the database read-only, as during a failover."""
    yield lambda: connection.cursor().execute("PRAGMA query_only = ON").close()
    connection.cursor().execute("PRAGMA query_only = OFF").close()


@pytest.mark.parametrize("is_atomic", [False, True])
def test_a_token_lets_in_while_the_database_is_read_only(
    read_only: Callable[[], None],
    alice: Any,
    client: Client,
    is_atomic: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)
    token = token_for(alice)
    read_only()
    with pytest.raises(OperationalError, match="readonly"):
        AccessToken.objects.update(label="x")
    assert answer(ask(client, token)) == ALICE
    assert "could not be noted" in caplog.text
    assert token not in caplog.text
    assert answer(ask(client, "upt_unknown")) == INVALID
