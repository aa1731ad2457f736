"""The page of a bulk run: who may see it, what stands first, and what it has asked again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods import lifecycle
from django_userpods.models import BulkRun, Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import bulk, end_pause
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.django.admin_urls"),
]

PODS = "/admin/userpods/userpod/"


@pytest.fixture(autouse=True)
def _cluster(memory: MemoryCluster) -> Iterator[None]:
    end_pause()
    yield
    end_pause()


@pytest.fixture
def boss(client: Client) -> Client:
    """A client signed in as a superuser."""
    client.force_login(UserFactory(username="boss", is_staff=True, is_superuser=True))
    return client


def pods(number: int) -> list[UserPod]:
    """So many users with a pod each, which nobody has looked at for long."""
    bulk(number)
    reconcile()
    UserPod.objects.update(looked_at=None)
    return list(UserPod.objects.filter(name__startswith="user-bulk").order_by("name"))


def asked(operation: str, number: int = 4, *, failed: int = 0, waiting: int = 0) -> BulkRun:
    """A run of which some failed, and of some it is not known yet what came of it."""
    these = pods(number)
    rows = UserPod.objects.filter(pk__in=[pod.pk for pod in these])
    run = lifecycle.OPERATIONS[lifecycle.Operation(operation)](rows, followed=True).run
    assert run is not None
    reconcile()
    lines = Transition.objects.filter(run=run)
    for pod in these[:failed]:
        UserPod.objects.filter(pk=pod.pk).update(
            state="failed", message='ImagePullBackOff: <b>"x"</b> at 10.0.0.1'
        )
        lines.filter(pod=pod).update(outcome="failed")
    for pod in these[number - waiting :]:
        UserPod.objects.filter(pk=pod.pk).update(state="pending")
        lines.filter(pod=pod).update(outcome="", settled_at=None)
    return run


def url_of(run: BulkRun) -> str:
    return f"{PODS}bulk/{run.pk}/"


def act(client: Client, verb: str, rows: list[UserPod]) -> Any:
    """Post an action as the list does, with the answer to its question."""
    selected = [str(pod.pk) for pod in rows]
    data = {"action": f"userpods_{verb}", "_selected_action": selected, "post": "yes"}
    return client.post(PODS, data)


def said(response: Any) -> list[tuple[str, str]]:
    return [(one.level_tag, str(one)) for one in get_messages(response.wsgi_request)]


def test_what_is_over_at_once_is_said_with_the_way_to_its_page(boss: Client) -> None:
    response = act(boss, "stop", pods(3))
    run = BulkRun.objects.get()
    assert (run.actor, run.number, run.operation) == ("boss", 3, "stop")
    assert response.url == PODS
    [(level, text)] = said(response)
    assert level == "success"
    assert text == f'Stopped 3 pods. <a href="{url_of(run)}">What came of it</a>'


def test_what_is_not_over_is_not_green_and_leads_to_its_page(boss: Client) -> None:
    response = act(boss, "restart", pods(2))
    run = BulkRun.objects.get()
    assert response.url == url_of(run)
    assert said(response) == [
        ("info", "Restart: 2 pods are in progress; their histories will show the outcome.")
    ]
    page = boss.get(response.url).content.decode()
    assert "Restart 2 pods" in page
    assert "Requested by boss" in page


def test_one_pod_that_is_restarted_is_not_said_to_be_done(boss: Client) -> None:
    response = act(boss, "restart", pods(1))
    [(level, text)] = said(response)
    assert level == "info"
    assert "is in progress" in text
    assert not BulkRun.objects.exists()


def test_what_a_controller_is_to_do_leads_to_its_page(boss: Client, settings: Any) -> None:
    settings.USERPODS_CONTROLLER = True
    these = pods(60)
    selected = [str(pod.pk) for pod in these]
    data = {"action": "userpods_stop", "_selected_action": selected, "post": "yes"}
    response: Any = boss.post(PODS, {**data, "count": "60", "typed": "60"})
    run = BulkRun.objects.get()
    assert response.url == url_of(run)
    assert said(response)[0][0] == "info"
    page = boss.get(response.url).content.decode()
    assert "Finished: 0 of 60 pods." in page
    assert "The controller does the rest" in page
    assert "user-bulk000, user-bulk001, user-bulk002, user-bulk003, user-bulk004 and 55" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "userpods/bulk.js" in page
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=", page[page.index("userpods-run") :])


def test_failures_stand_first_in_plain_words_and_nothing_is_refreshed_at_the_end(
    boss: Client,
) -> None:
    run = asked("restart", failed=2)
    page = boss.get(url_of(run)).content.decode()
    counts = re.findall(r'userpods-state userpods-(\w+)">([^<]+)</span> (\d+)', page)
    assert counts == [("failed", "failed", "2"), ("running", "done", "2")]
    assert "Finished: 4 of 4 pods. The last one finished after" in page
    failures = page[page.index("userpods-run-failures") :]
    assert failures.index("user-bulk000") < failures.index("user-bulk001")
    assert "user-bulk002" not in page
    assert "The software that it runs could not be fetched." in failures
    assert "&lt;b&gt;&quot;x&quot;&lt;/b&gt; at 10.0.0.1" in failures
    assert "Retry the 2 that failed" in failures
    assert "http-equiv" not in page
    assert "bulk.js" not in page


def test_who_is_well_again_is_said_so_and_not_asked_again(boss: Client) -> None:
    run = asked("stop", failed=2)
    UserPod.objects.filter(name="user-bulk000").update(state="running", message="")
    page = boss.get(url_of(run)).content.decode()
    assert "running now" in page
    assert "Retry 1 that failed" in page
    response: Any = boss.post(url_of(run))
    assert UserPod.objects.get(name="user-bulk000").state == "running"
    assert UserPod.objects.get(name="user-bulk001").state == "stopped"
    assert response.url == url_of(run), "one pod is no bulk run"
    assert said(response) == [("success", "Stopped 1 pod.")]
    assert "that failed</button>" not in boss.get(url_of(run)).content.decode()


def test_the_failed_are_asked_again_as_a_run_of_their_own(boss: Client) -> None:
    run = asked("restart", 5, failed=3)
    LogEntry.objects.all().delete()
    response: Any = boss.post(url_of(run))
    again = BulkRun.objects.order_by("-pk")[0]
    assert (again.number, again.actor, again.operation) == (3, "boss", "restart")
    assert response.url == url_of(again)
    assert LogEntry.objects.count() == 3
    assert set(again.lines.values_list("pod__name", flat=True)) == {
        "user-bulk000",
        "user-bulk001",
        "user-bulk002",
    }
    reconcile()
    assert "Finished: 3 of 3 pods." in boss.get(url_of(again)).content.decode()


def test_the_page_goes_on_where_nobody_else_does(boss: Client) -> None:
    run = asked("stop", waiting=2)
    assert "The work continues while this page is open" in boss.get(url_of(run)).content.decode()
    UserPod.objects.update(looked_at=None)
    assert "Finished: 4 of 4 pods." in boss.get(url_of(run)).content.decode()


def test_without_anything_in_requests_the_next_sync_does_it(boss: Client, settings: Any) -> None:
    settings.USERPODS_INLINE_TIMEOUT = 0
    run = asked("stop", waiting=2)
    UserPod.objects.update(looked_at=None)
    page = boss.get(url_of(run)).content.decode()
    assert "Finished: 2 of 4 pods." in page
    assert "The next sync does the rest" in page


def test_settings_that_cannot_be_used_are_said(boss: Client, settings: Any) -> None:
    run = asked("stop", waiting=2)
    settings.USERPODS_CONTROLLER = "perhaps"
    page = boss.get(url_of(run))
    assert page.status_code == 200
    assert "USERPODS_CONTROLLER" in page.content.decode()


@pytest.mark.parametrize(
    ("codenames", "seen", "again"),
    [
        (["restart_userpod"], 200, 302),
        (["view_userpod"], 200, 403),
        (["stop_userpod", "sync_userpod"], 403, 403),
        ([], 403, 403),
    ],
)
def test_who_may_see_it_and_who_may_ask_again(
    client: Client, codenames: list[str], seen: int, again: int
) -> None:
    run = asked("restart", failed=2)
    staff = UserFactory(username="staff", is_staff=True)
    for codename in codenames:
        staff.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(staff)
    response = client.get(url_of(run))
    assert response.status_code == seen
    if seen == 200:
        page = response.content.decode()
        assert ("that failed</button>" in page) == (again == 302)
        assert (f"{PODS}{UserPod.objects.all()[0].pk}" in page) <= ("view_userpod" in codenames)
    assert client.post(url_of(run)).status_code == again
    assert BulkRun.objects.count() == (2 if again == 302 else 1)


def test_one_that_is_not_there_any_more_is_not_found(boss: Client) -> None:
    assert boss.get(f"{PODS}bulk/77/").status_code == 404


def test_a_pods_history_leads_to_it(boss: Client) -> None:
    run = asked("stop")
    pod = UserPod.objects.filter(name="user-bulk000").get()
    page = boss.get(f"{PODS}{pod.pk}/history/").content.decode()
    assert f'<a href="{url_of(run)}">Stop</a>' in page


def test_it_takes_as_many_queries_for_many_as_for_few(boss: Client, settings: Any) -> None:
    settings.USERPODS_CONTROLLER = True
    run = asked("restart", 60, failed=20, waiting=20)
    counts = []
    for kept in (60, 5):
        with CaptureQueriesContext(connection) as queries:
            page = boss.get(url_of(run)).content.decode()
        assert "What failed" in page
        assert "Still to come" in page
        counts.append(len(queries))
        few = Transition.objects.filter(run=run).order_by("outcome", "pod__name")
        keep = [*few[:kept:2], *few.filter(outcome="failed")[:2], *few.filter(outcome="")[:2]]
        Transition.objects.filter(run=run).exclude(pk__in=[line.pk for line in keep]).delete()
    assert counts[0] == counts[1] < 10


def test_pods_are_called_so_that_people_know_whose_they_are(boss: Client) -> None:
    users = [UserFactory(username=name) for name in ("李雷", "韩梅梅", "alice")]
    reconcile()
    rows = UserPod.objects.filter(owner__in=users)
    data = {"action": "userpods_stop", "_selected_action": [row.pk for row in rows]}
    asked_first: Any = boss.post(PODS, data)
    run = lifecycle.stop(rows, followed=True).run
    assert run is not None
    rows.filter(owner=users[0]).update(state="failed", message="OOMKilled: container app")
    Transition.objects.filter(run=run, pod__owner=users[0]).update(outcome="failed")
    Transition.objects.filter(run=run).exclude(pod__owner=users[0]).update(outcome="")
    page = boss.get(url_of(run)).content.decode()
    names = {row.owner: row.name for row in rows.select_related("owner")}
    assert f">{names[users[0]]} (李雷)</a>" in page
    waiting = page[page.index("Still to come") :].partition(".")[0]
    assert f"{names[users[1]]} (韩梅梅)" in waiting
    assert "user-alice" in waiting
    assert "(alice)" not in waiting
    assert f"{names[users[1]]} (韩梅梅)" in asked_first.content.decode()


RUNS = f"{PODS}bulk/"


def rows_of(page: str) -> list[str]:
    """Each row of the list, without its tags."""
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index("<tbody>") :], re.DOTALL)
    return [" ".join(re.sub("<[^>]+>", " ", row).split()) for row in rows]


def test_all_runs_are_listed_with_who_what_when_and_what_came_of_it(boss: Client) -> None:
    assert "No bulk runs yet" in boss.get(RUNS).content.decode()
    first = asked("restart", failed=1, waiting=1)
    BulkRun.objects.filter(pk=first.pk).update(actor="boss <b>", at="2026-03-04T15:06:07Z")
    second = BulkRun.objects.create(operation="stop", number=3)
    page = boss.get(RUNS).content.decode()
    newest, oldest = rows_of(page)
    # What its pods were is not known any more.
    assert newest.startswith("Stop 3 pods no longer known 3")
    assert oldest.startswith("Restart 4 pods failed 1 not known yet 1 done 2 boss &lt;b&gt; ")
    assert 'datetime="2026-03-04T' in page
    assert page.index(url_of(second)) < page.index(url_of(first))
    assert f'href="{RUNS}"' in boss.get(f"{PODS}overview/").content.decode()
    assert f'href="{RUNS}"' in boss.get(url_of(first)).content.decode()
    assert boss.post(RUNS).status_code == 405


@pytest.mark.parametrize(
    ("codenames", "listed"),
    [
        (["view_userpod"], ["Stop 3 pods", "Restart 2 pods"]),
        (["restart_userpod"], ["Restart 2 pods"]),
        (["sync_userpod", "stop_userpod"], ["Stop 3 pods"]),
        (["view_accesstoken"], None),
        (["change_userpod"], None),
    ],
)
def test_who_may_see_a_run_sees_it_in_the_list(
    client: Client, codenames: list[str], listed: list[str] | None
) -> None:
    BulkRun.objects.create(operation="restart", number=2)
    BulkRun.objects.create(operation="stop", number=3)
    staff = UserFactory(username="staff", is_staff=True)
    for codename in codenames:
        staff.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(staff)
    response = client.get(RUNS)
    assert response.status_code == (403 if listed is None else 200)
    page = response.content.decode()
    found = re.findall(r'<td><a href="[^"]+">([^<]+)</a>', page)
    assert found == (listed or [])
    # Nothing leads to where they may not go.
    assert (f'href="{PODS}overview/"' in page) == ("view_userpod" in codenames)


def test_the_list_takes_as_many_queries_for_many_as_for_few(boss: Client) -> None:
    run = asked("restart", 6, failed=2, waiting=1)
    lines = list(Transition.objects.filter(run=run))
    counts = []
    for number in (0, 40):
        for _ in range(number):
            again = BulkRun.objects.create(operation="restart", number=6)
            Transition.objects.bulk_create(
                Transition(
                    pod=line.pod,
                    run=again,
                    operation="restart",
                    before="running",
                    after="running",
                    outcome=line.outcome,
                )
                for line in lines
            )
        with CaptureQueriesContext(connection) as queries:
            page = boss.get(RUNS).content.decode()
        assert len(rows_of(page)) == number + 1
        counts.append(len(queries))
    assert counts[0] == counts[1] < 8
