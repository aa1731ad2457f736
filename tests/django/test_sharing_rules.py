"""What can be shared with whom, and what is refused."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.core import checks
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import UserPod, share
from django_userpods.access.reach import shared_pods_of
from django_userpods.exceptions import SettingError, ShareRefused
from django_userpods.models import Share
from tests.django.pods_hosts import bob, pods_hosts
from tests.django.sharing_pods import ask, class_5b, in_an_hour, pod, sharing
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.contrib.auth.models import Group

pytestmark = pytest.mark.django_db

__all__ = ["bob", "class_5b", "pod", "pods_hosts", "sharing"]


@pytest.mark.parametrize("value", [True, "yes", None])
def test_a_setting_that_cannot_be_used_is_said_so(settings: Any, value: Any) -> None:
    settings.USERPODS_URL = None
    settings.USERPODS_SHARING = value
    (message,) = checks.run_checks(tags=["userpods"])
    assert (message.id, message.is_serious()) == ("userpods.E026", True)
    assert "USERPODS_SHARING" in message.msg
    assert message.hint


def test_a_bad_url_is_said_once(settings: Any) -> None:
    settings.USERPODS_URL = "nonsense"
    assert [one.id for one in checks.run_checks(tags=["userpods"])] == ["userpods.E030"]


def test_sharing_again_changes_the_time(pod: UserPod, bob: Any) -> None:
    first = share(pod, with_=bob, until=in_an_hour(), by="alice")
    later = in_an_hour() + datetime.timedelta(days=1)
    assert share(pod, with_=bob, until=later, by="root").pk == first.pk
    assert Share.objects.values_list("expires_at", "created_by").get() == (later, "alice")


@pytest.mark.parametrize(
    ("with_", "until", "reason"),
    [
        ("alice", None, "with its owner"),
        ("nobody", None, "a user or a group"),
        ("unsaved", None, "that is saved"),
        ("bob", "past", "already past"),
        ("bob", "naive", "no time zone"),
        ("bob", "end of time", "too far away"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    alice: Any, pod: UserPod, bob: Any, with_: str, until: str | None, reason: str
) -> None:
    whom = {"alice": alice, "bob": bob, "nobody": "bob", "unsaved": UserFactory.build()}
    times = {
        "past": timezone.now(),
        "end of time": datetime.datetime.max.replace(tzinfo=datetime.UTC),
        "naive": datetime.datetime(2999, 1, 1),  # noqa: DTZ001 - that is the point
    }
    with pytest.raises(ShareRefused, match=reason):
        share(pod, with_=whom[with_], until=times.get(until or ""))
    assert not Share.objects.exists()


def test_a_pod_without_an_owner_or_an_address_is_not_shared(pod: UserPod, bob: Any) -> None:
    UserPod.objects.filter(pk=pod.pk).update(name="other-alice")
    with pytest.raises(ShareRefused, match="no address of its own"):
        share(UserPod.objects.get(pk=pod.pk), with_=bob)
    UserPod.objects.filter(pk=pod.pk).update(owner=None)
    with pytest.raises(ShareRefused, match="nobody's any more"):
        share(UserPod.objects.get(pk=pod.pk), with_=bob)


@pytest.mark.parametrize("url", [None, "https://app.example.org/"])
def test_pods_at_one_address_are_not_shared(
    pod: UserPod, bob: Any, settings: Any, url: str | None
) -> None:
    share(pod, with_=bob)
    settings.USERPODS_URL = url
    with pytest.raises(SettingError, match="no addresses of their own"):
        share(pod, with_=bob)
    # What is asked there leads everybody to their own.
    answer = ask(bob, "app.example.org")
    assert (answer.status_code, answer["X-Target-Service"]) == (200, "user-bob")


def test_a_share_is_with_one_user_or_one_group(pod: UserPod, bob: Any, class_5b: Group) -> None:
    for whom in ({}, {"user": bob, "group": class_5b}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Share.objects.create(pod=pod, **whom)
    share(pod, with_=bob)
    with pytest.raises(IntegrityError), transaction.atomic():
        Share.objects.create(pod=pod, user=bob)


def test_what_is_shared_is_asked_of_nobody_where_nothing_may_be(
    alice: Any, pod: UserPod, bob: Any, settings: Any
) -> None:
    share(pod, with_=bob)
    assert shared_pods_of([str(alice.pk), str(bob.pk)]) == {"user-alice"}
    settings.USERPODS_SHARING = False
    with CaptureQueriesContext(connection) as found:
        assert not shared_pods_of([str(alice.pk)])
    assert not found.captured_queries
