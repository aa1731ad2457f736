"""One code path makes the cluster agree with the database: what it does when all is well."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE
from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import (
    CONFIG,
    CONFIGMAP,
    VOLUME,
    bulk,
    deployment,
    names,
    our_labels,
    pairs,
    row,
    service,
    template_with,
)
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def test_the_second_sync_does_nothing(memory: MemoryCluster) -> None:
    bulk(7)
    first = reconcile()
    assert first.ok
    assert first.counts() == {"created": 14, "updated": 0, "deleted": 0}
    assert (first.users, first.unchanged) == (7, 0)
    memory.calls.clear()
    second = reconcile()
    assert second.ok
    assert not second.done
    assert (second.users, second.unchanged) == (7, 7)
    # One list for each kind, and nothing for each user.
    assert [(call.verb, call.kind) for call in memory.calls] == [
        ("list", DEPLOYMENT),
        ("list", SERVICE),
    ]


def test_a_sync_with_nothing_to_do_writes_nothing(memory: MemoryCluster) -> None:
    bulk(5)
    reconcile()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        reconcile()
    changing = [
        q["sql"] for q in queries if not q["sql"].startswith(("SELECT", "SAVEPOINT", "RELEASE"))
    ]
    assert changing == []


@pytest.mark.parametrize(
    ("setting", "value", "whole"),
    [
        ("USERPODS_PORT", 8000, False),
        ("USERPODS_SELECT", lambda user: user.email != "", True),
        ("USERPODS_NAMESPACE", lambda user: "apps" if user.email else "", True),
        ("USERPODS_CUSTOMIZE", lambda manifests, user: manifests if user.email else [], True),
    ],
)
def test_users_are_read_whole_only_where_the_projects_code_sees_them(
    memory: MemoryCluster, settings: Any, setting: str, value: Any, whole: bool
) -> None:
    bulk(3)
    get_user_model()._default_manager.update(email="a@example.org")
    setattr(settings, setting, value)

    with CaptureQueriesContext(connection) as queries:
        assert reconcile().ok

    assert len(pairs(memory)) == 3
    first = next(q["sql"] for q in queries if 'FROM "auth_user"' in q["sql"])
    assert ("password" in first) is whole


def test_objects_say_whose_they_are(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_INSTANCE = "blue"
    user = UserFactory(username="Zoë")
    reconcile()
    (name,) = pairs(memory)
    for manifest in (deployment(memory, name), service(memory, name)):
        labels = manifest["metadata"]["labels"]
        assert labels == our_labels(row(user))
        assert manifest["metadata"]["annotations"][naming.USERNAME_ANNOTATION] == "Zoë"
    assert deployment(memory, name)["spec"]["selector"] == {
        "matchLabels": {"app": name, naming.POD_LABEL: row(user).pk}
    }


@pytest.mark.parametrize(
    "edit",
    [
        lambda d, s: d["spec"]["template"]["spec"]["containers"][0].update(image="evil:1"),
        lambda d, s: d["spec"].update(replicas=5),
        lambda d, s: d["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].update(
            cpu="64"
        ),
        lambda d, s: d["spec"]["template"]["spec"].pop("automountServiceAccountToken"),
        lambda d, s: d["spec"]["template"]["metadata"]["labels"].pop(naming.USER_ID_LABEL),
        lambda d, s: d["metadata"]["annotations"].clear(),
        lambda d, s: s["spec"].update(selector={"app": "user-bob"}),
        lambda d, s: s["spec"]["ports"][0].update(targetPort=22),
    ],
)
def test_hand_edits_are_put_back(memory: MemoryCluster, edit: Any) -> None:
    UserFactory(username="alice")
    reconcile()
    edit(deployment(memory, "user-alice"), service(memory, "user-alice"))
    memory.calls.clear()
    report = reconcile()
    assert report.ok
    assert report.counts() == {"created": 0, "updated": 1, "deleted": 0}
    assert report.done[0].reason.startswith(".")
    assert reconcile().done == []


def test_what_others_added_stays(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    reconcile()
    deployment(memory, "user-alice")["metadata"]["labels"]["team"] = "red"
    deployment(memory, "user-alice")["spec"]["template"]["spec"]["containers"].append(
        {"name": "injected", "image": "mesh:1"}
    )
    assert reconcile().done == []


def test_what_was_deleted_by_hand_comes_back_with_its_address(memory: MemoryCluster) -> None:
    users_ = bulk(3)
    reconcile()
    address = row(users_[1]).address
    for ref in [ref for ref in memory.objects if ref.name == "user-bulk001"]:
        del memory.objects[ref]
    report = reconcile()
    assert report.counts()["created"] == 2
    assert row(users_[1]).address == address
    assert service(memory, "user-bulk001")["spec"]["clusterIP"] == str(address).split(":")[0]


def test_an_address_that_is_taken_meanwhile_is_not_insisted_on(memory: MemoryCluster) -> None:
    users_ = bulk(2)
    reconcile()
    ref = next(ref for ref in memory.objects if ref.kind == SERVICE and "000" in ref.name)
    old = memory.objects.pop(ref)["spec"]["clusterIP"]
    # Somebody else's Service gets it first.
    other = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "other", "namespace": "default"},
        "spec": {"ports": [{"port": 80}], "clusterIP": old},
    }
    memory.create(other)
    assert reconcile().ok
    assert row(users_[0]).address not in (None, f"{old}:8000", row(users_[1]).address)


def test_addresses_that_changed_hands_are_exchanged_on_the_rows(memory: MemoryCluster) -> None:
    first, second = bulk(2)
    reconcile()
    one, two = row(first).address, row(second).address
    for name in ("user-bulk000", "user-bulk001"):
        spec = service(memory, name)["spec"]
        other = two if name == "user-bulk000" else one
        spec["clusterIP"] = str(other).split(":")[0]
        spec["clusterIPs"] = [spec["clusterIP"]]
    assert reconcile().ok
    assert (row(first).address, row(second).address) == (two, one)


def test_no_transaction_begins_with_reading(memory: MemoryCluster) -> None:
    """On SQLite it could not go on to write while another one does."""
    first_user, _ = bulk(2)
    statements = []
    for delete in (False, True):
        if delete:
            first_user.delete()
        with CaptureQueriesContext(connection) as queries:
            reconcile()
        statements += [query["sql"].split()[0] for query in queries]
    first = {
        then
        for begin, then in itertools.pairwise(statements)
        if begin in {"BEGIN", "SAVEPOINT"} and then not in {"BEGIN", "SAVEPOINT"}
    }
    assert first
    assert "SELECT" not in first, statements


def test_the_loser_of_an_address_is_looked_at_again(memory: MemoryCluster) -> None:
    first, second = bulk(2)
    reconcile()
    one = str(row(first).address)
    # The first's Service was deleted and made again elsewhere while its row was not looked at.
    spec = service(memory, "user-bulk000")["spec"]
    spec["clusterIP"], spec["clusterIPs"] = "10.96.9.9", ["10.96.9.9"]
    spec = service(memory, "user-bulk001")["spec"]
    spec["clusterIP"], spec["clusterIPs"] = one.split(":")[0], [one.split(":")[0]]
    report = reconcile([str(second.pk)])
    assert row(second).address == one
    assert row(first).address == "10.96.9.9:8000"
    assert report.ok


# --- stopped, restarted, recreated


def test_stopping_keeps_the_address_and_starting_brings_the_pod_back(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    UserPod.objects.update(wanted=UserPod.Wanted.STOPPED)
    assert reconcile().counts()["updated"] == 1
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 0
    assert row(user).state == UserPod.State.STOPPED
    assert row(user).address is not None
    assert reconcile().done == []
    UserPod.objects.update(wanted=UserPod.Wanted.RUNNING)
    reconcile()
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 1
    reconcile()
    assert row(user).state == UserPod.State.RUNNING


def test_a_restart_is_one_update(memory: MemoryCluster) -> None:
    user = UserFactory(username="alice")
    reconcile()
    when = timezone.now()
    UserPod.objects.update(restarted_at=when)
    report = reconcile()
    assert report.counts() == {"created": 0, "updated": 1, "deleted": 0}
    annotations = deployment(memory, "user-alice")["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"django-userpods/restarted-at": when.isoformat()}
    assert row(user).state in (UserPod.State.STARTING, UserPod.State.RUNNING)
    assert reconcile().done == []
    assert row(user).state == UserPod.State.RUNNING


def test_delete_and_recreate_makes_all_but_volumes_anew(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    user = UserFactory(username="alice")
    reconcile()
    before = {ref: m["metadata"]["uid"] for ref, m in memory.objects.items()}
    address = row(user).address
    UserPod.objects.update(recreate=True)
    report = reconcile()
    assert report.ok
    after = {ref: m["metadata"]["uid"] for ref, m in memory.objects.items()}
    assert after.keys() == before.keys()
    assert {ref.kind.kind for ref in after if after[ref] == before[ref]} == {
        "PersistentVolumeClaim"
    }
    found = row(user)
    assert not found.recreate
    assert found.address == address
    assert found.state == UserPod.State.RUNNING
    assert reconcile().done == []


# --- templates that change


def test_objects_of_a_kind_that_the_template_no_longer_makes_are_deleted(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(CONFIG)
    user = UserFactory(username="alice")
    reconcile()
    assert names(memory, CONFIGMAP) == ["user-alice--config"]
    assert row(user).kinds == "apps/v1/Deployment,v1/ConfigMap,v1/Service"
    settings.USERPODS_TEMPLATE = template_with()
    report = reconcile()
    assert report.counts()["deleted"] == 1
    assert names(memory, CONFIGMAP) == []
    assert row(user).kinds == "apps/v1/Deployment,v1/Service"
    memory.calls.clear()
    assert reconcile().done == []
    assert {call.kind.kind for call in memory.calls} == {"Deployment", "Service"}


def test_a_kind_whose_creation_was_cut_off_is_still_known(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(CONFIG)
    user = UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("gone"), verb="create", kind="Deployment")
    assert not reconcile().ok
    assert "v1/ConfigMap" in row(user).kinds
    memory.heal()
    settings.USERPODS_TEMPLATE = template_with()
    assert reconcile().ok
    assert names(memory, CONFIGMAP) == []


def test_a_new_image_reaches_every_pod(memory: MemoryCluster, settings: Any) -> None:
    bulk(3)
    reconcile()
    settings.USERPODS_IMAGE = "example.org/app:2"
    assert reconcile().counts()["updated"] >= 3
    assert set(UserPod.objects.values_list("image", flat=True)) == {"example.org/app:2"}
    assert reconcile().done == []


def test_a_field_that_the_template_no_longer_has_is_taken_out(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ENV = {"A": "1", "B": "2"}
    UserFactory(username="alice")
    reconcile()
    settings.USERPODS_ENV = {"A": "1"}
    reconcile()
    env = deployment(memory, "user-alice")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [item["name"] for item in env] == ["PORT", "USERPODS_USER", "A"]
    assert reconcile().done == []
