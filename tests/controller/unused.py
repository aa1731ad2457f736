"""A pod that nobody has used for a while, and what routers say of it; fixtures of this folder's."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from django_userpods.access import router_activity
from django_userpods.access.router_activity import Heard
from django_userpods.controller import idle
from django_userpods.exceptions import NothingHeard
from django_userpods.models import Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing import MemoryCluster

HOUR = datetime.timedelta(hours=1)


class Routers:
    """What routers would say."""

    def __init__(self) -> None:
        self.used: dict[str, datetime.datetime] = {}
        self.since = timezone.now() - 24 * HOUR
        self.silent = False
        self.within: list[float] = []

    def ask(self, *, within: float) -> Heard:
        self.within.append(within)
        if self.silent:
            message = "no route to router"
            raise NothingHeard(message)
        return Heard(dict(self.used), self.since)


@pytest.fixture
def routers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Routers]:
    """Routers that have been up for a day."""
    found = Routers()
    monkeypatch.setattr(router_activity, "ask", found.ask)
    idle.forget()
    yield found
    idle.forget()


@pytest.fixture
def old(memory: MemoryCluster, settings: Any) -> UserPod:
    """Alice's pod, started two hours ago and not used since, where an hour is allowed."""
    settings.USERPODS_IDLE_TIMEOUT = 3600
    UserFactory(username="alice")
    reconcile()
    started = timezone.now() - 2 * HOUR
    UserPod.objects.update(started_at=started, looked_at=started, last_activity=None)
    Transition.objects.all().delete()
    return UserPod.objects.get()


def wanted(name: str = "user-alice") -> str:
    return UserPod.objects.get(name=name).wanted


def tick() -> None:
    idle.forget()
    idle.tick(timezone.now())
