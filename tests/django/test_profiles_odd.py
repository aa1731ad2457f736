"""Profiles that nobody validated, forms that nobody sends, and who comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse

from django_userpods import lifecycle, profiles
from django_userpods.core import quantity
from django_userpods.core.profile import Profile as Parsed
from django_userpods.core.profile import merged
from django_userpods.core.yamlfile import parse_yaml
from django_userpods.exceptions import TemplateError
from django_userpods.models import Profile, Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import bulk, deployment, row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

PODS = reverse("admin:userpods_userpod_changelist")


@pytest.fixture(autouse=True)
def _stored(settings: Any) -> None:
    settings.USERPODS_PROFILES = "database"
    settings.USERPODS_IMAGE = "example.org/standard:1"


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(UserFactory(username="boss", is_staff=True, is_superuser=True))
    return client


def stored(slug: str = "gpu", **columns: Any) -> Profile:
    return Profile.objects.create(slug=slug, name=slug, **{"image": "example.org/gpu:1", **columns})


def pods_of(user: Any) -> Any:
    return UserPod.objects.filter(owner=user)


@pytest.mark.parametrize(
    "text", ["d: 2026-02-30", "d: 0x_", "d: !!bool maybe", "d: !!int abc", "[" * 5000]
)
def test_yaml_that_python_cannot_read_is_an_error_of_the_template(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_yaml(text)


def test_an_amount_beyond_all_numbers_is_none() -> None:
    assert quantity.parse("1e9999999") is None


@pytest.mark.parametrize(
    "columns",
    [{"template": "d: 2026-02-30"}, {"resources": {"limits": {"cpu": "1e9999999"}}}],
    ids=["template", "resources"],
)
def test_one_that_cannot_be_read_fails_nobody_else(
    boss: Client, memory: MemoryCluster, columns: dict[str, Any]
) -> None:
    stored("bad", **columns)
    stored("good")
    alice = UserFactory(username="alice")
    lifecycle.choose_profile(pods_of(alice), "good")
    assert reconcile().failed == []
    assert row(alice).state == UserPod.State.RUNNING
    assert set(profiles.known()) == {"bad", "good"}
    for page in (PODS, "/userpods/", "/userpods/api/profiles/"):
        assert boss.get(page).status_code == 200, page


def test_a_pod_whose_profile_has_become_invalid_can_be_stopped(
    memory: MemoryCluster, alice: Any
) -> None:
    profile = stored()
    lifecycle.choose_profile(pods_of(alice), "gpu")
    reconcile()
    Profile.objects.filter(pk=profile.pk).update(template="a: [")
    lifecycle.restart(pods_of(alice))
    reconcile()
    assert row(alice).state == UserPod.State.FAILED
    assert "is not YAML" in row(alice).message
    lifecycle.stop(pods_of(alice))
    reconcile()
    assert row(alice).state == UserPod.State.STOPPED
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 0


def test_who_comes_back_is_asked_about_places_at_the_next_visit(
    memory: MemoryCluster, alice: Any
) -> None:
    stored(at_once=1)
    bob = UserFactory(username="bob")
    lifecycle.choose_profile(pods_of(alice), "gpu")
    lifecycle.stop(pods_of(bob))
    lifecycle.choose_profile(pods_of(bob), "gpu")
    for is_active in (False, True):
        bob.is_active = is_active
        bob.save()
        reconcile()
    assert row(bob).wanted == UserPod.Wanted.STOPPED
    assert len(lifecycle.start(pods_of(bob)).refused) == 1
    running = UserPod.objects.filter(profile="gpu", wanted=UserPod.Wanted.RUNNING)
    assert list(running) == [row(alice)]


def test_what_is_only_said_of_a_profile_asks_nothing_of_its_pods(boss: Client, alice: Any) -> None:
    profile = stored()
    lifecycle.choose_profile(pods_of(alice), "gpu")
    reconcile()
    before = Transition.objects.count()
    form = {"name": "gpu", "enabled": "on", "at_once": "3", "image": "example.org/gpu:1"}
    form |= {"description": "With a card.", "resources": "{}", "env": "{}", "template": ""}
    change = reverse("admin:userpods_profile_change", args=[profile.pk])
    assert boss.post(change, form).status_code == 302
    assert Profile.objects.get().description == "With a card."
    assert Transition.objects.count() == before
    boss.post(change, form | {"image": "example.org/gpu:2"})
    assert Transition.objects.count() > before


def test_beyond_fifty_pods_the_number_is_typed(boss: Client, memory: MemoryCluster) -> None:
    stored()
    bulk(60)
    reconcile()
    count = UserPod.objects.count()
    one = UserPod.objects.earliest("pk").pk
    sent = {"action": "choose_profile", "select_across": "1", "_selected_action": [one]}
    asked = boss.post(PODS, sent, follow=True).text
    assert f'name="count" value="{count}"' in asked
    chosen = UserPod.objects.filter(profile="gpu")
    for refused in ({}, {"count": count}, {"count": count, "typed": count - 1}):
        boss.post(PODS, sent | {"profile": "gpu"} | refused)
        assert not chosen.exists(), refused
    boss.post(PODS, sent | {"profile": "gpu", "count": count, "typed": count})
    assert chosen.count() == count


def test_saying_nothing_takes_no_profile_away(client: Client, alice: Any) -> None:
    stored()
    lifecycle.stop(pods_of(alice))
    lifecycle.choose_profile(pods_of(alice), "gpu")
    client.force_login(alice)
    api = client.post(
        "/userpods/api/pods/user-alice/profile/", "{}", content_type="application/json"
    )
    assert (api.status_code, "profile is missing" in api.json()["error"]) == (400, True)
    assert client.post("/userpods/pods/user-alice/profile/", {}).status_code == 400
    assert row(alice).profile == "gpu"


@pytest.mark.parametrize("text", ["\0", "gpu\0", "é" * 70, "9" * 5000])
def test_no_text_of_a_form_is_a_fault(boss: Client, alice: Any, text: str) -> None:
    profile = stored()
    lifecycle.stop(pods_of(alice))
    boss.raise_request_exception = True
    page = reverse("admin:userpods_profile_change", args=[profile.pk])
    boss.post(f"{page.removesuffix('change/')}restore/", {"restore": text})
    boss.get(f"{PODS}states/", {"pod": text})
    boss.force_login(alice)
    assert boss.post("/userpods/pods/user-alice/profile/", {"profile": text}).status_code == 403
    assert row(alice).profile == ""


def test_one_that_nobody_validated_can_be_opened_and_says_what_is_wrong(boss: Client) -> None:
    profile = stored("GPU", groups=[["a"]])
    page = reverse("admin:userpods_profile_change", args=[profile.pk])
    assert boss.get(page).status_code == 200
    form = {"name": "G", "enabled": "on", "at_once": "", "image": "", "description": ""}
    answer = boss.post(page, form | {"resources": "{}", "env": "{}", "template": ""})
    assert answer.status_code == 200
    assert answer.context["errors"]


def test_the_history_says_which_profile_was_chosen(boss: Client, alice: Any) -> None:
    stored("gpu")
    lifecycle.choose_profile(pods_of(alice), "gpu", actor="boss")
    page = boss.get(f"{PODS}{row(alice).pk}/history/").text
    assert "Profile: gpu" in page


def test_variables_stand_behind_those_that_they_refer_to() -> None:
    """A database that keeps JSON parsed has an order of keys of its own."""
    profile = Parsed(slug="x", name="x", env={"API": "$(BASE_URL)/x", "B": "1", "BASE_URL": "y"})
    container: dict[str, Any] = {"name": "app", "image": "a"}
    spec = {"template": {"spec": {"containers": [container]}}}
    manifest = {"kind": "Deployment", "metadata": {"name": "{name}"}, "spec": spec}
    made = merged([manifest], profile)
    names = [each["name"] for each in made[0]["spec"]["template"]["spec"]["containers"][0]["env"]]
    assert names.index("BASE_URL") < names.index("API")
