"""The pages on one pod, and the first page: what they show, and what they ask for it."""

from __future__ import annotations

import datetime
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from django_userpods.core.objects import DEPLOYMENT, SERVICE, Ref
from django_userpods.exceptions import ClusterUnavailable, Forbidden, Invalid, OutOfTime
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import CONFIGMAP, bulk, row, sync, template_with
from tests.django.test_admin import PODS, boss
from tests.django.test_admin_live import fill, statements
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

__all__ = ["boss"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.django.admin_urls"),
]

OVERVIEW = f"{PODS}overview/"
DEPLOYED = Ref(DEPLOYMENT, "default", "user-alice")
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "{name}--keys"},
    "stringData": {"password": "hunter2"},
}
CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "{name}--config"},
    "data": {"colour": "red"},
}


@pytest.fixture
def pod(boss: Client, memory: MemoryCluster) -> UserPod:
    """A pod that runs."""
    return row(UserFactory(username="alice"))


def test_a_pods_page_says_when_it_stops_by_itself(
    boss: Client, pod: UserPod, settings: Any
) -> None:
    def stops() -> str:
        page = boss.get(f"{PODS}{pod.pk}/change/").text
        (value,) = re.findall(
            r"Stops automatically at:</label>\s*<div class=\"readonly\">(.*?)</div>", page
        )
        return str(value)

    settings.TIME_ZONE = "Europe/Berlin"
    assert stops() == "-"
    started = datetime.datetime(2026, 3, 1, 9, 30, tzinfo=datetime.UTC)
    UserPod.objects.filter(pk=pod.pk).update(started_at=started)
    settings.USERPODS_MAX_AGE = 24 * 3600
    assert stops() == "March 2, 2026, 10:30 a.m."
    settings.USERPODS_MAX_AGE = -1
    assert stops().startswith("USERPODS_MAX_AGE")
    UserPod.objects.filter(pk=pod.pk).update(wanted=UserPod.Wanted.STOPPED)
    settings.USERPODS_MAX_AGE = 24 * 3600
    assert stops() == "-"


def page_on(client: Client, pod: UserPod, page: str) -> str:
    response = client.get(f"{PODS}{pod.pk}/{page}/")
    assert response.status_code == 200
    return str(response.text)


def verdicts(page: str) -> dict[str, str]:
    """Return what is said of each object."""
    found = re.findall(r'class="userpods-object">(.*?) <span [^>]*>(.*?)</span>', page)
    return dict(found)


def test_each_page_leads_to_the_others(boss: Client, pod: UserPod) -> None:
    pages = ("change", "events", "logs", "comparison", "history")
    for current in pages:
        text = page_on(boss, pod, current)
        for page in pages:
            here = ' aria-current="page"' if page == current else ""
            assert f'<a href="{PODS}{pod.pk}/{page}/"{here}>' in text, (current, page)


def test_all_is_as_it_should_be_and_nothing_is_written(
    boss: Client, pod: UserPod, memory: MemoryCluster
) -> None:
    before, rows = len(memory.calls), list(UserPod.objects.values())
    text = page_on(boss, pod, "comparison")
    assert verdicts(text) == {
        "Deployment default/user-alice": "as it should be",
        "Service default/user-alice": "as it should be",
    }
    assert "userpods-diff" not in text
    assert {call.verb for call in [*memory.calls][before:]} == {"list"}
    assert list(UserPod.objects.values()) == rows


def test_what_is_not_as_it_should_be_is_shown_line_by_line(
    boss: Client, settings: Any, memory: MemoryCluster
) -> None:
    settings.USERPODS_TEMPLATE = template_with(SECRET, CONFIG)
    alice = row(UserFactory(username="alice"))
    memory.objects[DEPLOYED] = deployment = deepcopy(memory.objects[DEPLOYED])
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "mine:1"
    del memory.objects[Ref(SERVICE, "default", "user-alice")]
    settings.USERPODS_TEMPLATE = template_with({**SECRET, "stringData": {"password": "other"}})
    before = len(memory.calls)
    text = page_on(boss, alice, "comparison")
    assert verdicts(text) == {
        "Deployment default/user-alice": "is not as it should be",
        "Service default/user-alice": "is not there",
        "Secret default/user-alice--keys": "is not as it should be",
        "ConfigMap default/user-alice--config": "should not be there",
    }
    assert re.search(r"image</strong>\n<del>- mine:1</del>\n<ins>\+ \S+</ins>\n", text)
    assert "hunter2" not in text
    assert "other" not in re.sub(r"(?s)<head>.*?</head>", "", text)
    verbs = {call.verb for call in [*memory.calls][before:]}
    assert verbs <= {"list", "get"}, verbs
    assert Ref(CONFIGMAP, "default", "user-alice--config") in memory.objects


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClusterUnavailable("no route"), "The cluster cannot be reached at the moment."),
        (Forbidden("may not list it"), "The cluster does not let this site see all of it."),
    ],
    ids=["down", "forbidden"],
)
def test_a_cluster_that_does_not_show_it_is_said_and_what_should_be_is_there(
    boss: Client, pod: UserPod, memory: MemoryCluster, error: Exception, said: str
) -> None:
    memory.fail_with(error, verb="list")  # type: ignore[arg-type]
    text = page_on(boss, pod, "comparison")
    assert f'<p class="errornote" role="alert">{said}</p>' in text
    assert str(error) not in text
    assert "as it should be</span>" not in text, "nobody knows"
    assert "kind: Deployment" in text


