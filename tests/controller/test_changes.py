"""What the controller hears from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods import marks, tasks
from django_userpods.controller.changes import Changes
from django_userpods.models import UserPod
from django_userpods.reconcile import rollout
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

USERS = get_user_model()._meta.db_table
DELETE = f'DELETE FROM "{USERS}" WHERE'  # noqa: S608 - a name of ours


class Asked:
    """What a Changes asked for since the last ``take``, by the owners' keys."""

    def __init__(self) -> None:
        self.pods: list[str] = []
        self.everything = 0
        self.clock = 0.0
        self.changes = Changes(
            ask=lambda *pods: self.pods.extend(pods), ask_all=self._all, clock=self._now
        )

    def _now(self) -> float:
        return self.clock

    def _all(self) -> None:
        self.everything += 1

    def poll(self) -> list[str]:
        """Poll a second later; return the owners of the pods that are asked for."""
        self.clock += 1.0
        self.pods.clear()
        self.changes.poll()
        owners = dict(UserPod.objects.values_list("pk", "owner_pk"))
        return sorted(owners[pod] for pod in self.pods)


@pytest.fixture
def asked(settings: Any, memory: MemoryCluster) -> Asked:
    settings.USERPODS_CONTROLLER = True
    return Asked()


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def insert(username: str) -> str:
    """Make a user as nobody's Django would: by SQL; return the key."""
    model = UserFactory.build(username=username)
    fields = [f for f in model._meta.concrete_fields if not f.primary_key]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    values = [field.get_db_prep_save(field.pre_save(model, True), connection) for field in fields]
    sql(f'INSERT INTO "{USERS}" ({columns}) VALUES ({marks})', *values)  # noqa: S608 - as above
    return str(get_user_model().objects.get(username=username).pk)


def test_a_mark_is_heard_once(asked: Asked) -> None:
    alice = UserFactory(username="alice")
    assert asked.poll() == [str(alice.pk)]
    assert asked.poll() == []


def test_a_mark_that_is_set_again_is_heard_again(asked: Asked) -> None:
    alice = UserFactory(username="alice")
    asked.poll()
    tasks.ask([str(alice.pk)])
    assert asked.poll() == [str(alice.pk)]


def test_marks_are_taken_back_when_they_are_answered(asked: Asked) -> None:
    UserFactory(username="alice")
    asked.poll()
    pods = list(asked.pods)
    asked.changes.answered(asked.changes.marks_of(pods))
    assert not UserPod.objects.exclude(asked_at=None).exists()
    assert asked.poll() == []


def test_marks_that_nobody_answered_are_another_controllers_to_hear(asked: Asked) -> None:
    alice = UserFactory(username="alice")
    asked.poll()
    assert Asked().poll() == [str(alice.pk)]


def test_a_quiet_second_costs_two_queries(asked: Asked, django_assert_num_queries: Any) -> None:
    UserFactory(username="alice")
    asked.poll()
    asked.clock += 60
    with django_assert_num_queries(2):
        asked.changes.poll()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="NOT RUN: asks SQLite for its plan")
def test_what_is_asked_each_second_reads_no_table_of_pods(asked: Asked) -> None:
    UserFactory(username="alice")
    for ask in (marks.waiting, rollout.counts):
        with CaptureQueriesContext(connection) as queries:
            ask()
        [query] = queries.captured_queries
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            [plan] = [row[3] for row in cursor.fetchall()]
        assert plan.startswith("SEARCH userpods_userpod USING"), plan


def test_a_user_by_sql_gets_a_row_and_is_asked_for(asked: Asked) -> None:
    asked.poll()
    key = insert("alice")
    assert asked.poll() == [key]
    assert UserPod.objects.get(owner_pk=key).name == "user-alice"
    assert asked.poll() == []


def test_users_by_bulk_create_are_asked_for(asked: Asked) -> None:
    UserFactory(username="first")
    asked.poll()
    get_user_model().objects.bulk_create([UserFactory.build(username=f"u{n}") for n in range(60)])
    assert len(asked.poll()) == 60


def test_users_who_are_not_selected_are_asked_for_by_nobody(asked: Asked) -> None:
    asked.poll()
    get_user_model().objects.bulk_create([UserFactory.build(username="off", is_active=False)])
    assert asked.poll() == []
    assert not UserPod.objects.exists()


def test_a_user_whom_sql_deletes_is_asked_for_and_their_row_says_so(asked: Asked) -> None:
    keep = [UserFactory(username=f"u{number}") for number in range(4)]
    gone = UserFactory(username="alice")
    asked.poll()
    sql(f"{DELETE} id = %s", gone.pk)
    assert asked.poll() == [str(gone.pk)]
    assert UserPod.objects.get(owner_pk=str(gone.pk)).wanted == UserPod.Wanted.ABSENT
    assert UserPod.objects.filter(wanted=UserPod.Wanted.RUNNING).count() == len(keep)
    assert asked.everything == 0


def test_one_who_goes_and_one_who_comes_in_the_same_second_are_both_found(asked: Asked) -> None:
    for number in range(4):
        UserFactory(username=f"u{number}")
    gone = UserFactory(username="alice")
    asked.poll()
    sql(f"{DELETE} id = %s", gone.pk)
    came = insert("bob")
    assert asked.poll() == sorted([str(gone.pk), came])


def test_where_most_users_are_gone_the_guard_decides(asked: Asked) -> None:
    """An empty table is more likely a mistake than meant: nobody's row is touched here."""
    for number in range(5):
        UserFactory(username=f"u{number}")
    asked.poll()
    sql(f"{DELETE} id > 0")
    assert asked.poll() == []
    assert asked.everything == 1
    assert not UserPod.objects.filter(wanted=UserPod.Wanted.ABSENT).exists()


def test_a_large_table_is_not_counted_all_the_time(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    """Where counting takes 0.5 s it is done every 10 s; marks are still looked for each second."""
    count = asked.changes._count_users

    def slow() -> None:
        count()
        asked.clock += 0.5

    monkeypatch.setattr(asked.changes, "_count_users", slow)
    asked.poll()
    asked.clock += 7.0
    with django_assert_num_queries(1):
        asked.changes.poll()
    asked.clock += 3.0
    with django_assert_num_queries(2):
        asked.changes.poll()
