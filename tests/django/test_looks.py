"""Looks that pages ask for: each pod has its turn, however many pages are open."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.utils import timezone

from django_userpods import UserPod, lifecycle, tasks
from django_userpods.models import AccessToken
from django_userpods.reconcile import reconcile
from tests.django.support import bulk

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The pods that were asked about, each time."""
    found: list[set[str]] = []
    monkeypatch.setattr(tasks, "ask_for_pods", lambda pods: found.append(set(pods)))
    return found


def look() -> None:
    lifecycle.look_at_all(list(UserPod.objects.all()))


def test_of_many_all_are_looked_at_in_the_end(memory: MemoryCluster, asked: list[set[str]]) -> None:
    bulk(60)
    reconcile()
    UserPod.objects.update(state="starting", looked_at=None)
    asked.clear()
    look()
    first = asked.pop()
    assert len(first) < 60
    # Those are due again as well.
    UserPod.objects.exclude(looked_at=None).update(
        looked_at=timezone.now() - datetime.timedelta(seconds=3)
    )
    look()
    assert first | asked.pop() == set(UserPod.objects.values_list("pk", flat=True))


def test_one_that_is_not_due_is_not_looked_at_for_anothers_sake(
    memory: MemoryCluster, asked: list[set[str]]
) -> None:
    bulk(2)
    reconcile()
    lately = timezone.now() - datetime.timedelta(seconds=3)
    failed, starting = UserPod.objects.order_by("pk")
    UserPod.objects.filter(pk=failed.pk).update(state="failed", looked_at=lately)
    UserPod.objects.filter(pk=starting.pk).update(state="starting", looked_at=lately)
    asked.clear()
    look()
    assert asked == [{starting.pk}]


def test_a_token_that_opens_pods_alone_sees_no_events(alice: Any, settings: Any) -> None:
    settings.USERPODS_SELF_SERVICE = ["logs"]
    UserPod.objects.update(state="failed")
    _, text = AccessToken.objects.issue(alice, scope="reach")
    sent = {"Authorization": f"Bearer {text}"}
    assert Client().get("/userpods/events/", headers=sent).status_code == 403
