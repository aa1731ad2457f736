"""Profiles against a real API server: chosen, changed and taken back, each by one apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User

from django_userpods import lifecycle
from django_userpods.core import builtin
from django_userpods.models import Profile, UserPod
from django_userpods.reconcile import reconcile
from tests.core.templates import extra
from tests.real.project import deployment, objects, pair

if TYPE_CHECKING:
    from typing import Any

    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]


def test_a_profile_is_chosen_changed_and_taken_back(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    import yaml

    def container(name: str = "user-alice") -> dict[str, Any]:
        spec = deployment(cluster, real, name)["spec"]["template"]["spec"]
        found: dict[str, Any] = spec["containers"][0]
        return found

    settings.USERPODS_PROFILES = "database"
    # One that the namespace admits: pods that may not be made are failures, sooner or later.
    shipped = builtin.manifests(image="example.org/notes:0", port=8000, env={}, resources={})
    profile = Profile(
        slug="notes",
        name="Notes",
        image="example.org/notes:1",
        resources={"requests": {"cpu": "1m"}, "limits": {"memory": "2Gi", "cpu": None}},
        env={"A": "{username}"},
        template=yaml.safe_dump_all([*shipped, extra("ConfigMap", "{name}--notes")]),
    )
    profile.full_clean()
    profile.save()
    for name in ("alice", "bob"):
        User.objects.create_user(name)
    assert reconcile().ok
    standard = container()["image"]
    alices = UserPod.objects.filter(owner__username="alice")

    assert lifecycle.choose_profile(alices, "notes").failures == []
    found = container()
    assert found["image"] == "example.org/notes:1"
    assert {"name": "A", "value": "alice"} in found["env"]
    assert found["resources"] == {"limits": {"memory": "2Gi"}, "requests": {"cpu": "1m"}}
    assert objects(cluster, real, "cm")[-1] == "ConfigMap/user-alice--notes"
    assert container("user-bob")["image"] == standard
    assert reconcile().done == []

    profile.image = "example.org/notes:2"
    profile.save(actor="boss")
    assert reconcile().counts()["updated"] == 1
    assert container()["image"] == "example.org/notes:2"

    assert lifecycle.choose_profile(alices, "").failures == []
    found = container()
    assert found["image"] == standard
    assert "A" not in {entry["name"] for entry in found.get("env", [])}
    assert "ConfigMap/user-alice--notes" not in objects(cluster, real, "cm")
    assert objects(cluster, real) == pair("user-alice", "user-bob")
    assert reconcile().done == []
