"""Pods that are shared: who reaches them, until when, and what a guest may not do."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_userpods import AccessToken, UserPod, share, unshare
from django_userpods.exceptions import ShareRefused
from django_userpods.lifecycle import add_pod, remove_pod
from django_userpods.models import Share
from django_userpods.reconcile import reconcile
from tests.django.asking_whoami import token_for
from tests.django.pods_hosts import ALICES, BOBS, Browser, bob, pods_hosts
from tests.django.sharing_pods import ask, class_5b, in_an_hour, pod, sharing
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

__all__ = ["bob", "class_5b", "pod", "pods_hosts", "sharing"]

ANOTHERS = (403, {"error": "not your pod"})
ALICES_POD = (200, "user-alice")


def reaches(user: Any, host: str = ALICES) -> bool:
    answer = ask(user, host)
    assert answer.status_code in {200, 403}
    return bool(answer.status_code == 200)


# --- who reaches a pod


def test_a_guest_reaches_the_pod_and_is_said_to_be_one(pod: UserPod, bob: Any) -> None:
    assert (ask(bob).status_code, ask(bob).json()) == ANOTHERS
    share(pod, with_=bob)
    answer = ask(bob)
    assert (answer.status_code, answer["X-Target-Service"]) == ALICES_POD
    assert answer["X-Userpods-User"] == "bob"
    assert answer["X-Userpods-User-Id"] == str(bob.pk)
    assert answer["X-Userpods-Guest"] == "1"
    assert answer["X-Userpods-Owner-Id"] == pod.owner_pk
    assert "X-Userpods-Seconds" not in answer


@pytest.mark.parametrize("forged", ["1", "0", ""])
def test_nobody_is_a_guest_at_home(alice: Any, pod: UserPod, bob: Any, forged: str) -> None:
    share(pod, with_=bob)
    for user, host in ((alice, ALICES), (bob, BOBS)):
        headers = {"X-Userpods-Guest": forged, "X-Userpods-Owner-Id": str(bob.pk)}
        answer = ask(user, host, **headers)
        assert answer.status_code == 200
        for name in ("Guest", "Owner-Id", "Seconds"):
            assert f"X-Userpods-{name}" not in answer


def test_only_whom_it_is_shared_with_reaches_it(pod: UserPod, bob: Any) -> None:
    carol = UserFactory(username="carol")
    share(pod, with_=bob)
    assert not reaches(carol)
    assert reaches(bob)


def test_it_works_one_way_alone(alice: Any, pod: UserPod, bob: Any) -> None:
    share(pod, with_=bob)
    assert not reaches(alice, BOBS)


def test_off_by_default(pod: UserPod, bob: Any, settings: Any) -> None:
    share(pod, with_=bob)
    del settings.USERPODS_SHARING
    assert not reaches(bob)
    with pytest.raises(ShareRefused, match="USERPODS_SHARING is False"):
        share(pod, with_=bob)


def test_a_share_is_for_one_pod(alice: Any, pod: UserPod, bob: Any, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 2
    gpu = add_pod(alice, "gpu")
    reconcile()
    share(gpu, with_=bob)
    assert not reaches(bob)
    assert reaches(bob, "alice---gpu.pods.example.org")


def test_a_group_reaches_it_as_long_as_one_is_in_it(
    pod: UserPod, bob: Any, class_5b: Group
) -> None:
    share(pod, with_=class_5b)
    assert reaches(bob)
    bob.groups.remove(class_5b)
    assert not reaches(bob)
    class_5b.user_set.add(bob)
    assert reaches(bob)
    class_5b.delete()
    assert not reaches(bob)
    assert not Share.objects.exists()


def test_a_share_ends_by_itself(pod: UserPod, bob: Any, class_5b: Group) -> None:
    share(pod, with_=bob, until=in_an_hour())
    assert 3590 < float(ask(bob)["X-Userpods-Seconds"]) <= 3600
    # Who may come longer another way may come longer.
    share(pod, with_=class_5b, until=in_an_hour() + datetime.timedelta(hours=1))
    assert 7190 < float(ask(bob)["X-Userpods-Seconds"]) <= 7200
    Share.objects.update(expires_at=timezone.now())
    assert not reaches(bob)
    share(pod, with_=class_5b)
    assert "X-Userpods-Seconds" not in ask(bob)


def test_a_guest_may_have_no_pod_of_their_own_yet(pod: UserPod, bob: Any) -> None:
    UserPod.objects.filter(owner=bob).delete()
    share(pod, with_=bob)
    assert reaches(bob)
    assert not UserPod.objects.filter(owner=bob).exists()


# --- who lets nobody in


@pytest.mark.parametrize("out", ["inactive", "deselected", "deleted"])
def test_whoever_is_out_lets_nobody_in(
    alice: Any, pod: UserPod, bob: Any, settings: Any, out: str
) -> None:
    share(pod, with_=bob)
    assert reaches(bob)
    if out == "inactive":
        alice.is_active = False
        alice.save()
    elif out == "deselected":
        settings.USERPODS_SELECT = lambda user: user.get_username() != "alice"
    else:
        alice.delete()
    assert not reaches(bob)


def test_a_guest_who_is_out_is_out(pod: UserPod, bob: Any, settings: Any) -> None:
    share(pod, with_=bob)
    settings.USERPODS_SELECT = lambda user: user.get_username() != "bob"
    assert ask(bob).json() == {"error": "invalid token"}


def test_where_nobody_can_tell_of_the_owner_it_is_503(
    pod: UserPod, bob: Any, settings: Any
) -> None:
    share(pod, with_=bob)

    def select(user: Any) -> bool:
        if user.get_username() == "alice":
            raise RuntimeError
        return True

    settings.USERPODS_SELECT = select
    assert ask(bob).status_code == 503


def test_a_pod_that_is_taken_away_is_nobodys(
    alice: Any, bob: Any, settings: Any, memory: Any
) -> None:
    settings.USERPODS_MAX_PODS = 2
    gpu = add_pod(alice, "gpu")
    reconcile()
    share(gpu, with_=bob)
    remove_pod(gpu)
    assert not reaches(bob, "alice---gpu.pods.example.org")
    reconcile()
    assert not Share.objects.exists()


def test_a_guest_who_is_deleted_is_on_no_list(pod: UserPod, bob: Any) -> None:
    share(pod, with_=bob)
    bob.delete()
    assert not Share.objects.exists()


# --- by a ticket, and on the pod's host


def test_a_ticket_leads_a_guest_to_the_pod_until_it_is_taken_back(pod: UserPod, bob: Any) -> None:
    browser = Browser()
    browser.sign_in(bob)
    assert browser.get(browser.ask(ALICES)).status_code == 403
    share(pod, with_=bob)
    assert browser.enter(ALICES)["Location"] == f"https://{ALICES}/"
    assert browser.whoami(ALICES) == 200
    late = browser.ticket(ALICES)
    assert unshare(pod, with_=bob)
    assert browser.whoami(ALICES) == 403
    assert browser.get(late).status_code == 403
    assert not unshare(pod, with_=bob)


def test_a_guests_cookie_is_good_for_that_pod_alone(pod: UserPod, bob: Any) -> None:
    UserFactory(username="carol")
    reconcile()
    browser = Browser()
    browser.sign_in(bob)
    share(pod, with_=bob)
    browser.enter(ALICES)
    said = {"Cookie": f"__Host-userpods={browser.at(ALICES).cookies['__Host-userpods'].value}"}
    carols = "carol.pods.example.org"
    for host, status in ((ALICES, 200), (BOBS, 401), (carols, 403)):
        answer = Client().get("/whoami", headers={"X-Userpods-Host": host, **said})
        assert (host, answer.status_code) == (host, status)
    # Nor at his own, of which the cookie says nothing.
    assert Client().get("/whoami", headers=said).status_code == 401
    # And a ticket for one host opens no other.
    ticket = browser.ticket(ALICES)
    assert browser.get(ticket.replace(ALICES, carols)).status_code == 403


# --- what a guest may not do


@pytest.fixture
def guest(pod: UserPod, bob: Any) -> Client:
    """Bob's browser at the site."""
    share(pod, with_=bob)
    client = Client()
    client.force_login(bob)
    return client


