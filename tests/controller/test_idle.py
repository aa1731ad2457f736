"""Pods that nobody uses are stopped, and only these: by what routers and applications say."""

from __future__ import annotations

import datetime
import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import lifecycle
from django_userpods.controller import idle
from django_userpods.models import Installation, Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.controller.unused import HOUR, Routers, tick, wanted
from tests.django.support import bulk, deployment, sync
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_idle_pod_is_stopped_and_its_history_says_by_whom(
    memory: MemoryCluster, old: UserPod, routers: Routers
) -> None:
    tick()
    assert wanted() == "stopped"
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 0
    asked = Transition.objects.get(operation="stop")
    assert (asked.actor, asked.outcome) == ("idle rule", "done")


def test_a_pod_in_use_is_not_stopped_and_its_last_use_is_noted(
    old: UserPod, routers: Routers
) -> None:
    used = timezone.now() - HOUR / 2
    routers.used = {"user-alice": used, "user-nobody": used}
    tick()
    assert wanted() == "running"
    assert UserPod.objects.get().last_activity == used


def test_use_is_written_about_once_a_minute(old: UserPod, routers: Routers) -> None:
    begin = timezone.now()
    written = []
    for seconds in range(0, 301, 10):
        now = begin + datetime.timedelta(seconds=seconds)
        routers.used = {"user-alice": now}
        with CaptureQueriesContext(connection) as queries:
            idle.forget()
            idle.tick(now)
        written.append(
            sum(
                query["sql"].startswith("UPDATE") and "last_activity" in query["sql"]
                for query in queries.captured_queries
            )
        )
    assert sum(written) <= 6
    # The last use is written when it is over.
    idle.forget()
    idle.tick(now + datetime.timedelta(seconds=61))
    assert UserPod.objects.get().last_activity == routers.used["user-alice"]


def test_nothing_is_stopped_while_nobody_tells_which_are_used_and_that_is_said_once(
    old: UserPod, routers: Routers, caplog: pytest.LogCaptureFixture
) -> None:
    routers.silent = True
    now = timezone.now()
    with caplog.at_level(logging.WARNING, "django_userpods"):
        for minutes in range(5):
            idle.tick(now + datetime.timedelta(minutes=minutes))
    assert wanted() == "running"
    assert caplog.text.count("no pod is stopped for being idle") == 1
    assert "no route to router" in caplog.text


