"""All the ways in which users come, change and go, each followed by the real cluster."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction

from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.real.project import deployment, objects, pair

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]


def test_a_queryset_deletes_users(real: str, cluster: Cluster) -> None:
    for name in ("ann", "ben", "cam"):
        User.objects.create_user(name)
    User.objects.exclude(username="ben").delete()
    assert objects(cluster, real) == pair("user-ben")


def test_a_transaction_that_is_rolled_back_leaves_nothing_to_do(
    real: str, cluster: Cluster
) -> None:
    ann = User.objects.create_user("ann")
    with transaction.atomic():
        User.objects.create_user("ben")
        ann.delete()
        transaction.set_rollback(True)
    assert objects(cluster, real) == pair("user-ann")
    report = reconcile()
    assert (report.ok, report.done) == (True, [])


def test_one_created_and_deleted_in_one_transaction_leaves_nothing(
    real: str, cluster: Cluster
) -> None:
    with transaction.atomic():
        User.objects.create_user("ann").delete()
    assert objects(cluster, real) == []
    assert not UserPod.objects.exists()


def test_a_renamed_user_keeps_the_name(real: str, cluster: Cluster) -> None:
    ann = User.objects.create_user("ann")
    uid = deployment(cluster, real, "user-ann")["metadata"]["uid"]
    ann.username = "anna"
    ann.save()
    found = deployment(cluster, real, "user-ann")
    assert found["metadata"]["uid"] == uid
    assert found["metadata"]["annotations"]["django-userpods/username"] == "anna"
    newcomer = User.objects.create_user("ann")
    name = UserPod.objects.get(owner=newcomer).name
    assert name
    assert objects(cluster, real) == pair("user-ann", name)


def test_deactivating_takes_the_pod_and_activating_brings_it_back(
    real: str, cluster: Cluster
) -> None:
    ann = User.objects.create_user("ann")
    ann.is_active = False
    ann.save()
    assert objects(cluster, real) == []
    ann.is_active = True
    ann.save()
    assert objects(cluster, real) == pair("user-ann")


def test_a_fixture_is_seen_by_the_next_sync(real: str, cluster: Cluster, tmp_path: Path) -> None:
    fields = {"username": "fix", "password": "", "date_joined": "2026-01-01T00:00:00Z"}
    fixture = tmp_path / "users.json"
    fixture.write_text(json.dumps([{"model": "auth.user", "pk": 7, "fields": fields}]))
    call_command("loaddata", str(fixture), stdout=StringIO())
    assert objects(cluster, real) == []
    assert reconcile().ok
    assert objects(cluster, real) == pair("user-fix")


def test_a_username_is_no_reference_to_a_variable(real: str, cluster: Cluster) -> None:
    user = User.objects.create_user("$(PORT)")
    name = UserPod.objects.get(owner=user).name
    assert name
    found = deployment(cluster, real, name)
    env = found["spec"]["template"]["spec"]["containers"][0]["env"]
    # What the kubelet makes "$(PORT)" of.
    assert {"name": "USERPODS_USER", "value": "$$(PORT)"} in env
    assert found["metadata"]["annotations"]["django-userpods/username"] == "$(PORT)"
    assert reconcile().done == []


def test_hostile_usernames_all_get_pods(real: str, cluster: Cluster) -> None:
    names = ["Ann", "ann", "a@b.example", "émilie", "🎉", "-x-", "1", "a" * 150, "{name}", "a--b"]
    User.objects.bulk_create([User(username=name) for name in names])
    report = reconcile()
    assert report.failed == []
    rows = dict(UserPod.objects.values_list("owner__username", "name"))
    assert len(set(rows.values())) == len(names)
    assert objects(cluster, real) == pair(*(name for name in rows.values() if name))
    assert reconcile().done == []
