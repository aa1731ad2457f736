"""Profiles in the hands of staff: given to pods from the list in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse

from django_userpods import lifecycle
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.http_api import boss
from tests.django.profiled import PROFILES, image_of
from tests.django.support import bulk

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

LIST = reverse("admin:userpods_userpod_changelist")


@pytest.fixture(autouse=True)
def _offered(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_PROFILES = PROFILES
    bulk(3)
    reconcile()


@pytest.fixture
def staff() -> Client:
    return boss("view_userpod", "choose_profile_userpod")


def ask(client: Client, *names: str, **more: str) -> Any:
    pods = UserPod.objects.filter(name__in=names).values_list("pk", flat=True)
    sent = {"action": "choose_profile", "_selected_action": list(pods), **more}
    return client.post(LIST, sent, follow=True)


def test_it_asks_which_and_gives_it(staff: Client, memory: MemoryCluster) -> None:
    page = ask(staff, "user-bulk000", "user-bulk001").text
    assert "Choose a profile for 2 pods" in page
    assert 'value="rare"' in page
    assert 'value="old"' not in page
    said = ask(staff, "user-bulk000", "user-bulk001", profile="small").text
    assert "2 pods now have the profile small." in said
    assert dict(UserPod.objects.values_list("name", "profile")) == {
        "user-bulk000": "small",
        "user-bulk001": "small",
        "user-bulk002": "",
        "user-boss2": "",
    }
    assert ">small<" in staff.get(LIST).text


def test_each_choice_of_the_filter_by_profile_has_a_word(staff: Client) -> None:
    ask(staff, "user-bulk000", profile="small")
    page = staff.get(LIST, {"profile": ""})
    [found] = [spec for spec in page.context["cl"].filter_specs if "profile" in spec.title]
    shown = [
        (choice["display"], choice["selected"]) for choice in found.choices(page.context["cl"])
    ]
    assert shown == [("All", False), ("Standard", True), ("small", False)]
    assert page.context["cl"].result_count == 3
    with_counts = staff.get(LIST, {"_facets": "True"}).text
    assert "Standard (3)" in with_counts
    assert "small (1)" in with_counts


def test_it_says_who_was_refused_and_why(staff: Client, memory: MemoryCluster) -> None:
    said = ask(staff, "user-bulk000", "user-bulk001", profile="rare").text
    assert "1 pod now has the profile rare." in said
    assert "1 pod was refused: ProfileFull" in said
    assert image_of(memory, "user-bulk000") != image_of(memory, "user-bulk001")


def test_a_start_that_is_refused_says_why(memory: MemoryCluster, settings: Any) -> None:
    lifecycle.choose_profile(UserPod.objects.all(), "small")
    lifecycle.stop(UserPod.objects.all())
    settings.USERPODS_PROFILES = {"small": {"ENABLED": False}}
    pods = UserPod.objects.filter(name="user-bulk000").values_list("pk", flat=True)
    sent = {"action": "userpods_start", "_selected_action": list(pods)}
    said = boss("view_userpod", "start_userpod").post(LIST, sent, follow=True).text
    assert "1 pod was refused: ProfileNotOffered: the profile &#x27;small&#x27; is disabled" in said


def test_it_takes_the_permission_and_profiles(settings: Any, staff: Client) -> None:
    assert "choose_profile" not in boss("view_userpod").get(LIST).text
    assert 'value="choose_profile"' in staff.get(LIST).text
    settings.USERPODS_PROFILES = None
    assert 'value="choose_profile"' not in staff.get(LIST).text