@pytest.mark.parametrize("what", ["start", "stop", "restart"])
def test_a_guest_manages_nothing(guest: Client, pod: UserPod, what: str) -> None:
    before = UserPod.objects.values().get(pk=pod.pk)
    assert guest.post(reverse("userpods:operate", args=[pod.name]), {"do": what}).status_code == 404
    url = reverse("userpods:api-operation", args=[pod.name, what])
    assert guest.post(url, {}, content_type="application/json").status_code == 404
    assert UserPod.objects.values().get(pk=pod.pk) == before


def test_a_guest_deletes_nothing_and_looks_at_nothing(
    guest: Client, alice: Any, bob: Any, settings: Any
) -> None:
    settings.USERPODS_MAX_PODS = 2
    gpu = add_pod(alice, "gpu")
    share(gpu, with_=bob)
    gpu.refresh_from_db()
    assert (
        guest.post(reverse("userpods:delete", args=[gpu.name]), {"typed": "gpu"}).status_code == 404
    )
    url = reverse("userpods:api-pod", args=[gpu.name])
    assert guest.delete(url).status_code == 404
    assert guest.get(url).status_code == 404
    assert UserPod.objects.get(pk=gpu.pk).wanted == UserPod.Wanted.RUNNING


def test_a_visit_wakes_a_pod_and_nothing_a_guest_does_replaces_one(
    pod: UserPod, bob: Any, memory: Any
) -> None:
    share(pod, with_=bob)
    token = {"Authorization": f"Bearer {token_for(bob)}", "X-Userpods-Host": ALICES}
    failed = {"wanted": "running", "state": "failed", "message": "it crashed"}
    UserPod.objects.filter(pk=pod.pk).update(**failed)
    assert Client().post("/userpods/wake/", headers=token).status_code == 202
    pod.refresh_from_db()
    assert pod.restarted_at is None
    page = Client().get("/userpods/waiting/", headers={"Accept": "text/html", **token})
    assert b"data-again" not in page.content
    UserPod.objects.filter(pk=pod.pk).update(wanted="stopped", state="stopped", message="")
    assert Client().post("/userpods/wake/", headers=token).status_code == 202
    pod.refresh_from_db()
    assert pod.wanted == UserPod.Wanted.RUNNING


