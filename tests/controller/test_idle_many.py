"""A look at who is idle reads the pods that it is about, and not all there are."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods.access import router_activity
from django_userpods.access.router_activity import Heard
from django_userpods.controller import idle
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import bulk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


@pytest.fixture
def used(
    memory: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, datetime.datetime]]:
    """When pods were used as a router says, of thirty that were started two hours ago."""
    settings.USERPODS_IDLE_TIMEOUT = 3600
    bulk(30, prefix="many")
    reconcile()
    started = timezone.now() - 2 * HOUR
    UserPod.objects.update(started_at=started, looked_at=started, last_activity=None)
    said: dict[str, datetime.datetime] = {}
    monkeypatch.setattr(router_activity, "ask", lambda **_: Heard(dict(said), timezone.now() - DAY))
    yield said
    idle.forget()


@pytest.fixture
def read() -> Iterator[list[str]]:
    """The names of the pods that were made objects of."""
    found: list[str] = []

    def note(instance: UserPod, **_: Any) -> None:
        found.append(str(instance.__dict__.get("name")))

    post_init.connect(note, sender=UserPod)
    yield found
    post_init.disconnect(note, sender=UserPod)


def names() -> list[str]:
    return sorted(map(str, UserPod.objects.values_list("name", flat=True)))


def stopped() -> list[str]:
    found = UserPod.objects.filter(wanted="stopped").values_list("name", flat=True)
    return sorted(map(str, found))


def tick(now: datetime.datetime | None = None) -> None:
    idle.forget()
    idle.tick(now or timezone.now())


def test_those_that_are_neither_used_nor_due_are_not_read(
    used: dict[str, datetime.datetime], read: list[str]
) -> None:
    quiet = timezone.now() - HOUR / 2
    first, second, third, *others = names()
    UserPod.objects.filter(name__in=others).update(last_activity=quiet)
    used[first] = timezone.now()
    used[second] = timezone.now() - HOUR * 3 / 2
    tick()
    assert stopped() == [second, third]
    # (Of one in use no more than the time of its last use is read.)
    assert set(read) == {second, third}
    # Each rule that keeps a pod running keeps it from being read, too.
    for kept in ({"looked_at": quiet}, {"started_at": quiet}, {"last_activity": quiet}):
        started = timezone.now() - 2 * HOUR
        UserPod.objects.update(wanted="running", state="running", started_at=started)
        UserPod.objects.update(looked_at=started, last_activity=None)
        UserPod.objects.update(**kept)
        used.clear()
        read.clear()
        tick()
        assert (stopped(), read) == ([], []), kept


def test_a_gap_in_what_is_known_makes_nobody_due(
    used: dict[str, datetime.datetime], read: list[str]
) -> None:
    Installation.objects.update(heard_at=timezone.now(), known_since=timezone.now() - HOUR / 2)
    tick()
    assert (stopped(), read) == ([], [])


def test_a_use_that_is_not_written_yet_counts(
    used: dict[str, datetime.datetime], settings: Any
) -> None:
    """As of a use less than a minute after the last one that was noted."""
    settings.USERPODS_IDLE_TIMEOUT = 60
    now = timezone.now()
    first, *others = names()
    UserPod.objects.update(last_activity=now - datetime.timedelta(seconds=70))
    used[first] = now - datetime.timedelta(seconds=20)
    tick(now)
    assert UserPod.objects.get(name=first).last_activity != used[first], "it was written"
    assert stopped() == others


def test_age_reads_those_alone_that_are_too_old(
    used: dict[str, datetime.datetime], settings: Any, read: list[str]
) -> None:
    settings.USERPODS_IDLE_TIMEOUT, settings.USERPODS_MAX_AGE = None, 86400
    first, *_ = names()
    UserPod.objects.filter(name=first).update(started_at=timezone.now() - 2 * DAY)
    tick()
    assert stopped() == [first]
    assert set(read) == {first}


def test_what_a_router_says_in_fractions_is_noted_by_the_second(
    memory: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_IDLE_TIMEOUT = 3600
    settings.USERPODS_ROUTERS = ["http://127.0.0.1:1"]
    bulk(300, prefix="many")
    reconcile()
    ago = {name: number * 0.03 for number, name in enumerate(names())}
    words = {"since": 86400, "pods": ago}
    monkeypatch.setattr(router_activity, "_answer", lambda *_: words)
    before = timezone.now()
    with CaptureQueriesContext(connection) as queries:
        tick()
    after = timezone.now()
    for name, at in UserPod.objects.values_list("name", "last_activity"):
        used = datetime.timedelta(seconds=ago[str(name)])
        assert at is not None
        # Never as an earlier one than it was, and not after the answer.
        assert before - used <= at <= min(after, after - used + datetime.timedelta(seconds=1))
    # Of nine seconds there are nine times, or one more: not three hundred.
    updates = [query for query in queries.captured_queries if query["sql"].startswith("UPDATE")]
    assert len(updates) < 20


def test_many_uses_each_of_its_own_time_take_few_statements(
    used: dict[str, datetime.datetime],
) -> None:
    """As after hours in which nobody asked the routers, or as applications tell it."""
    bulk(120, prefix="others")
    reconcile()
    now = timezone.now()
    wanted = {name: now - datetime.timedelta(seconds=11 * i) for i, name in enumerate(names())}
    used |= wanted
    UserPod.objects.update(last_activity=None)
    with CaptureQueriesContext(connection) as queries:
        tick(now)
    assert dict(UserPod.objects.values_list("name", "last_activity")) == wanted
    updates = [query for query in queries.captured_queries if query["sql"].startswith("UPDATE")]
    assert len(updates) < 5


@pytest.mark.parametrize("ago", [0.0, 0.2, 0.9])
def test_age_stops_what_is_used_at_that_very_moment(
    used: dict[str, datetime.datetime],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    ago: float,
) -> None:
    settings.USERPODS_MAX_AGE = 86400
    first, *_ = names()
    monkeypatch.undo()
    settings.USERPODS_ROUTERS = ["http://127.0.0.1:1"]
    words = {"since": 86400, "pods": dict.fromkeys(names(), ago)}
    monkeypatch.setattr(router_activity, "_answer", lambda *_: words)
    UserPod.objects.filter(name=first).update(started_at=timezone.now() - 2 * DAY)
    UserPod.objects.update(last_activity=timezone.now() - HOUR / 12)
    tick()
    assert stopped() == [first]
