"""Pages of the admin that stay open: how pods are doing now, on their list and on that of users."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import background
from django_userpods.models import AccessToken, PodSession, UserPod
from django_userpods.shares import Share
from tests.django.support import row, users
from tests.django.test_admin import PODS, boss, users_url
from tests.django.test_admin_people import rows
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.test import Client

    from django_userpods.testing import MemoryCluster

__all__ = ["boss"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.django.admin_urls"),
]

STATES = f"{PODS}states/"


@pytest.fixture(autouse=True)
def _cluster(memory: MemoryCluster) -> None:
    """Do nothing but keep the cluster empty."""


def states(client: Client, pods: Sequence[UserPod]) -> Any:
    """Return what an open page is told of some pods."""
    response = client.get(STATES, {"pod": [pod.pk for pod in pods]})
    assert response.status_code == 200
    return response.json()


def statements(client: Client, url: str, data: Any = None) -> int:
    """Return how many statements a page takes."""
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url, data)
    assert response.status_code == 200, url
    return len(queries)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What is put down to be done beside the requests, instead of being done."""
    found: list[Callable[[], None]] = []
    monkeypatch.setattr(background, "do", found.append)
    return found


@pytest.mark.usefixtures("beside")
def test_an_open_list_is_told_what_became_of_its_pods(boss: Client) -> None:
    up, down, away = rows(3, state="running", last_activity=timezone.now())
    UserPod.objects.filter(pk=down.pk).update(state="failed", message="Back-off\n  5m0s")
    UserPod.objects.filter(pk=away.pk).delete()
    told = states(boss, [up, down, away])
    assert told["moving"] is False
    assert told["pods"][up.pk]["label"] == "running"
    assert told["pods"][up.pk]["seen"].endswith(" ago")
    assert told["pods"][down.pk]["state"] == "failed"
    assert told["pods"][down.pk]["reason"] == "Back-off 5m0s"
    assert told["pods"][down.pk]["message"] == "Back-off\n  5m0s"
    assert told["pods"][away.pk]["label"] == "gone"
    UserPod.objects.filter(pk=up.pk).update(state="starting")
    assert states(boss, [up, down])["moving"] is True


def test_an_open_list_has_those_looked_at_that_may_be_other_by_now(
    boss: Client, memory: MemoryCluster, beside: list[Callable[[], None]]
) -> None:
    pods = [row(UserFactory(username=name)) for name in ("alice", "bob", "carol", "dave")]
    failed, coming, running, leaving = pods
    UserPod.objects.update(looked_at=None)
    UserPod.objects.filter(pk__in=[failed.pk, leaving.pk]).update(state="failed")
    UserPod.objects.filter(pk=coming.pk).update(state="starting")
    UserPod.objects.filter(pk=leaving.pk).update(wanted="absent")
    before = len(memory.calls)
    assert states(boss, pods)["pods"][failed.pk]["state"] == "failed"
    assert len(memory.calls) == before, "no request waits for the cluster"
    looked_at = dict(UserPod.objects.values_list("pk", "looked_at"))
    assert {pk for pk, at in looked_at.items() if at} == {failed.pk, coming.pk}
    states(boss, pods)
    assert len(beside) == 1, "there was a look a moment ago"
    beside.pop()()
    assert len(memory.calls) > before
    told = states(boss, pods)["pods"]
    assert [told[pod.pk]["state"] for pod in (failed, coming, running)] == ["running"] * 3
    assert not beside, "there is nothing to look at"


def test_an_open_list_has_its_pods_looked_at_in_turn(
    boss: Client, beside: list[Callable[[], None]]
) -> None:
    pods = rows(60, state="failed", message="no")
    old = timezone.now() - datetime.timedelta(hours=1)
    UserPod.objects.filter(pk__in=[pod.pk for pod in pods[:10]]).update(looked_at=old)
    seen = UserPod.objects.exclude(looked_at=None).exclude(looked_at=old)
    states(boss, pods)
    assert set(seen.all()) == set(pods[10:]), "those first that nobody has looked at"
    states(boss, pods)
    assert set(seen.all()) == set(pods)
    states(boss, pods)
    assert len(beside) == 2, "there was a look at each a moment ago"


def test_the_page_on_one_pod_is_told_what_may_be_done_and_has_it_looked_at(
    boss: Client, memory: MemoryCluster
) -> None:
    pod = row(UserFactory(username="alice"))
    told = states(boss, [pod])["pods"][pod.pk]
    assert told["actions"] == ["sync", "stop", "restart", "recreate"]
    UserPod.objects.update(state="failed", message="CrashLoopBackOff", looked_at=None)
    assert states(boss, [pod])["pods"][pod.pk]["state"] == "running"
    before = len(memory.calls)
    states(boss, [pod])
    assert len(memory.calls) == before, "it runs: there is nothing to look at"


