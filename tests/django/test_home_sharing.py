"""My pods where pods may be shared: what owners do with theirs, and what is shared with others."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import UserPod, share
from django_userpods.models import Share
from django_userpods.reconcile import reconcile
from tests.django.pods_hosts import ALICES, bob, pods_hosts
from tests.django.sharing_pods import class_5b, in_an_hour, pod, sharing
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

__all__ = ["bob", "class_5b", "pod", "pods_hosts", "sharing"]

HOME = "/userpods/"
SHARES = f"{HOME}pods/user-alice/shares/"
NOBODY = "There is no user or group with exactly this name to share with."


def browser(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def owner(alice: Any, pod: UserPod) -> Client:
    """The browser of alice, who may share what is hers."""
    alice.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    return browser(alice)


def asked(client: Client, **data: str) -> Any:
    return client.post(SHARES, {"kind": "user", "days": "7", **data})


def said(response: Any) -> str:
    assert response.status_code == 400
    return str(response.context["error"])


def test_an_owner_shares_and_takes_back(owner: Client, bob: Any, class_5b: Group) -> None:
    assert asked(owner, whom=" bob ").status_code == 303
    assert asked(owner, whom="5b", kind="group", days="0").status_code == 303
    one, group = Share.objects.order_by("pk")
    assert (one.user, one.created_by, group.group) == (bob, "alice", class_5b)
    assert one.expires_at is not None
    week = datetime.timedelta(days=7)
    assert abs(one.expires_at - timezone.now() - week) < datetime.timedelta(minutes=5)
    assert group.expires_at is None
    page = owner.get(HOME).content.decode()
    assert "Shared with 2" in page
    for row in (one, group):
        assert f'action="{SHARES}{row.pk}/end/"' in page
        assert owner.post(f"{SHARES}{row.pk}/end/").status_code == 303
    assert not Share.objects.exists()


@pytest.mark.parametrize(
    ("kind", "whom"),
    [
        ("user", ""),
        ("user", "nobody"),
        ("user", "BOB"),
        ("user", "bo"),
        ("user", "out"),
        ("user", "5b"),
        ("user", "bob\0"),
        ("group", "bob"),
        ("group", ""),
        ("", "bob"),
    ],
)
def test_who_is_not_there_and_who_may_not_come_in_are_the_same(
    owner: Client, bob: Any, class_5b: Group, kind: str, whom: str
) -> None:
    UserFactory(username="out", is_active=False)
    assert said(asked(owner, kind=kind, whom=whom)) == NOBODY
    assert not Share.objects.exists()


def test_what_cannot_be_shared_is_said(
    owner: Client, bob: Any, pod: UserPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(asked(owner, whom="alice")) == "This is its owner, who can reach it anyway."
    for days in ("", "-1", "2", "x"):
        assert said(asked(owner, whom="bob", days=days)) == "Choose how long it is shared."
    monkeypatch.setattr("django_userpods.pages.own_shares.MOST", 1)
    share(pod, with_=UserFactory())
    assert said(asked(owner, whom="bob")).startswith("It has reached the limit on shares.")


def test_sharing_needs_a_permission_and_taking_back_none(
    alice: Any, pod: UserPod, bob: Any
) -> None:
    client = browser(alice)
    assert asked(client, whom="bob").status_code == 403
    assert SHARES not in client.get(HOME).content.decode()
    row = share(pod, with_=bob)
    page = client.get(HOME).content.decode()
    assert f"{SHARES}{row.pk}/end/" in page
    assert f'action="{SHARES}"' not in page
    assert client.post(f"{SHARES}{row.pk}/end/").status_code == 303


def test_it_is_nowhere_where_nothing_is_shared(
    owner: Client, pod: UserPod, bob: Any, settings: Any
) -> None:
    share(pod, with_=bob)
    settings.USERPODS_SHARING = False
    assert asked(owner, whom="bob").status_code == 403
    assert "hared with" not in owner.get(HOME).content.decode()
    assert "hared with" not in browser(bob).get(HOME).content.decode()


def test_nobody_shares_or_takes_back_for_another(
    owner: Client, alice: Any, pod: UserPod, bob: Any
) -> None:
    carol = UserFactory(username="carol")
    row = share(pod, with_=bob)
    for user in (bob, carol):
        user.user_permissions.add(Permission.objects.get(codename="share_userpod"))
        client = browser(user)
        assert asked(client, whom="carol").status_code == 404
        assert client.post(f"{SHARES}{row.pk}/end/").status_code == 404
    # Nor by way of a pod of one's own.
    bobs = f"{HOME}pods/user-bob/shares/"
    assert browser(bob).post(f"{bobs}{row.pk}/end/").status_code == 404
    assert Share.objects.get() == row
    assert Client().post(f"{SHARES}{row.pk}/end/").status_code == 302
    assert owner.get(f"{SHARES}{row.pk}/end/").status_code == 405


def test_what_is_shared_with_me_is_listed_with_its_address(
    pod: UserPod, bob: Any, class_5b: Group, alice: Any
) -> None:
    client = browser(bob)
    assert "Shared with me" not in client.get(HOME).content.decode()
    share(pod, with_=bob, until=in_an_hour())
    share(pod, with_=class_5b)
    page = client.get(HOME)
    assert page.context["others"] == [(pod, "alice")]
    text = page.content.decode()
    assert f'href="https://{ALICES}/"' in text
    assert "<bdi>alice</bdi>" in text
    # With it comes nothing to manage it by.
    assert "/userpods/pods/user-alice/" not in text
    Share.objects.update(expires_at=timezone.now())
    assert client.get(HOME).context["others"] == []
    share(pod, with_=bob)
    alice.is_active = False
    alice.save()
    assert client.get(HOME).context["others"] == []


def test_no_query_for_each_share_or_pod(owner: Client, pod: UserPod, bob: Any) -> None:
    guest = browser(bob)

    def queries(ask: Callable[[], Any]) -> int:
        ask()
        with CaptureQueriesContext(connection) as found:
            assert ask().status_code == 200
        return len(found)

    share(pod, with_=bob)
    few = [queries(lambda client=client: client.get(HOME)) for client in (owner, guest)]  # type: ignore[misc]
    for number in range(4):
        user = UserFactory(username=f"u{number}")
        share(pod, with_=user)
        share(pod, with_=Group.objects.create(name=str(number)))
        reconcile()
        share(UserPod.objects.get(owner=user), with_=bob)
    assert len(guest.get(HOME).context["others"]) == 5
    assert [queries(lambda client=client: client.get(HOME)) for client in (owner, guest)] == few  # type: ignore[misc]