def test_without_routers_nothing_is_stopped(
    old: UserPod, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.USERPODS_ROUTERS = []
    tick()
    assert wanted() == "running"
    assert "USERPODS_ROUTERS names none" in caplog.text


def test_time_that_no_router_remembers_is_not_idle(old: UserPod, routers: Routers) -> None:
    routers.since = timezone.now() - HOUR / 2
    tick()
    assert wanted() == "running"
    routers.since = timezone.now() - 2 * HOUR
    Installation.objects.update(heard_at=None, known_since=None)
    tick()
    assert wanted() == "stopped"


def test_a_router_that_is_begun_anew_while_it_is_asked_loses_nothing(
    old: UserPod, routers: Routers
) -> None:
    now = timezone.now()
    Installation.objects.update(heard_at=now - HOUR / 60, known_since=now - 24 * HOUR)
    routers.since = now
    tick()
    assert wanted() == "stopped"


def test_after_a_gap_routers_are_asked_for_all_of_it(old: UserPod, routers: Routers) -> None:
    now = timezone.now()
    Installation.objects.update(heard_at=now - 3 * HOUR, known_since=now - 24 * HOUR)
    tick()
    assert routers.within[-1] > 3 * 3600


def test_a_start_by_hand_gives_it_all_its_time_again(
    memory: MemoryCluster, old: UserPod, routers: Routers
) -> None:
    tick()
    assert wanted() == "stopped"
    lifecycle.start(UserPod.objects.all(), actor="alice")
    tick()
    assert wanted() == "running"


@pytest.mark.parametrize(("state", "expected"), [("starting", "running"), ("failed", "stopped")])
def test_who_waits_for_a_pod_uses_it_unless_it_failed(
    old: UserPod, routers: Routers, state: str, expected: str
) -> None:
    UserPod.objects.update(state=state, looked_at=timezone.now() - HOUR / 2)
    tick()
    assert wanted() == expected


def test_a_pod_that_is_used_at_the_last_moment_is_not_stopped(old: UserPod) -> None:
    now = timezone.now()
    UserPod.objects.update(last_activity=now + datetime.timedelta(seconds=1))
    lifecycle.stop(UserPod.objects.all(), actor="idle rule", unless_used_since=now)
    assert wanted() == "running"
    assert not Transition.objects.filter(operation="stop").exists()


@pytest.mark.parametrize("rule", ["USERPODS_IDLE_TIMEOUT", "USERPODS_MAX_AGE"])
def test_a_pod_that_is_restarted_at_the_last_moment_is_not_stopped(
    old: UserPod, routers: Routers, settings: Any, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    settings.USERPODS_IDLE_TIMEOUT = settings.USERPODS_MAX_AGE = None
    setattr(settings, rule, 60)
    found = idle.decide

    def meanwhile(*args: Any, **kwargs: Any) -> idle.Decision:
        decision = found(*args, **kwargs)
        lifecycle.restart(UserPod.objects.all(), actor="alice")
        return decision

    monkeypatch.setattr(idle, "decide", meanwhile)
    tick()
    assert wanted() == "running"


def test_each_pod_has_its_own_time_and_some_have_none(
    memory: MemoryCluster, old: UserPod, routers: Routers, settings: Any
) -> None:
    for name in ("bob", "carol"):
        UserFactory(username=name)
    reconcile()
    long_ago = timezone.now() - 2 * HOUR
    UserPod.objects.update(started_at=long_ago, looked_at=long_ago)

    def seconds(pod: UserPod) -> float | None:
        if str(pod.owner) == "carol":
            message = "who is carol?"
            raise LookupError(message)
        return None if pod.name == "user-bob" else 60

    settings.USERPODS_IDLE_TIMEOUT = seconds
    tick()
    assert (wanted(), wanted("user-bob"), wanted("user-carol")) == ("stopped", "running", "running")


def test_age_ends_a_pod_in_use_and_needs_no_router(
    memory: MemoryCluster, old: UserPod, routers: Routers, settings: Any
) -> None:
    settings.USERPODS_IDLE_TIMEOUT, settings.USERPODS_MAX_AGE = None, 3600
    routers.silent = True
    UserPod.objects.update(last_activity=timezone.now())
    UserPod.objects.update(last_activity=timezone.now() - HOUR / 60)
    tick()
    assert wanted() == "stopped"
    assert Transition.objects.get(operation="stop").actor == "lifetime rule"


def test_without_either_setting_nobody_is_asked(
    old: UserPod, routers: Routers, settings: Any
) -> None:
    settings.USERPODS_IDLE_TIMEOUT = None
    with CaptureQueriesContext(connection) as queries:
        tick()
    assert (len(queries), routers.within) == (0, [])


def test_a_look_takes_the_same_few_statements_for_any_number(
    memory: MemoryCluster, old: UserPod, routers: Routers
) -> None:
    tick()
    counts = []
    for number in (5, 60):
        bulk(number, prefix=f"b{number}x")
        reconcile()
        # By the second, as ``router_activity`` takes what routers say.
        now, names = timezone.now(), UserPod.objects.values_list("name", flat=True)
        routers.used = {str(name): now for name in names}
        UserPod.objects.update(last_activity=None)
        with CaptureQueriesContext(connection) as queries:
            tick()
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


def test_many_uses_are_each_written_with_their_own_time(
    memory: MemoryCluster, old: UserPod, routers: Routers
) -> None:
    bulk(600)
    reconcile()
    now, names = timezone.now(), UserPod.objects.values_list("name", flat=True)
    routers.used = {
        str(name): now - datetime.timedelta(seconds=number % 25)
        for number, name in enumerate(names)
    }
    with CaptureQueriesContext(connection) as queries:
        tick()
    assert dict(UserPod.objects.values_list("name", "last_activity")) == routers.used
    updates = [query for query in queries.captured_queries if "last_activity" in query["sql"]]
    assert len(updates) < 100


def test_a_sync_stops_them_as_well(memory: MemoryCluster, old: UserPod, routers: Routers) -> None:
    assert sync("--dry-run")[0] == 0
    assert wanted() == "running"
    assert sync()[0] == 0
    assert wanted() == "stopped"
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 0


def test_a_setting_that_is_wrong_fails_no_sync(
    memory: MemoryCluster, old: UserPod, routers: Routers, settings: Any
) -> None:
    settings.USERPODS_IDLE_TIMEOUT = -1
    status, _, err = sync()
    assert status == 0
    assert "USERPODS_IDLE_TIMEOUT" in err


def test_when_it_stops_is_known_beforehand(
    old: UserPod, routers: Routers, settings: Any, client: Any
) -> None:
    used = timezone.now() - HOUR / 2
    routers.used = {"user-alice": used}
    assert UserPod.objects.get().stops_at is None, "nobody has told yet which are used"
    tick()
    pod = UserPod.objects.get()
    assert pod.stops_at == used + HOUR
    client.force_login(pod.owner)
    assert client.get("/userpods/status/").json()["stops_at"] == (used + HOUR).isoformat()
