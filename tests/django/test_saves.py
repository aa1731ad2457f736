"""A save of a user asks for work where it matters to their pod, and costs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model

from django_userpods.models import UserPod
from tests.django.support import bulk
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


def as_it_is(manifests: Any, _user: Any) -> Any:
    return manifests


@pytest.fixture
def enqueued(settings: Any, memory: MemoryCluster) -> list[str]:
    """The keys of users that a queue was given, in order."""
    keys: list[str] = []
    settings.USERPODS_QUEUE = lambda user_pks, pods: keys.extend(user_pks)
    return keys


def test_six_saves_are_one_task(enqueued: list[str]) -> None:
    user = UserFactory(username="alice")
    for number in range(5):
        user.email = f"alice{number}@example.org"
        user.save()
    assert enqueued == [str(user.pk)]


def test_a_user_who_is_fetched_and_saved_unchanged_is_no_task(enqueued: list[str]) -> None:
    user = UserFactory(username="alice")
    enqueued.clear()
    get_user_model().objects.get(pk=user.pk).save()
    get_user_model().objects.only("email").get(pk=user.pk).save()
    assert enqueued == []


def test_what_a_pod_is_told_or_whether_there_is_one_is_a_task(enqueued: list[str]) -> None:
    user = UserFactory(username="alice")
    for changes in ({"username": "alicia"}, {"is_active": False}, {"is_active": True}):
        enqueued.clear()
        for name, value in changes.items():
            setattr(user, name, value)
        user.save()
        assert enqueued == [str(user.pk)], changes
    enqueued.clear()
    user.username = "ally"
    user.save(update_fields=["username"])
    assert enqueued == [str(user.pk)]


def test_where_the_projects_own_code_makes_the_manifests_any_save_may_matter(
    enqueued: list[str], settings: Any
) -> None:
    user = UserFactory(username="alice")
    settings.USERPODS_CUSTOMIZE = as_it_is
    enqueued.clear()
    user.email = "alice@example.org"
    user.save()
    assert enqueued == [str(user.pk)]


def test_a_user_who_gets_no_pod_is_no_task(enqueued: list[str]) -> None:
    user = UserFactory(username="alice", is_active=False)
    user.email = "alice@example.org"
    user.save()
    assert enqueued == []
    assert not UserPod.objects.exists()


def test_a_save_gives_a_user_whom_nobody_told_of_a_pod(enqueued: list[str]) -> None:
    (user,) = bulk(1)
    assert enqueued == []
    user.save()
    assert enqueued == [str(user.pk)]


def test_of_one_transaction_only_those_are_a_task_for_whom_it_matters(
    enqueued: list[str],
) -> None:
    from django.db import transaction

    some = [UserFactory(username=name) for name in ("ann", "ben", "cat", "dan")]
    enqueued.clear()
    with transaction.atomic():
        for user in some:
            user.email = f"{user.username}@example.org"
            user.is_active = user.username != "cat"
            user.save()
        gone = str(some[3].pk)
        some[3].delete()
    assert sorted(enqueued) == sorted([str(some[2].pk), gone])
