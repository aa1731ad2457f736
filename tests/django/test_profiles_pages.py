"""Profiles on My pods and in the JSON API: what is offered, chosen, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods import lifecycle
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.http_api import ask, boss
from tests.django.profiled import PROFILES, image_of, research
from tests.django.support import row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

HOME, PODS = "/userpods/", "/userpods/pods/"
CHOOSE = f"{PODS}user-alice/profile/"


@pytest.fixture(autouse=True)
def _offered(settings: Any) -> None:
    cache.clear()
    settings.USERPODS_PROFILES = PROFILES
    settings.USERPODS_MAX_PODS = 3


@pytest.fixture
def stopped(alice: Any) -> UserPod:
    lifecycle.stop(UserPod.objects.all())
    reconcile()
    return row(alice)


# --- My pods


def test_without_profiles_the_page_says_nothing_of_them(
    signed_in: Client, stopped: UserPod, settings: Any
) -> None:
    settings.USERPODS_PROFILES = None
    with CaptureQueriesContext(connection) as without:
        assert "rofile" not in signed_in.get(HOME).text
    settings.USERPODS_PROFILES = PROFILES
    with CaptureQueriesContext(connection) as queries:
        signed_in.get(HOME)
    # The groups of the user that some profiles are for.
    assert len(queries) == len(without) + 1


def test_it_offers_what_is_for_the_user_and_nothing_of_the_rest(
    signed_in: Client, alice: Any, stopped: UserPod
) -> None:
    page = signed_in.get(HOME).text
    assert "For a first look." in page
    assert "Rare" in page
    assert "Standard" in page
    assert "With a GPU" not in page
    assert "Old" not in page
    research(alice)
    assert "With a GPU" in signed_in.get(HOME).text


def test_a_pod_that_runs_is_shown_with_its_profile_and_offers_no_other(
    signed_in: Client, alice: Any
) -> None:
    lifecycle.choose_profile(UserPod.objects.all(), "small")
    page = signed_in.get(HOME).text
    assert "<dd>Small</dd>" in page
    assert CHOOSE not in page
    assert signed_in.post(CHOOSE, {"profile": "rare"}).status_code == 409
    assert row(alice).profile == "small"


def test_what_is_chosen_starts_with_its_image(
    signed_in: Client, alice: Any, stopped: UserPod, memory: MemoryCluster
) -> None:
    assert signed_in.post(CHOOSE, {"profile": "rare"}).status_code == 303
    page = signed_in.get(HOME).text
    assert 'value="rare" checked' in page
    signed_in.post(f"{PODS}user-alice/", {"do": "start"})
    assert image_of(memory, "user-alice") == "example.org/rare:1"


@pytest.mark.parametrize("profile", ["gpu", "old", "no-such", "x" * 300])
def test_a_forced_post_of_what_is_not_ones_own_is_forbidden(
    signed_in: Client, alice: Any, stopped: UserPod, profile: str
) -> None:
    for url, sent in ((CHOOSE, {}), (PODS, {"slot": "lab"})):
        answer = signed_in.post(url, {**sent, "profile": profile})
        assert answer.status_code == 403
        assert "You cannot choose this profile." in answer.text
        assert "research" not in answer.text
    assert (row(alice).profile, alice.userpods.count()) == ("", 1)


def test_it_can_be_left_to_staff(
    signed_in: Client, alice: Any, stopped: UserPod, settings: Any
) -> None:
    settings.USERPODS_SELF_SERVICE = ["start", "add"]
    assert "rofile" not in signed_in.get(HOME).text
    assert signed_in.post(CHOOSE, {"profile": "small"}).status_code == 403
    assert signed_in.post(PODS, {"slot": "lab", "profile": "small"}).status_code == 403
    assert alice.userpods.count() == 1


def test_anothers_pod_is_not_there(signed_in: Client, stopped: UserPod) -> None:
    UserFactory(username="bob")
    assert signed_in.post(f"{PODS}user-bob/profile/", {"profile": "small"}).status_code == 404


def test_a_further_pod_is_added_with_a_profile(signed_in: Client, alice: Any) -> None:
    assert signed_in.post(PODS, {"slot": "lab", "profile": "small"}).status_code == 303
    assert alice.userpods.get(slot="lab").profile == "small"


def test_who_comes_when_all_places_are_taken_is_told_so(
    signed_in: Client, alice: Any, stopped: UserPod
) -> None:
    bob = UserFactory(username="bob")
    assert signed_in.post(CHOOSE, {"profile": "rare"}).status_code == 303
    lifecycle.choose_profile(UserPod.objects.filter(owner=bob), "rare")
    answer = signed_in.post(f"{PODS}user-alice/", {"do": "start"})
    assert answer.status_code == 409
    assert "The maximum number of workspaces with its profile is running already." in answer.text
    assert row(alice).wanted == "stopped"
    # Neither does a visit start it, and it says why.
    assert (
        "maximum number of workspaces with its profile" in signed_in.get("/userpods/waiting/").text
    )
    assert row(alice).wanted == "stopped"
    answer = signed_in.post(PODS, {"slot": "lab", "profile": "rare"})
    assert answer.status_code == 409


# --- the JSON API


def test_the_api_lists_what_is_offered(signed_in: Client, alice: Any) -> None:
    found = ask(signed_in, "get", "profiles/")["items"]
    assert [item["slug"] for item in found] == ["small", "rare"]
    assert found[0] == {
        "slug": "small",
        "name": "Small",
        "description": "For a first look.",
    }


def test_the_api_chooses_for_a_pod_that_is_stopped(
    signed_in: Client, alice: Any, stopped: UserPod
) -> None:
    choose, small = "pods/user-alice/profile/", {"profile": "small"}
    assert ask(signed_in, "post", choose, small, status=202)["pod"]["profile"] == "small"
    ask(signed_in, "post", "pods/user-alice/start/", status=202)
    ask(signed_in, "post", choose, {"profile": ""}, status=409)
    assert row(alice).profile == "small"


@pytest.mark.parametrize("profile", ["gpu", "old", "no-such"])
def test_the_api_forbids_what_is_not_ones_own(
    signed_in: Client, alice: Any, stopped: UserPod, profile: str
) -> None:
    sent = {"profile": profile}
    answers = [
        ask(signed_in, "post", "pods/user-alice/profile/", sent, status=403),
        ask(signed_in, "post", "pods/", {"slot": "lab", **sent}, status=403),
    ]
    assert answers == [{"error": "this profile is not offered to the pod's user"}] * 2
    assert (row(alice).profile, alice.userpods.count()) == ("", 1)


def test_the_api_follows_what_users_may_do(
    signed_in: Client, alice: Any, stopped: UserPod, settings: Any
) -> None:
    settings.USERPODS_SELF_SERVICE = ["add"]
    ask(signed_in, "post", "pods/user-alice/profile/", {"profile": "small"}, status=403)
    ask(signed_in, "post", "pods/", {"slot": "lab", "profile": "small"}, status=403)
    ask(signed_in, "post", "pods/", {"slot": "lab"}, status=201)


def test_the_api_does_not_start_what_is_full(
    signed_in: Client, alice: Any, stopped: UserPod
) -> None:
    bob = UserFactory(username="bob")
    lifecycle.choose_profile(UserPod.objects.all(), "rare")
    assert (row(bob).wanted, row(alice).profile) == ("running", "rare")
    answer = ask(signed_in, "post", "pods/user-alice/start/", status=409)
    assert "run at once" in answer["error"]


def test_staff_needs_a_permission_for_anothers_pod(stopped: UserPod) -> None:
    path, small = "pods/user-alice/profile/", {"profile": "small"}
    ask(boss("view_userpod"), "post", path, small, status=403)
    may = boss("view_userpod", "choose_profile_userpod")
    ask(may, "post", path, small, status=202)
    # Staff can give nobody what is not for them.
    ask(may, "post", path, {"profile": "gpu"}, status=403)
