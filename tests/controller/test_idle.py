"""Pods that nobody uses are stopped, and only these: by what routers and applications say."""

from __future__ import annotations

import datetime
import http.server
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import lifecycle
from django_userpods.access import router_activity
from django_userpods.access.router_activity import Heard
from django_userpods.controller import idle
from django_userpods.core.objects import DEPLOYMENT
from django_userpods.exceptions import NothingHeard
from django_userpods.models import Installation, Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import bulk, deployment, sync, template_with
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = datetime.timedelta(hours=1)
RULES = "ignore /api/*\nask /status\n"


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
        routers.used = {
            str(name): timezone.now() for name in UserPod.objects.values_list("name", flat=True)
        }
        UserPod.objects.update(last_activity=None)
        with CaptureQueriesContext(connection) as queries:
            tick()
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


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


class Application:
    """An application that says itself when it was used."""

    def __init__(self) -> None:
        self.words: Any = {}
        self.status = 200
        self.asked: list[dict[str, str]] = []
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                application.asked.append({"path": self.path, **dict(self.headers)})
                body = json.dumps(application.words).encode()
                self.send_response(application.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def application(
    memory: MemoryCluster, settings: Any, old: UserPod, routers: Routers
) -> Iterator[Application]:
    """The application in alice's pod, whose template says where it is to be asked."""
    found = Application()
    template = template_with()
    template[0]["metadata"]["annotations"] = {"django-userpods/activity": RULES}
    settings.USERPODS_TEMPLATE = template
    reconcile()
    long_ago = timezone.now() - 2 * HOUR
    UserPod.objects.update(address=found.address, state="running", looked_at=long_ago)
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_the_rules_of_a_template_are_on_the_row_and_in_whoamis_answer(
    memory: MemoryCluster, application: Application, client: Any, settings: Any
) -> None:
    pod = UserPod.objects.get()
    assert pod.activity == "ignore /api/*; ask /status"
    annotations = memory.objects[next(ref for ref in memory.objects if ref.kind == DEPLOYMENT)][
        "metadata"
    ]["annotations"]
    assert annotations["django-userpods/activity"] == RULES
    client.force_login(pod.owner)
    answer = client.get("/whoami")
    assert answer["X-Userpods-Activity"] == pod.activity
    assert answer["X-Userpods-State"] == "running"
    settings.USERPODS_TEMPLATE = template_with()
    reconcile()
    assert UserPod.objects.get().activity == ""


def test_an_application_at_work_is_not_stopped(application: Application) -> None:
    application.words = [{"execution_state": "busy", "last_activity": "2020-01-01T00:00:00Z"}]
    tick()
    assert wanted() == "running"
    assert application.asked[0]["path"] == "/status"
    assert application.asked[0]["X-Userpods-User"] == "alice"
    # Not asked again before its time is over anew.
    tick()
    assert len(application.asked) == 1


def test_an_application_without_work_is_stopped(application: Application) -> None:
    application.words = [{"execution_state": "idle", "last_activity": "2020-01-01T00:00:00Z"}]
    tick()
    assert wanted() == "stopped"


@pytest.mark.parametrize("status", [500, 404, 302])
def test_an_application_that_cannot_be_asked_is_not_stopped(
    application: Application, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    application.status = status
    tick()
    assert wanted() == "running"
    assert f"answered {status} at /status" in caplog.text
    assert [asked["path"] for asked in application.asked] == ["/status"], "it follows nobody"


def test_one_that_nobody_reaches_is_not_stopped_and_that_is_said(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    application.server.server_close()
    UserPod.objects.update(address="127.0.0.1:9")
    tick()
    assert wanted() == "running"
    assert "cannot be asked at /status" in caplog.text


def test_a_pod_that_failed_is_not_asked(application: Application) -> None:
    UserPod.objects.update(state="failed")
    tick()
    assert wanted() == "stopped"
    assert application.asked == []
