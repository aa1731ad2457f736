"""Profiles of the settings: who may choose one, what pods become, and what when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods import lifecycle
from django_userpods.deploy import project
from django_userpods.exceptions import ProfileNotAllowed
from django_userpods.models import Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.django.profiled import PROFILES, image_of, research
from tests.django.rollouts import turns
from tests.django.support import CONFIGMAP, bulk, deployment, row, template_with
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

STANDARD = "example.org/standard:1"


@pytest.fixture(autouse=True)
def _offered(settings: Any) -> None:
    settings.USERPODS_IMAGE = STANDARD
    settings.USERPODS_PROFILES = PROFILES
    settings.USERPODS_MAX_PODS = 5


def choose(user: Any, profile: str) -> lifecycle.OperationResult:
    return lifecycle.choose_profile(UserPod.objects.filter(owner=user), profile, actor="t")


def why(result: lifecycle.OperationResult) -> list[str]:
    return [refused.why for refused in result.refused.values()]


def start(user: Any) -> lifecycle.OperationResult:
    result = lifecycle.start(UserPod.objects.filter(owner=user))
    if result.pods:
        reconcile()
    return result


def stop(user: Any) -> lifecycle.OperationResult:
    return lifecycle.stop(UserPod.objects.filter(owner=user))


# --- what a pod becomes


def test_a_stopped_pod_starts_as_what_was_chosen(memory: MemoryCluster, alice: Any) -> None:
    research(alice)
    stop(alice)
    assert choose(alice, "gpu").refused == {}
    assert row(alice).state == UserPod.State.STOPPED
    start(alice)
    container = deployment(memory, "user-alice")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "example.org/gpu:1"
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert container["resources"]["limits"]["cpu"] == "1"
    assert (row(alice).state, row(alice).image) == ("running", "example.org/gpu:1")
    memory.calls.clear()
    assert reconcile().done == []


def test_choosing_is_in_the_history_with_who_did_it(alice: Any) -> None:
    stop(alice)
    choose(alice, "small")
    line = Transition.objects.filter(operation="profile").get()
    assert (line.actor, line.message, line.outcome) == ("t", "small", "done")


def test_a_further_pod_is_of_the_profile_asked_for(memory: MemoryCluster, alice: Any) -> None:
    pod = lifecycle.add_pod(alice, "lab", profile="rare")
    pod.refresh_from_db()
    assert pod.profile == "rare"
    assert image_of(memory, str(pod.name)) == "example.org/rare:1"
    assert image_of(memory, "user-alice") == STANDARD


def test_going_back_to_the_standard(memory: MemoryCluster, alice: Any) -> None:
    choose(alice, "rare")
    assert image_of(memory, "user-alice") == "example.org/rare:1"
    choose(alice, "")
    assert image_of(memory, "user-alice") == STANDARD


def test_a_profile_may_have_a_template_of_its_own(
    memory: MemoryCluster, alice: Any, settings: Any
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{name}--notes"},
        "data": {"for": "{username}"},
    }
    own = template_with(config)
    settings.USERPODS_PROFILES = {"notes": {"TEMPLATE": own, "IMAGE": "example.org/notes:1"}}
    choose(alice, "notes")
    found = {ref.name: found for ref, found in memory.objects.items() if ref.kind == CONFIGMAP}
    assert found["user-alice--notes"]["data"] == {"for": "alice"}
    assert image_of(memory, "user-alice") == "example.org/notes:1"
    assert CONFIGMAP in project.rules((), lambda _text: None)
    choose(alice, "")
    assert not [ref for ref in memory.objects if ref.kind == CONFIGMAP]


def test_what_customises_has_the_last_word(
    memory: MemoryCluster, alice: Any, settings: Any
) -> None:
    seen = []

    def customize(manifests: list[Any], user: Any) -> list[Any]:
        seen.append(manifests[0]["spec"]["template"]["spec"]["containers"][0]["image"])
        return manifests

    settings.USERPODS_CUSTOMIZE = customize
    choose(alice, "rare")
    assert "example.org/rare:1" in seen
    assert image_of(memory, "user-alice") == "example.org/rare:1"


def test_overrides_are_put_into_the_template_of_a_callable(
    memory: MemoryCluster, alice: Any, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = lambda user: template_with()
    choose(alice, "rare")
    assert image_of(memory, "user-alice") == "example.org/rare:1"


# --- who may


def test_who_is_not_in_its_group_does_not_get_it(memory: MemoryCluster, alice: Any) -> None:
    assert why(choose(alice, "gpu")) == ["group"]
    assert row(alice).profile == ""
    assert image_of(memory, "user-alice") == STANDARD
    with pytest.raises(ProfileNotAllowed):
        lifecycle.add_pod(alice, "lab", profile="gpu")
    assert alice.userpods.count() == 1


@pytest.mark.parametrize(("profile", "reason"), [("old", "disabled"), ("no-such", "gone")])
def test_what_is_not_offered_is_nobodys_to_choose(alice: Any, profile: str, reason: str) -> None:
    assert why(choose(alice, profile)) == [reason]
    assert row(alice).profile == ""


def test_who_has_lost_the_group_keeps_what_runs_and_starts_it_no_more(
    memory: MemoryCluster, alice: Any
) -> None:
    research(alice)
    choose(alice, "gpu")
    alice.groups.clear()
    assert reconcile().ok
    assert (row(alice).state, image_of(memory, "user-alice")) == ("running", "example.org/gpu:1")
    stop(alice)
    assert why(start(alice)) == ["group"]
    pod = row(alice)
    assert (pod.wanted, pod.state) == ("stopped", "stopped")
    assert "research" not in pod.plain_message
    assert pod.plain_message == "Its profile is no longer offered to you: choose another."
    lifecycle.wake(pod)
    assert row(alice).wanted == "stopped"
    choose(alice, "small")
    assert start(alice).refused == {}
    assert row(alice).state == "running"


def test_what_was_disabled_is_not_started(alice: Any, settings: Any) -> None:
    choose(alice, "small")
    stop(alice)
    settings.USERPODS_PROFILES = {"small": {"ENABLED": False}}
    assert why(start(alice)) == ["disabled"]


# --- how many at once


def test_no_more_run_at_once_than_it_says(memory: MemoryCluster, alice: Any) -> None:
    bob = UserFactory(username="bob")
    assert choose(alice, "rare").refused == {}
    assert why(choose(bob, "rare")) == ["full"]
    with pytest.raises(ProfileNotAllowed):
        lifecycle.add_pod(bob, "lab", profile="rare")
    stop(bob)
    # One that is stopped takes no place until it starts.
    assert choose(bob, "rare").refused == {}
    assert why(start(bob)) == ["full"]
    assert "Try again later" in row(bob).plain_message
    stop(alice)
    assert start(bob).refused == {}
    assert why(start(alice)) == ["full"]
    assert row(bob).state == "running"


def test_of_many_at_once_as_many_start_as_there_are_places(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_PROFILES = {"rare": {"AT_ONCE": 2}}
    bulk(5)
    reconcile()
    lifecycle.stop(UserPod.objects.all())
    assert lifecycle.choose_profile(UserPod.objects.all(), "rare").refused == {}
    result = lifecycle.start(UserPod.objects.all())
    assert (len(result.pods), why(result)) == (2, ["full"] * 3)
    assert result.done == 2
    assert UserPod.objects.filter(wanted="running").count() == 2
    assert why(lifecycle.start(UserPod.objects.all())) == ["full"] * 3


# --- what is gone, or wrong


def test_what_is_gone_leaves_running_pods_alone_and_says_so(
    memory: MemoryCluster, alice: Any, settings: Any
) -> None:
    bob = UserFactory(username="bob")
    choose(alice, "rare")
    settings.USERPODS_PROFILES = None
    report = reconcile()
    assert [failure.name for failure in report.failed] == ["user-alice"]
    assert "there is no profile 'rare' any more" in report.failed[0].message
    assert image_of(memory, "user-alice") == "example.org/rare:1"
    assert (row(alice).state, row(bob).state) == ("failed", "running")
    assert "choose another" in row(alice).plain_message
    stop(alice)
    assert row(alice).state == "stopped"
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 0
    assert why(start(alice)) == ["gone"]
    choose(alice, "")
    start(alice)
    assert (row(alice).state, image_of(memory, "user-alice")) == ("running", STANDARD)


def test_one_that_is_invalid_fails_its_own_pods_alone(
    memory: MemoryCluster, alice: Any, settings: Any
) -> None:
    bob = UserFactory(username="bob")
    choose(alice, "small")
    settings.USERPODS_PROFILES = {"small": {"RESOURCES": {"requests": {"cpu": "9"}}}}
    report = reconcile()
    assert [failure.name for failure in report.failed] == ["user-alice"]
    assert "the profile 'small' is invalid" in report.failed[0].message
    assert row(bob).state == "running"


def test_a_template_file_that_is_not_there_is_one(alice: Any, settings: Any) -> None:
    choose(alice, "small")
    settings.USERPODS_PROFILES = {"small": {"TEMPLATE": "/no/such.yaml"}}
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1}
    assert "/no/such.yaml: cannot be read" in reconcile().failed[0].message


def test_a_name_that_leaves_no_room_for_its_suffixes(memory: MemoryCluster, settings: Any) -> None:
    suffix = "x" * 20
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{{name}}--{suffix}"}}
    settings.USERPODS_PROFILES = {"long": {"TEMPLATE": template_with(config)}}
    user = UserFactory(username="u" * 50)
    reconcile()
    assert why(choose(user, "long")) == ["name"]
    # A further pod's name is given with that in mind.
    pod = lifecycle.add_pod(user, "lab", profile="long")
    pod.refresh_from_db()
    assert pod.state == "running"


# --- rollouts


def test_a_changed_profile_reaches_its_pods_in_waves(memory: MemoryCluster, settings: Any) -> None:
    users = bulk(4)
    reconcile()
    lifecycle.choose_profile(UserPod.objects.exclude(owner=users[0]), "small")
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 1}
    settings.USERPODS_PROFILES = {"small": {"IMAGE": "example.org/new:1"}}
    report = reconcile()
    images = [image_of(memory, f"user-{user.get_username()}") for user in users]
    assert sorted(images) == ["example.org/new:1"] * 2 + [STANDARD] * 2
    assert images[0] == STANDARD
    assert len(report.waiting) == 1
    assert turns() == {"updating": 2, "waiting": 1}
    reconcile()
    reconcile()
    assert turns() == {}


def test_another_profile_is_another_template_to_a_pod_that_runs(
    memory: MemoryCluster, settings: Any
) -> None:
    bulk(3)
    reconcile()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1}
    lifecycle.choose_profile(UserPod.objects.all(), "small")
    assert turns()["waiting"] == 2


# --- what it costs


def queries_of_a_sync() -> int:
    with CaptureQueriesContext(connection) as queries:
        assert reconcile().ok
    return len(queries)


def test_a_sync_takes_as_many_queries_as_without_profiles(
    memory: MemoryCluster, settings: Any
) -> None:
    bulk(6)
    reconcile()
    reconcile()
    settings.USERPODS_PROFILES = None
    without = queries_of_a_sync()
    settings.USERPODS_PROFILES = PROFILES
    lifecycle.choose_profile(UserPod.objects.all(), "small")
    reconcile()
    assert queries_of_a_sync() == without


def test_starting_many_takes_as_many_queries_as_starting_few(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_PROFILES = {"some": {"AT_ONCE": 100, "GROUPS": ["research"]}}
    settings.USERPODS_CONTROLLER = True
    users = bulk(20)
    research(*users)
    reconcile()
    lifecycle.choose_profile(UserPod.objects.all(), "some")
    lifecycle.stop(UserPod.objects.all())
    reconcile()
    counts = []
    for some in (users[:2], users[2:]):
        with CaptureQueriesContext(connection) as queries:
            assert lifecycle.start(UserPod.objects.filter(owner__in=some)).refused == {}
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_start_without_profiles_asks_nothing_of_them(alice: Any, settings: Any) -> None:
    settings.USERPODS_CONTROLLER = True
    settings.USERPODS_PROFILES = None
    stop(alice)
    reconcile()
    with CaptureQueriesContext(connection) as queries:
        assert len(lifecycle.start(UserPod.objects.filter(owner=alice)).pods) == 1
    assert not [q for q in queries if "auth_group" in q["sql"] or "rollout_fail" in q["sql"]]
