"""With USERPODS_CONTROLLER a site writes rows and marks, and speaks to no cluster."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import lifecycle, marks, tasks
from django_userpods.models import UserPod
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _controller(settings: Any, memory: MemoryCluster) -> None:
    settings.USERPODS_CONTROLLER = True


def marked() -> set[str]:
    return {UserPod.objects.get(pk=pk).owner_pk for pk in marks.waiting()}


def clear() -> None:
    marks.take_back(marks.waiting())


def test_a_new_user_has_a_row_with_a_mark_and_no_call_is_made(memory: MemoryCluster) -> None:
    alice = UserFactory(username="alice")
    pod = alice.userpods.get()
    assert (pod.name, pod.state) == ("user-alice", UserPod.State.PENDING)
    assert pod.asked_at is not None
    assert abs(timezone.now() - pod.asked_at) < datetime.timedelta(seconds=30)
    assert not memory.calls


def test_a_save_that_does_not_matter_sets_no_mark() -> None:
    alice = UserFactory(username="alice")
    clear()
    alice.email = "alice@example.org"
    alice.save()
    assert marked() == set()


@pytest.mark.parametrize("change", [{}, {"is_active": False}, {"username": "alicia"}])
def test_what_matters_to_a_pod_sets_a_mark(memory: MemoryCluster, change: dict[str, Any]) -> None:
    """Deleted, deactivated, renamed."""
    alice = UserFactory(username="alice")
    key = str(alice.pk)
    clear()
    for name, value in change.items():
        setattr(alice, name, value)
    if change:
        alice.save()
    else:
        alice.delete()
    assert marked() == {key}
    assert not memory.calls


def test_users_of_one_transaction_are_marked_together() -> None:
    with transaction.atomic():
        users = [UserFactory(username=f"user{number}") for number in range(20)]
    assert marked() == {str(user.pk) for user in users}
    assert len(set(marks.waiting().values())) == 1


def test_all_is_left_to_the_controller_however_many_there_are(memory: MemoryCluster) -> None:
    get_user_model().objects.bulk_create([UserFactory.build(username=f"u{n}") for n in range(120)])
    pods = lifecycle.rows_of(get_user_model().objects.all())
    clear()
    result = lifecycle.stop(pods)
    assert (result.enqueued, result.later, result.done) == (120, 0, 0)
    assert len(marks.waiting()) == 120
    assert not memory.calls


def test_a_waiting_page_that_looks_sets_a_mark(memory: MemoryCluster) -> None:
    alice = UserFactory(username="alice")
    clear()
    lifecycle.look(alice.userpods.get())
    assert marked() == {str(alice.pk)}
    assert not memory.calls


def test_a_mark_that_was_set_anew_is_not_taken_back() -> None:
    alice = UserFactory(username="alice")
    bob = UserFactory(username="bob")
    seen = marks.waiting()
    tasks.ask([str(alice.pk)])
    marks.take_back(seen)
    assert marked() == {str(alice.pk)}
    assert bob.userpods.get().asked_at is None


def test_a_mark_of_a_machine_whose_clock_was_not_set_is_found() -> None:
    alice = UserFactory(username="alice")
    early = datetime.datetime(1970, 1, 1, 0, 5, tzinfo=datetime.UTC)
    UserPod.objects.update(asked_at=early)
    assert marks.waiting() == {alice.userpods.get().pk: early}


def test_hundreds_of_marks_are_taken_back(django_assert_max_num_queries: Any) -> None:
    get_user_model().objects.bulk_create([UserFactory.build(username=f"u{n}") for n in range(350)])
    pks = list(get_user_model().objects.values_list("pk", flat=True))
    for pk in pks:
        tasks.ask([str(pk)])
    seen = marks.waiting()
    assert len(set(seen.values())) > 300
    with django_assert_max_num_queries(20):
        marks.take_back(seen)
    assert marks.waiting() == {}


def test_without_the_setting_no_mark_is_set(settings: Any, memory: MemoryCluster) -> None:
    settings.USERPODS_CONTROLLER = False
    UserFactory(username="alice")
    assert marks.waiting() == {}
    assert memory.calls


def test_a_save_costs_the_queries_of_its_row_and_its_mark() -> None:
    with CaptureQueriesContext(connection) as queries:
        get_user_model().objects.create(username="alice")
    statements = [query["sql"].split()[0] for query in queries.captured_queries]
    assert [s for s in statements if s not in ("BEGIN", "COMMIT")] == ["INSERT", "INSERT", "UPDATE"]