def test_who_may_not_see_pods_is_told_nothing(client: Client) -> None:
    [pod] = rows(1, state="running")
    assert client.get(STATES, {"pod": pod.pk}).status_code == 302, "to the login"
    staff = UserFactory(username="staff", is_staff=True)
    client.force_login(staff)
    assert client.get(STATES, {"pod": pod.pk}).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_userpod"))
    assert states(client, [pod])["pods"][pod.pk]["state"] == "running"
    assert client.post(STATES, {"pod": pod.pk}).status_code == 405


def test_the_list_marks_what_is_asked_for_again(boss: Client) -> None:
    [pod] = rows(1, state="failed", message="no")
    page = boss.get(PODS).text
    assert f'data-userpods-pod="{pod.pk}" data-userpods-url="{STATES}"' in page
    assert "userpods/live.js" in page


def test_what_an_open_list_asks_does_not_grow_with_it(boss: Client) -> None:
    found = rows(501, state="running")
    counts = {
        size: statements(boss, STATES, {"pod": [pod.pk for pod in found[:size]]})
        for size in (1, 100, 501)
    }
    assert len(set(counts.values())) == 1, counts
    assert len(states(boss, found)["pods"]) == 200


@pytest.mark.usefixtures("beside")
def test_nor_does_it_where_all_of_them_failed(boss: Client) -> None:
    found = rows(501, state="failed", message="no")
    counts = {}
    for size in (2, 100, 501):
        UserPod.objects.update(looked_at=None)
        counts[size] = statements(boss, STATES, {"pod": [pod.pk for pod in found[:size]]})
    assert len(set(counts.values())) == 1, counts


def fill(count: int) -> None:
    """Give some users a pod, a token, a session on the pod's host and a share each."""
    UserPod.objects.all().delete()
    AccessToken.objects.all().delete()
    PodSession.objects.all().delete()
    Share.objects.all().delete()
    users().exclude(username="boss").delete()
    now = timezone.now()
    pods = rows(count, state="running", last_activity=now, image="example.org/app:1")
    UserPod.objects.filter(name__endswith="1").update(image="example.org/app:2", namespace="x")
    owners = [pod.owner for pod in pods]
    AccessToken.objects.bulk_create(
        AccessToken(digest=f"{number:064}", user=user) for number, user in enumerate(owners)
    )
    PodSession.objects.bulk_create(
        PodSession(digest=f"{number:064}", user=pod.owner, pod=pod.pk, expires_at=now)
        for number, pod in enumerate(pods)
    )
    guest = users().get(username="boss")
    Share.objects.bulk_create(Share(pod=pod, user=guest) for pod in pods)


def test_no_list_s_queries_grow_with_it(boss: Client) -> None:
    models = ("accesstoken", "podsession", "share")
    lists = [PODS, users_url(), *(f"/admin/userpods/{one}/" for one in models)]
    counts: dict[str, list[int]] = {url: [] for url in lists}
    for count in (0, 1, 501):
        fill(count)
        for url in lists:
            counts[url].append(statements(boss, url))
    for url, (none, one, many) in counts.items():
        assert none <= one == many, (url, counts[url])


def test_the_list_of_users_shows_their_pods(boss: Client, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 9
    alice = UserFactory(username="alice")
    pod = row(alice)
    for number in range(4):
        UserPod.objects.create(
            owner=alice,
            owner_pk=str(alice.pk),
            slot=f"s{number}",
            name=f"user-alice--s{number}",
            namespace="default",
        )
    UserPod.objects.filter(pk=pod.pk).update(state="failed", message="no such image")
    page = boss.get(users_url()).text
    assert f'<a href="{PODS}{pod.pk}/change/">user-alice</a>' in page
    assert 'class="userpods-state userpods-failed"' in page
    assert "user-alice--s1" in page
    assert "user-alice--s2" not in page
    assert "+2" in page
    page = boss.get(f"{users_url()}{alice.pk}/change/").text
    assert f'<a href="{PODS}{pod.pk}/change/">user-alice</a>' in page
    assert "no such image" in page
    assert page.count("userpods-theirs") == 5
    assert "userpods/live.js" in page
    assert "userpods-theirs" not in boss.get(f"{users_url()}add/").text


def test_who_may_not_see_pods_sees_none_in_the_list_of_users(client: Client) -> None:
    alice = UserFactory(username="alice")
    staff = UserFactory(username="staff", is_staff=True)
    model = users().model._meta.model_name
    for codename in (f"view_{model}", f"change_{model}"):
        staff.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(staff)
    for url in (users_url(), f"{users_url()}{alice.pk}/change/"):
        page = client.get(url)
        assert page.status_code == 200
        assert "user-alice" not in page.text
        assert "data-userpods-pod" not in page.text