# --- what it costs


def queries(asked: Callable[[], Any], status: int = 200) -> int:
    with CaptureQueriesContext(connection) as found:
        assert asked().status_code == status
    return len(found)


def test_a_share_costs_its_guests_one_query_and_nobody_else_any(
    alice: Any, pod: UserPod, bob: Any, class_5b: Group
) -> None:
    def asking(user: Any, host: str = ALICES) -> Callable[[], Any]:
        headers = {"Authorization": f"Bearer {token_for(user)}", "X-Userpods-Host": host}
        Client().get("/whoami", headers=headers)
        return lambda: Client().get("/whoami", headers=headers)

    owner, guest, at_home = asking(alice), asking(bob), asking(bob, BOBS)
    assert queries(guest, 403) == 2
    for number in range(3):
        share(pod, with_=UserFactory(username=f"guest{number}"))
        share(pod, with_=Group.objects.create(name=str(number)))
    share(pod, with_=bob)
    share(pod, with_=class_5b)
    assert (queries(owner), queries(at_home), queries(guest)) == (1, 1, 2)


def test_a_session_on_the_pods_host_asks_once(pod: UserPod, bob: Any) -> None:
    browser = Browser()
    browser.sign_in(bob)
    share(pod, with_=bob)
    browser.enter(ALICES)
    browser.enter(BOBS)

    def asking(host: str) -> Callable[[], Any]:
        said = browser.at(host).cookies["__Host-userpods"].value
        headers = {"Cookie": f"__Host-userpods={said}", "X-Userpods-Host": host}
        return lambda: Client().get("/whoami", headers=headers)

    assert queries(asking(ALICES)) == queries(asking(BOBS)) + 1


def test_a_guests_token_may_have_any_scope(pod: UserPod, bob: Any) -> None:
    share(pod, with_=bob)
    for scope in AccessToken.Scope:
        headers = {"Authorization": f"Bearer {token_for(bob, scope=scope.value)}"}
        answer = Client().get("/whoami", headers={"X-Userpods-Host": ALICES, **headers})
        assert (answer.status_code, answer["X-Target-Service"]) == ALICES_POD