def test_only_who_may_see_pods_sees_what_they_should_be(
    client: Client, pod: UserPod, memory: MemoryCluster
) -> None:
    staff = UserFactory(username="staff", is_staff=True)
    client.force_login(staff)
    before = len(memory.calls)
    for url in (f"{PODS}{pod.pk}/comparison/", f"{PODS}nobody/comparison/", OVERVIEW):
        assert client.get(url).status_code == 403, url
    assert len(memory.calls) == before
    staff.user_permissions.add(Permission.objects.get(codename="view_userpod"))
    assert client.get(f"{PODS}{pod.pk}/comparison/").status_code == 200
    assert client.get(f"{PODS}nobody/comparison/").status_code == 404
    assert client.post(f"{PODS}{pod.pk}/comparison/").status_code == 405
    assert client.get(OVERVIEW).status_code == 200
    assert client.post(OVERVIEW).status_code == 405


def test_what_staff_did_follows_what_came_of_it(boss: Client, pod: UserPod) -> None:
    data = {"action": "userpods_stop", "_selected_action": [pod.pk], "post": "yes"}
    boss.post(PODS, data)
    text = page_on(boss, pod, "history")
    assert "done, after" in text
    assert text.index("userpods-history") < text.index("Stop was requested.")


def test_the_first_page_counts_and_leads_to_what_it_counts(
    boss: Client, pod: UserPod, memory: MemoryCluster
) -> None:
    UserPod.objects.update(state="failed", message="ImagePullBackOff: no", asked_at=timezone.now())
    before = len(memory.calls)
    text = boss.get(OVERVIEW).text
    assert re.search(r'href="/admin/userpods/userpod/\?state__exact=failed">.*</a> 1</li>', text)
    assert re.search(r'state__exact=running">.*</a> 0</li>', text)
    assert 'href="/admin/userpods/userpod/?q=user-alice"' in text
    assert "could not be fetched" in text
    assert "1 pod is waiting to be checked" in text
    assert len(memory.calls) == before, "no cluster is asked"
    for url in (PODS, "/admin/userpods/"):
        assert "overview/" in boss.get(url).text, url


def test_the_first_page_says_what_the_last_sync_knows(boss: Client, memory: MemoryCluster) -> None:
    assert "no sync yet" in boss.get(OVERVIEW).text
    sync()
    assert ">reachable<" in boss.get(OVERVIEW).text
    memory.fail_with(ClusterUnavailable("no route"), verb="list")
    with pytest.raises(ClusterUnavailable):
        reconcile()
    since = Installation.objects.get().trouble_since
    text = boss.get(OVERVIEW).text
    assert ">cannot be synced<" in text
    assert "no route" in text
    with pytest.raises(ClusterUnavailable):
        reconcile()
    assert Installation.objects.get().trouble_since == since, "it is the same trouble still"
    memory.heal()
    sync()
    assert Installation.objects.get().trouble == ""
    assert ">reachable<" in boss.get(OVERVIEW).text


def test_the_first_page_does_not_take_an_old_sync_for_a_cluster_that_answers(
    boss: Client, memory: MemoryCluster
) -> None:
    def cluster() -> str:
        found = re.search(r"<dt>Cluster</dt>\s*<dd>(.*?)</dd>", boss.get(OVERVIEW).text)
        assert found is not None
        return found[1]

    sync()
    for minutes, known in ((10, True), (20, False), (60 * 24 * 30, False)):
        at = timezone.now() - datetime.timedelta(minutes=minutes)
        Installation.objects.update(synced_at=at)
        assert ("userpods-running" in cluster()) is known
        assert (">not known<" in cluster()) is not known
    Installation.objects.update(trouble="no route", trouble_since=timezone.now())
    assert ">cannot be synced<" in cluster()


def test_the_first_page_says_how_old_the_last_sync_is_and_how_many_failed(
    boss: Client, memory: MemoryCluster
) -> None:
    def last_sync() -> str:
        found = re.search(r"<dt>Last sync</dt>\s*<dd>(.*?)</dd>", boss.get(OVERVIEW).text)
        assert found is not None
        return found[1]

    assert last_sync() == "never"
    bulk(2)
    for failing, said in ((2, ", 2 users failed"), (1, ", 1 user failed"), (0, "")):
        if failing:
            memory.fail_with(Invalid("no"), verb="create", kind="Deployment", times=failing)
        assert len(reconcile().failed) == failing
        at = timezone.now() - datetime.timedelta(hours=2, minutes=3.5)
        Installation.objects.update(synced_at=at)
        text = last_sync()
        assert text.startswith("2\xa0hours, 3\xa0minutes ago ("), text
        assert f'<time datetime="{timezone.localtime(at).isoformat()}">' in text
        assert text.endswith(f"</time>){said}")


def test_a_run_of_some_or_without_time_says_nothing_of_the_cluster(
    pod: UserPod, memory: MemoryCluster
) -> None:
    memory.fail_with(ClusterUnavailable("no route"), verb="list")
    with pytest.raises(ClusterUnavailable):
        reconcile(pods=[pod.pk])
    with pytest.raises(ClusterUnavailable):
        reconcile(dry_run=True)
    memory.heal()
    memory.fail_with(OutOfTime("no time"), verb="list")
    with pytest.raises(OutOfTime):
        reconcile()
    assert Installation.objects.get().trouble == ""


def test_the_first_page_s_queries_do_not_grow(boss: Client) -> None:
    counts = []
    for count in (0, 1, 501):
        fill(count)
        UserPod.objects.update(state="failed", message="CrashLoopBackOff: no")
        counts.append(statements(boss, OVERVIEW))
    assert counts[0] == counts[1] == counts[2]
