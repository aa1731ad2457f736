"""Lists within pages take as many queries for many as for few.

Those of whole pages are held where these are tested: of pods, users, tokens, sessions, shares
(``test_admin_live``), profiles, bulk runs, My pods, and the JSON API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods import add_pod, lifecycle
from django_userpods.models import BulkRun, Profile, Transition, UserPod
from tests.django.http_api import API
from tests.django.support import row, users
from tests.django.test_admin import PODS, boss, users_url
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

__all__ = ["boss"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.django.admin_urls"),
]

#: How many there are more than one, in the second of two looks.
MORE = 12
#: No look at the cluster changes what is known until then.
LATER = "2999-01-01T00:00Z"


@pytest.fixture(autouse=True)
def _settings(settings: Any, memory: MemoryCluster) -> None:
    settings.USERPODS_MAX_PODS = 2 * MORE
    settings.USERPODS_PROFILES = "database"


def queries(client: Client, url: str, *, says: str, times: int, data: Any = None) -> int:
    """Return how many queries a page takes that says something so often."""
    ask = client.get if data is None else client.post
    ask(url, data)
    with CaptureQueriesContext(connection) as found:
        text = ask(url, data).text
    assert text.count(says) == times, url
    return len(found)


def add_pods(user: Any) -> None:
    for number in range(MORE):
        add_pod(user, f"more{number}")
    UserPod.objects.update(state="failed", message="CrashLoopBackOff: no", looked_at=LATER)


def profile(number: int) -> Profile:
    known = {"slug": f"p{number}", "name": f"Size {number}", "image": "example.org/p:1"}
    return Profile.objects.get_or_create(slug=known["slug"], defaults=known)[0]


def choose_profiles(user: Any) -> None:
    """Have each of a user's pods be of another profile."""
    lifecycle.stop(UserPod.objects.filter(owner=user))
    for number, pod in enumerate(UserPod.objects.filter(owner=user).order_by("slot")):
        lifecycle.choose_profile(UserPod.objects.filter(pk=pod.pk), profile(number).slug)
    UserPod.objects.update(state="stopped", looked_at=LATER)


def test_a_users_own_pods_in_the_api(signed_in: Client, alice: Any) -> None:
    few = queries(signed_in, f"{API}pods/", says='"slot"', times=1)
    add_pods(alice)
    assert queries(signed_in, f"{API}pods/", says='"slot"', times=1 + MORE) == few


def test_profiles_to_choose_from_in_the_api(signed_in: Client) -> None:
    profile(0)
    few = queries(signed_in, f"{API}profiles/", says='"slug"', times=1)
    for number in range(MORE):
        profile(1 + number)
    assert queries(signed_in, f"{API}profiles/", says='"slug"', times=1 + MORE) == few


def test_my_pods_each_of_another_profile(signed_in: Client, alice: Any) -> None:
    choose_profiles(alice)
    few = queries(signed_in, "/userpods/", says="<dd>Size ", times=1)
    add_pods(alice)
    choose_profiles(alice)
    assert queries(signed_in, "/userpods/", says="<dd>Size ", times=1 + MORE) == few


def test_a_pods_history(boss: Client) -> None:
    pod = row(UserFactory(username="alice"))
    Transition.objects.all().delete()
    counts = []
    for number in (1, MORE):
        for _ in range(number):
            run = BulkRun.objects.create(operation="restart", actor="boss", number=1)
            known = {"pod": pod, "before": "running", "after": "failed"}
            Transition.objects.create(**known, run=run, operation="restart", outcome="failed")
            Transition.objects.create(**known, message="no")
        shown = BulkRun.objects.count()
        page = f"{PODS}{pod.pk}/history/"
        counts.append(queries(boss, page, says=">Restart</a>", times=shown))
    assert counts[0] == counts[1]


@pytest.mark.urls("tests.urls")
def test_a_profiles_versions(boss: Client) -> None:
    gpu = profile(0)
    page, restored = f"/admin/userpods/profile/{gpu.pk}/change/", "Restore this version"
    counts = []
    for number in (1, MORE):
        for _ in range(number):
            gpu.description += "!"
            gpu.save(actor="boss")
        counts.append(queries(boss, page, says=restored, times=len(gpu.description)))
    assert counts[0] == counts[1]


def test_what_is_asked_before_many_pods_are_stopped(boss: Client) -> None:
    for number in range(1 + MORE):
        UserFactory(username=f"u{number:02}")
    pks = [str(pk) for pk in UserPod.objects.order_by("name").values_list("pk", flat=True)]
    counts = []
    for number in (2, 1 + MORE):
        data = {"action": "userpods_stop", "_selected_action": pks[:number]}
        asked = f"Stop {number} pods?</h1>"
        counts.append(queries(boss, PODS, says=asked, times=1, data=data))
    assert counts[0] == counts[1]


def test_the_pods_that_go_with_users(boss: Client) -> None:
    for number in range(1 + MORE):
        UserFactory(username=f"u{number:02}")
    pks = list(users().filter(username__startswith="u").values_list("pk", flat=True))
    for number in (1, 1 + MORE):
        data = {"action": "delete_selected", "_selected_action": pks[:number]}
        with CaptureQueriesContext(connection) as found:
            text = boss.post(users_url(), data).text
        assert text.count("will be deleted, with everything in it") == number
        of_pods = [one["sql"] for one in found if "userpods_userpod" in one["sql"]]
        assert len(of_pods) <= 3, of_pods
