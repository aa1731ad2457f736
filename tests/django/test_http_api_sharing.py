"""Sharing in the JSON API: by owners, by staff, and what a guest sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_userpods import UserPod, share
from django_userpods.models import Share
from django_userpods.reconcile import reconcile
from tests.django.http_api import ask, bearer, boss, signed_in
from tests.django.pods_hosts import ALICES, bob, pods_hosts
from tests.django.sharing_pods import class_5b, in_an_hour, pod, sharing
from tests.django.support import row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

__all__ = ["bob", "class_5b", "pod", "pods_hosts", "sharing"]

SHARES = "pods/user-alice/shares/"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()


@pytest.fixture
def owner(alice: Any, pod: UserPod) -> Client:
    alice.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    return signed_in(alice)


def test_an_owner_shares_lists_and_takes_back(owner: Client, bob: Any, class_5b: Group) -> None:
    until = in_an_hour().isoformat()
    made = ask(owner, "post", SHARES, {"user": "bob", "expires_at": until}, status=201)
    assert (made["user"], made["group"]) == ("bob", None)
    assert ask(owner, "post", SHARES, {"group": "5b"}, status=201)["expires_at"] is None
    listed = ask(owner, "get", SHARES)["items"]
    assert [(item["user"], item["group"]) for item in listed] == [("bob", None), (None, "5b")]
    ask(owner, "delete", f"{SHARES}{made['id']}/", status=204)
    ask(owner, "delete", f"{SHARES}{made['id']}/", status=404)
    assert [row.group for row in Share.objects.all()] == [class_5b]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"user": "bob", "group": "5b"}, 400),
        ({"user": "nobody"}, 400),
        ({"user": "\ud800"}, 400),
        ({"user": 7}, 400),
        ({"user": "bob", "expires_at": "2001-01-01T00:00:00Z"}, 400),
        ({"user": "bob", "days": 7}, 400),
        ({"user": "alice"}, 409),
    ],
)
def test_what_cannot_be_shared_is_refused(
    owner: Client, bob: Any, class_5b: Group, body: Any, status: int
) -> None:
    ask(owner, "post", SHARES, body, status=status)
    assert not Share.objects.exists()


def test_sharing_needs_the_permission_and_a_session(
    alice: Any, pod: UserPod, bob: Any, settings: Any
) -> None:
    ask(signed_in(alice), "post", SHARES, {"user": "bob"}, status=403)
    alice.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    headers = bearer(alice)
    ask(Client(), "post", SHARES, {"user": "bob"}, status=403, headers=headers)
    row = share(pod, with_=bob)
    assert len(ask(Client(), "get", SHARES, headers=headers)["items"]) == 1
    ask(Client(), "delete", f"{SHARES}{row.pk}/", status=204, headers=headers)
    settings.USERPODS_SHARING = False
    ask(signed_in(alice), "post", SHARES, {"user": "bob"}, status=403)


def test_a_guest_sees_where_it_is_and_manages_nothing(pod: UserPod, bob: Any) -> None:
    row = share(pod, with_=bob)
    bob.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    guest = signed_in(bob)
    UserPod.objects.filter(pk=pod.pk).update(state="running")
    expected = {
        "name": "user-alice",
        "owner": "alice",
        "state": "running",
        "url": f"https://{ALICES}/",
    }
    assert ask(guest, "get", "shared/")["items"] == [expected]
    for method, path, body in (
        ("get", SHARES, None),
        ("post", SHARES, {"user": "bob"}),
        ("delete", f"{SHARES}{row.pk}/", None),
        ("delete", f"pods/user-bob/shares/{row.pk}/", None),
    ):
        ask(guest, method, path, body, status=404)
    assert Share.objects.get() == row


def test_staff_share_anybodys_with_the_permission(pod: UserPod, bob: Any) -> None:
    ask(boss("view_userpod"), "post", SHARES, {"user": "bob"}, status=403)
    staff = boss("view_userpod", "share_userpod")
    made = ask(staff, "post", SHARES, {"user": "bob"}, status=201)
    ask(staff, "delete", f"{SHARES}{made['id']}/", status=204)


def test_no_query_for_each_share(owner: Client, pod: UserPod) -> None:
    def queries(asked: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as found:
            asked()
        return len(found)

    share(pod, with_=UserFactory())
    few = queries(lambda: ask(owner, "get", SHARES))
    for number in range(5):
        share(pod, with_=UserFactory())
        share(pod, with_=Group.objects.create(name=str(number)))
    assert queries(lambda: ask(owner, "get", SHARES)) == few


def test_no_query_for_each_pod_that_is_shared_with_one(bob: Any) -> None:
    guest, counts = signed_in(bob), []
    for size in (1, 6):
        for _ in range(size):
            owner = UserFactory()
            reconcile()
            share(row(owner), with_=bob)
        with CaptureQueriesContext(connection) as queries:
            ask(guest, "get", "shared/")
        counts.append(len(queries))
    assert len(ask(guest, "get", "shared/")["items"]) == 7
    assert counts[0] == counts[1]
