"""Sharing in the admin: by whom, what is refused, and what a pod's page shows of it."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import UserPod, share
from django_userpods.models import Share
from tests.django.pods_hosts import bob, pods_hosts
from tests.django.sharing_pods import class_5b, in_an_hour, pod, sharing
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.contrib.auth.models import Group

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.django.admin_urls")]

__all__ = ["bob", "class_5b", "pod", "pods_hosts", "sharing"]

SHARES = "/admin/userpods/share/"


def staff(*codenames: str) -> Client:
    """The browser of a member of staff with these permissions alone."""
    user = UserFactory(username="staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss(pod: UserPod) -> Client:
    return staff("share_userpod", "view_userpod")


def form(pod: UserPod, **fields: Any) -> dict[str, Any]:
    found = {"pod": pod.pk, "user": "", "group": "", "expires_at_0": "", "expires_at_1": ""}
    return found | fields


def errors(response: Any) -> list[str]:
    assert response.status_code == 200
    return [str(error) for one in response.context["errors"] for error in one]


def test_staff_share_a_pod_and_end_it(boss: Client, pod: UserPod, bob: Any) -> None:
    assert boss.post(f"{SHARES}add/", form(pod, user=bob.pk)).status_code == 302
    row = Share.objects.get()
    assert (row.pod, row.user, row.group, row.created_by) == (pod, bob, None, "staff")
    later = timezone.localtime(in_an_hour())
    times = {"expires_at_0": f"{later:%Y-%m-%d}", "expires_at_1": f"{later:%H:%M:%S}"}
    assert boss.post(f"{SHARES}{row.pk}/change/", times).status_code == 302
    row.refresh_from_db()
    assert row.expires_at is not None
    assert abs(row.expires_at - later) < datetime.timedelta(seconds=1)
    assert boss.post(f"{SHARES}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Share.objects.exists()


def test_of_one_that_is_there_only_the_time_changes(
    boss: Client, pod: UserPod, bob: Any, class_5b: Group
) -> None:
    row = share(pod, with_=bob)
    data = form(pod, user="", group=class_5b.pk)
    assert boss.post(f"{SHARES}{row.pk}/change/", data).status_code == 302
    row.refresh_from_db()
    assert (row.user, row.group) == (bob, None)


def test_what_cannot_be_shared_is_said(
    boss: Client, pod: UserPod, bob: Any, class_5b: Group, settings: Any
) -> None:
    def said(**fields: Any) -> list[str]:
        return errors(boss.post(f"{SHARES}add/", form(pod, **fields)))

    assert said() == ["Name one user or one group."]
    assert said(user=bob.pk, group=class_5b.pk) == ["Name one user or one group."]
    assert said(user=pod.owner_pk) == ["This is its owner, who can reach it anyway."]
    past = {"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}
    assert said(user=bob.pk, **past) == ["This time is already past, or too far in the future."]
    share(pod, with_=bob)
    assert said(user=bob.pk) == ["Share with this User pod and User already exists."]
    assert Share.objects.count() == 1


def test_only_whoever_may_share_does(pod: UserPod, bob: Any) -> None:
    row = share(pod, with_=bob)
    other = staff("view_userpod", "view_share", "add_share", "change_share", "delete_share")
    for url in (SHARES, f"{SHARES}add/", f"{SHARES}{row.pk}/change/", f"{SHARES}{row.pk}/delete/"):
        assert other.get(url).status_code == 403
    assert other.post(f"{SHARES}add/", form(pod, user=bob.pk)).status_code == 403
    assert other.post(f"{SHARES}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    page = other.get(f"/admin/userpods/userpod/{pod.pk}/change/").content.decode()
    assert "Shared with" not in page
    assert SHARES not in page


def test_a_pods_page_says_with_whom_it_is_shared(
    boss: Client, pod: UserPod, bob: Any, class_5b: Group
) -> None:
    url = f"/admin/userpods/userpod/{pod.pk}/change/"
    rows = [share(pod, with_=bob), share(pod, with_=class_5b, by="alice")]
    page = boss.get(url).content.decode()
    assert f"{SHARES}add/?pod={pod.pk}" in page
    assert "Shared with" in page
    for row in rows:
        assert f"{SHARES}{row.pk}/change/" in page
    # It is for reading.
    assert boss.post(url, {"shares-TOTAL_FORMS": "0"}).status_code == 403


def test_it_is_nowhere_where_nothing_is_shared(
    boss: Client, pod: UserPod, bob: Any, settings: Any
) -> None:
    row = share(pod, with_=bob)
    settings.USERPODS_SHARING = False
    assert boss.get(f"{SHARES}add/").status_code == 403
    page = boss.get(f"/admin/userpods/userpod/{pod.pk}/change/").content.decode()
    assert SHARES not in page
    # What is there can be ended.
    assert boss.post(f"{SHARES}{row.pk}/delete/", {"post": "yes"}).status_code == 302


def test_no_query_for_each_share(boss: Client, pod: UserPod) -> None:
    def queries(url: str) -> int:
        boss.get(url)
        with CaptureQueriesContext(connection) as found:
            assert boss.get(url).status_code == 200
        return len(found)

    urls = [SHARES, f"/admin/userpods/userpod/{pod.pk}/change/"]
    share(pod, with_=UserFactory())
    few = [queries(url) for url in urls]
    for _ in range(5):
        share(pod, with_=UserFactory())
    assert [queries(url) for url in urls] == few


def test_it_can_be_searched(boss: Client, pod: UserPod, bob: Any, class_5b: Group) -> None:
    share(pod, with_=bob)
    share(pod, with_=class_5b)
    for text, count in (("alice", 2), ("bob", 1), ("5b", 1), ("nobody", 0)):
        listed = boss.get(SHARES, {"q": text}).context["cl"].result_count
        assert (text, listed) == (text, count)
