"""What is said and asked before a profile is changed by which pods run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods import lifecycle
from django_userpods.models import Profile, UserPod
from django_userpods.reconcile import reconcile
from tests.django.profiled import image_of
from tests.django.support import bulk
from tests.django.test_profiles_admin import SENT, url
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = "example.org/gpu:1", "example.org/gpu:2"


@pytest.fixture(autouse=True)
def _stored(settings: Any) -> None:
    settings.USERPODS_PROFILES = "database"


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(UserFactory(username="boss", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def gpu(memory: MemoryCluster) -> Profile:
    """A profile with two versions, and three pods of it, of which two run."""
    users = bulk(3)
    reconcile()
    profile = Profile(slug="gpu", name="GPU", image=OLD)
    profile.save()
    profile.image = NEW
    profile.save()
    lifecycle.choose_profile(UserPod.objects.filter(owner__in=users), "gpu")
    lifecycle.stop(UserPod.objects.filter(owner=users[2]))
    return profile


@pytest.mark.parametrize(
    ("rollout", "says"),
    [
        (None, "2 running pods use this profile and will be replaced, all at once."),
        (
            {"MAX_UNREADY": 10},
            "2 running pods use this profile and will be replaced, at most 10 at a time.",
        ),
        (
            {"WHEN": "next start"},
            "2 running pods use this profile. Each stays as it is until it next starts.",
        ),
    ],
)
def test_before_saving_and_restoring_it_is_said_how_many_pods_that_reaches(
    boss: Client, gpu: Profile, settings: Any, rollout: Any, says: str
) -> None:
    settings.USERPODS_ROLLOUT = rollout
    form = boss.get(url(gpu)).text
    assert says in form
    assert form.index(says) < form.index('name="_save"')
    page = boss.post(url(gpu, "restore"), {"restore": "1"})
    assert says in page.text
    assert "user-bulk000, user-bulk001" in page.text
    assert "user-bulk002" not in page.text
    assert ("Each is replaced by a new one." in page.text) == (rollout != {"WHEN": "next start"})


def test_where_no_pod_runs_nothing_is_said_or_asked(boss: Client, gpu: Profile) -> None:
    lifecycle.stop(UserPod.objects.all())
    assert "running pod" not in boss.get(url(gpu)).text
    boss.post(url(gpu, "restore"), {"restore": "1"})
    gpu.refresh_from_db()
    assert gpu.image == OLD


def test_what_makes_no_other_pods_is_restored_at_once(boss: Client, gpu: Profile) -> None:
    boss.post(url(gpu), {**SENT, "image": NEW, "name": "Renamed"})
    boss.post(url(gpu, "restore"), {"restore": "2"})
    gpu.refresh_from_db()
    assert gpu.name == "GPU"


def test_a_version_is_restored_after_a_yes_alone(
    boss: Client, gpu: Profile, memory: MemoryCluster
) -> None:
    page = boss.post(url(gpu, "restore"), {"restore": "1"})
    gpu.refresh_from_db()
    assert (gpu.image, gpu.versions.count()) == (NEW, 2)
    assert image_of(memory, "user-bulk000") == NEW
    # As the page's form sends it.
    form = page.text.partition('<div id="content-main"')[2]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', form)
    sent = {name: value for name, value in found if name != "csrfmiddlewaretoken"}
    assert sent == {"restore": "1", "post": "yes", "count": "2"}
    lifecycle.start(UserPod.objects.all())
    assert boss.post(url(gpu, "restore"), sent).status_code == 200, "there are more by now"
    answer = boss.post(url(gpu, "restore"), {**sent, "count": "3"}, follow=True)
    assert "Restored to version 1." in answer.text
    assert image_of(memory, "user-bulk000") == OLD


def test_beyond_some_pods_their_number_has_to_be_typed(
    boss: Client, gpu: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_userpods.admin.actions.TYPED_BEYOND", 1)
    sent = {"restore": "1", "post": "yes", "count": "2"}
    assert "type the number of pods: 2" in boss.post(url(gpu, "restore"), sent).text
    wrong = boss.post(url(gpu, "restore"), {**sent, "typed": "3"})
    assert "That is not the right number." in wrong.text
    gpu.refresh_from_db()
    assert gpu.image == NEW
    assert boss.post(url(gpu, "restore"), {**sent, "typed": "2"}).status_code == 302
    gpu.refresh_from_db()
    assert gpu.image == OLD
