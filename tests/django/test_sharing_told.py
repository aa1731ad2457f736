"""Whatever changes who may reach a shared pod is told to the routers and to whoami's cache."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache as django_cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import UserPod, share, unshare
from django_userpods.access import router_client
from django_userpods.models import Share
from django_userpods.reconcile import reconcile
from tests.django.asking_whoami import token_for
from tests.django.pods_hosts import ALICES, bob, pods_hosts
from tests.django.pretended_router import Router, router
from tests.django.sharing_pods import class_5b, pod
from tests.django.support import service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import Group

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db

__all__ = ["bob", "class_5b", "pod", "pods_hosts", "router"]

GUESTS = {"guests_of": "user-alice"}


@pytest.fixture(autouse=True)
def sharing(settings: Any) -> Iterator[None]:
    settings.USERPODS_SHARING = True
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "sharing",
        }
    }
    settings.USERPODS_CACHE = "default"
    django_cache.clear()
    yield
    django_cache.clear()


class Guest:
    """A program with bob's token, that comes to alice's host."""

    def __init__(self, user: Any) -> None:
        self.headers = {"Authorization": f"Bearer {token_for(user)}", "X-Userpods-Host": ALICES}

    def ask(self) -> Any:
        return Client().get("/whoami", headers=self.headers)

    def is_remembered(self) -> bool:
        with CaptureQueriesContext(connection) as queries:
            assert self.ask().status_code == 200
        return not queries.captured_queries


@pytest.fixture
def guest(pod: UserPod, bob: Any, commit: Any) -> Guest:
    with commit():
        found = Guest(bob)
        share(pod, with_=bob)
    assert not found.is_remembered()
    assert found.is_remembered()
    return found


def told(router: Router) -> list[Any]:
    assert router_client.wait_idle(10)
    return [body for _, _, _, body in router.told]


def test_a_guest_is_remembered_as_one(guest: Guest, pod: UserPod) -> None:
    answer = guest.ask()
    assert (answer["X-Userpods-Guest"], answer["X-Userpods-Owner-Id"]) == ("1", pod.owner_pk)


def test_granting_counts_at_once(pod: UserPod, bob: Any, commit: Any) -> None:
    guest = Guest(bob)
    assert guest.ask().status_code == 403
    with commit():
        share(pod, with_=bob)
    assert guest.ask().status_code == 200


def test_revoking_counts_at_once(
    guest: Guest, pod: UserPod, bob: Any, commit: Any, router: Router, settings: Any
) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    with commit():
        unshare(pod, with_=bob)
    # Whoever revoked it may look: the router has heard of it.
    assert [body for _, _, _, body in router.told] == [GUESTS]
    assert guest.ask().status_code == 403


def test_one_who_is_still_in_a_group_still_reaches_it(
    guest: Guest, pod: UserPod, bob: Any, class_5b: Group, commit: Any
) -> None:
    with commit():
        share(pod, with_=class_5b)
        unshare(pod, with_=bob)
    assert guest.ask().status_code == 200


def test_a_share_that_is_changed_by_hand_counts_at_once(guest: Guest, commit: Any) -> None:
    row = Share.objects.get()
    row.expires_at = timezone.now()
    with commit():
        row.save()
    assert guest.ask().status_code == 403


def test_an_answer_is_remembered_no_longer_than_the_share(
    pod: UserPod, bob: Any, commit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = Guest(bob)
    until = timezone.now() + datetime.timedelta(seconds=60)
    with commit():
        share(pod, with_=bob, until=until)
    assert not guest.is_remembered()
    assert guest.is_remembered()
    # The cache's own clock has not moved, so it has the answer still.
    later = until + datetime.timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert guest.ask().status_code == 403


def test_a_share_that_ends_in_a_moment_is_not_remembered(
    pod: UserPod, bob: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    share(pod, with_=bob, until=now + datetime.timedelta(milliseconds=900))
    guest = Guest(bob)
    assert not guest.is_remembered()
    assert not guest.is_remembered()


@pytest.mark.parametrize("way", ["left", "taken out", "emptied", "all left", "deleted"])
def test_a_group_that_somebody_leaves_counts_at_once(
    pod: UserPod, bob: Any, class_5b: Group, commit: Any, router: Router, settings: Any, way: str
) -> None:
    with commit():
        share(pod, with_=class_5b)
        guest = Guest(bob)
    assert not guest.is_remembered()
    assert guest.is_remembered()
    settings.USERPODS_ROUTERS = [router.url]
    with commit():
        if way == "left":
            bob.groups.remove(class_5b)
        elif way == "taken out":
            class_5b.user_set.remove(bob)
        elif way == "emptied":
            class_5b.user_set.clear()
        elif way == "all left":
            bob.groups.clear()
        else:
            class_5b.delete()
    assert guest.ask().status_code == 403
    whom = {"user_id": str(bob.pk)} if way in ("left", "all left") else GUESTS
    assert whom in told(router)


@pytest.mark.parametrize("out", ["inactive", "deleted"])
def test_an_owner_who_is_out_counts_at_once(
    guest: Guest, alice: Any, commit: Any, router: Router, settings: Any, out: str
) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    with commit():
        if out == "inactive":
            alice.is_active = False
            alice.save()
        else:
            alice.delete()
    assert guest.ask().status_code == 403
    assert GUESTS in told(router)


def test_a_guest_who_is_deleted_counts_at_once(
    guest: Guest, bob: Any, commit: Any, router: Router, settings: Any
) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    with commit():
        bob.delete()
    assert guest.ask().status_code == 403
    assert GUESTS in told(router)


def test_guests_follow_a_pod_to_another_address(
    guest: Guest,
    memory: MemoryCluster,
    commit: Any,
    router: Router,
    settings: Any,
) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    service(memory, "user-alice")["spec"]["clusterIP"] = "10.96.9.9"
    with commit():
        reconcile()
    assert guest.ask()["X-Target-Peer"] == "10.96.9.9:8000"
    assert GUESTS in told(router)


def test_where_nothing_is_shared_nobody_is_told(
    alice: Any, bob: Any, class_5b: Group, commit: Any, router: Router, settings: Any
) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    settings.USERPODS_SHARING = False
    with commit():
        bob.groups.remove(class_5b)
    assert told(router) == []
