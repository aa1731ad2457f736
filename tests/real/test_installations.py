"""Whose objects are whose, on a real API server: a database that is lost, and names that meet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import DATABASE, template_with
from tests.real.project import deployment, objects
from tests.real.test_main_job import sync

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]


def forget_everything() -> None:
    """Lose the database."""
    for model in (Installation, UserPod):
        model.objects.all().delete()
    User.objects.all()._raw_delete("default")


def test_objects_of_a_lost_database_are_left_alone_until_they_are_taken_over(
    real: str, cluster: Cluster
) -> None:
    User.objects.create_user("alice")
    User.objects.create_user("bob")
    sync("--wait", "60")
    lost = Installation.objects.get().identifier
    before = cluster.get("deploy,svc,rs,pod", "-n", real)["items"]
    forget_everything()
    User.objects.bulk_create([User(pk=4711, username="alice")])
    report = reconcile()
    assert "exists and is not ours" in report.failed[0].message
    assert cluster.get("deploy,svc,rs,pod", "-n", real)["items"] == before

    out = sync("--adopt-from", lost, "--no-input", "--wait", "60")
    assert "Took over 1 pods." in out
    now = deployment(cluster, real, "user-alice")
    old = next(i for i in before if i["metadata"]["name"] == "user-alice")
    assert now["metadata"]["uid"] == old["metadata"]["uid"]
    labels = now["metadata"]["labels"]
    assert labels["django-userpods/installation"] == Installation.objects.get().identifier
    assert labels["django-userpods/pod"] == UserPod.objects.get().pk
    bobs = deployment(cluster, real, "user-bob")["metadata"]
    assert bobs["labels"]["django-userpods/installation"] == lost
    assert UserPod.objects.get().state == "running"
    assert "Nothing to do" in sync()


def test_alice_db_and_alices_database_stand_side_by_side(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    settings.USERPODS_TEMPLATE = template_with(*DATABASE)
    User.objects.create_user("alice")
    other = User.objects.create_user("alice-db")
    sync()
    assert "Nothing to do" in sync()
    sets = objects(cluster, real, "statefulset")
    assert sets == ["StatefulSet/user-alice--db", "StatefulSet/user-alice-db--db"]
    service = cluster.get("service", "user-alice-db", "-n", real)
    pod = UserPod.objects.get(owner=other).pk
    assert service["spec"]["selector"] == {"app": "user-alice-db", "django-userpods/pod": pod}


def test_an_uninstallation_takes_out_what_is_ours_and_nothing_else(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    User.objects.create_user("stranger")
    sync("--wait", "60")
    forget_everything()
    settings.USERPODS_TEMPLATE = template_with(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "{name}--settings"},
            "data": {"user": "{username}"},
        }
    )
    for name in ("alice", "bob"):
        User.objects.create_user(name)
    assert reconcile().ok
    # A kind that the settings no longer have.
    settings.USERPODS_TEMPLATE = None
    out = io.StringIO()
    call_command(
        "uninstall_userpods",
        "--no-input",
        "--installation",
        Installation.objects.get().identifier,
        stdout=out,
    )
    assert "6 deleted." in out.getvalue()
    assert objects(cluster, real) == ["Deployment/user-stranger", "Service/user-stranger"]
    left = {item["metadata"]["name"] for item in cluster.get("cm", "-n", real)["items"]}
    assert left <= {"kube-root-ca.crt"}
    assert not UserPod.objects.exists()
