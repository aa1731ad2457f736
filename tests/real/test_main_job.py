"""The main job: users come and go in Django, and a real cluster follows."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from django_userpods.core import builtin
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile
from tests.real.project import deployment, objects, pair

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]


def sync(*args: str) -> str:
    out, err = StringIO(), StringIO()
    try:
        call_command("sync_userpods", *args, stdout=out, stderr=err)
    except SystemExit as error:
        pytest.fail(f"exit {error.code}: {out.getvalue()}{err.getvalue()}")
    return out.getvalue()


def test_a_user_gets_a_pod_and_loses_it(real: str, cluster: Cluster) -> None:
    user = User.objects.create_user("charlie")
    assert objects(cluster, real) == pair("user-charlie")
    service = cluster.get("service", "user-charlie", "-n", real)
    row = UserPod.objects.get(owner=user)
    assert row.address == f"{service['spec']['clusterIP']}:8000"
    assert service["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "django-userpods",
        "django-userpods/installation": Installation.objects.get().identifier,
        "django-userpods/instance": real,
        "django-userpods/user-id": str(user.pk),
        "django-userpods/pod": row.pk,
    }
    sync("--wait", "30")
    row.refresh_from_db()
    assert row.state == "running", row.message
    user.delete()
    assert objects(cluster, real) == []
    sync("--wait", "30")
    assert not UserPod.objects.exists()


def test_a_hand_edit_is_put_back_and_the_second_sync_does_nothing(
    real: str, cluster: Cluster
) -> None:
    User.objects.create_user("charlie")
    cluster.kubectl("set", "image", "deployment/user-charlie", "app=evil:1", "-n", real)
    assert "Updated Deployment" in sync()
    found = deployment(cluster, real, "user-charlie")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/app:1"
    assert "Nothing to do" in sync()
    assert deployment(cluster, real, "user-charlie")["metadata"]["resourceVersion"]


def test_what_signals_missed_is_made_up_for(real: str, cluster: Cluster) -> None:
    User.objects.bulk_create([User(username=f"bulk{n}") for n in range(3)])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO auth_user (username, password, is_active, is_staff, is_superuser, email,"
            " first_name, last_name, date_joined) VALUES ('sql', '', 1, 0, 0, '', '', '',"
            " '2026-01-01 00:00:00')"
        )
    assert objects(cluster, real) == []
    sync()
    assert objects(cluster, real) == pair("user-bulk0", "user-bulk1", "user-bulk2", "user-sql")
    User.objects.filter(username="bulk0").update(is_active=False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user WHERE username = 'sql'")
    sync()
    assert objects(cluster, real) == pair("user-bulk1", "user-bulk2")
    assert "Nothing to do" in sync("--wait", "30") or "Nothing to do" in sync()


def test_stopping_and_starting_change_the_replicas(real: str, cluster: Cluster) -> None:
    User.objects.create_user("dora")
    rows = UserPod.objects.filter(name="user-dora")
    rows.update(wanted="stopped")
    sync()
    assert deployment(cluster, real, "user-dora")["spec"]["replicas"] == 0
    assert rows.get().state == "stopped"
    rows.update(wanted="running")
    sync("--wait", "30")
    assert deployment(cluster, real, "user-dora")["spec"]["replicas"] == 1
    assert rows.get().state == "running"


def test_delete_and_recreate_ends_with_the_new_services_address(
    real: str, cluster: Cluster
) -> None:
    User.objects.create_user("dora")
    before = deployment(cluster, real, "user-dora")["metadata"]["uid"]
    rows = UserPod.objects.filter(name="user-dora")
    rows.update(recreate=True)
    sync("--wait", "30")
    # The old address was free for others meanwhile, so the row has let go of it.
    spec = cluster.get("service", "user-dora", "-n", real)["spec"]
    address = f"{spec['clusterIP']}:{spec['ports'][0]['port']}"
    assert deployment(cluster, real, "user-dora")["metadata"]["uid"] != before
    assert (rows.get().address, rows.get().recreate) == (address, False)
    assert rows.get().state == "running"


def test_a_new_user_of_an_old_name_waits_for_it(real: str, cluster: Cluster) -> None:
    old = User.objects.create_user("erin")
    sync("--wait", "30")
    old.delete()
    new = User.objects.create_user("erin")
    sync("--wait", "30")
    sync("--wait", "30")
    row = UserPod.objects.get()
    assert (row.owner, row.name, row.state) == (new, "user-erin", "running")
    found = deployment(cluster, real, "user-erin")
    assert found["metadata"]["labels"]["django-userpods/user-id"] == str(new.pk)


def use_all(pod: dict[str, Any]) -> None:
    """Have a pod use the objects that ``everything`` puts beside it."""
    pod["serviceAccountName"] = "{name}"
    pod["volumes"] = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "{name}--data"}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}},
        {"name": "config", "configMap": {"name": "{name}--config"}},
    ]
    container = pod["containers"][0]
    container["volumeMounts"] = [
        {"name": "data", "mountPath": "/data"},
        {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a pod's
    ]
    container["envFrom"] = [{"secretRef": {"name": "{name}--secret"}}]
    container["readinessProbe"] = {"httpGet": {"path": "/", "port": "http"}}


def everything(image: str) -> list[dict[str, Any]]:
    """A template with every kind we promise, and many fields that the API server defaults."""
    manifests = builtin.manifests(
        image=image,
        port=8000,
        env={"CPU": "{username}"},
        resources={
            "requests": {"cpu": "1000m", "memory": "1024Mi"},
            "limits": {"cpu": 1, "memory": "1Gi"},
        },
    )
    use_all(manifests[0]["spec"]["template"]["spec"])
    return [
        *manifests,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "{name}"}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "{name}--data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1024Mi"}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "{name}--config", "labels": {}},
            "data": {"user": "{username}"},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "{name}--secret"},
            "stringData": {"KEY": "s3cret-{user_id}"},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "{name}"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "{name}"}},
                "ingress": [{"ports": [{"port": 8000}]}],
            },
        },
    ]


def test_every_kind_is_made_and_a_second_sync_plans_nothing(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    settings.USERPODS_TEMPLATE = everything("example.org/app:1")
    user = User.objects.create_user("zoë@example.org")
    kinds = "deploy,svc,sa,pvc,cm,secret,netpol"
    name = UserPod.objects.get(owner=user).name
    made = [item for item in objects(cluster, real, kinds) if name and name in item]
    assert len(made) == 7, UserPod.objects.get().message
    report = reconcile()
    assert (report.done, report.failed) == ([], [])
    # Retained, as USERPODS_RETAIN says.
    user.delete()
    reconcile()
    left = [item for item in objects(cluster, real, kinds) if name and name in item]
    assert left == [f"PersistentVolumeClaim/{name}--data"]


def test_what_leaves_the_template_leaves_the_cluster(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    settings.USERPODS_ENV = {"OLD": "1", "KEPT": "1"}
    settings.USERPODS_TEMPLATE = [
        *builtin.manifests(image="i", port=8000, env={"OLD": "1"}, resources={}),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{name}--more"}},
    ]
    User.objects.create_user("fay")
    assert "ConfigMap/user-fay--more" in objects(cluster, real, "cm")
    settings.USERPODS_TEMPLATE = builtin.manifests(
        image="i", port=8000, env={"NEW": "1"}, resources={}
    )
    sync()
    assert "ConfigMap/user-fay--more" not in objects(cluster, real, "cm")
    container = deployment(cluster, real, "user-fay")["spec"]["template"]["spec"]["containers"][0]
    names = [variable["name"] for variable in container["env"]]
    assert "NEW" in names
    assert "OLD" not in names
    assert reconcile().done == []


def test_a_field_of_somebody_else_stays(real: str, cluster: Cluster) -> None:
    User.objects.create_user("gus")
    cluster.kubectl("annotate", "deployment/user-gus", "note=keep", "-n", real)
    cluster.kubectl("set", "env", "deployment/user-gus", "MINE=1", "PORT=9", "-n", real)
    sync()
    found = deployment(cluster, real, "user-gus")
    assert found["metadata"]["annotations"]["note"] == "keep"
    env = {v["name"]: v["value"] for v in found["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (env["MINE"], env["PORT"]) == ("1", "8000")


def test_a_foreign_object_is_left_alone_and_reported(
    real: str, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.kubectl("create", "service", "clusterip", "user-hal", "--tcp=80", "-n", real)
    before = cluster.get("service", "user-hal", "-n", real)
    user = User.objects.create_user("hal")
    err = StringIO()
    with pytest.raises(SystemExit) as exit_info:
        call_command("sync_userpods", stdout=StringIO(), stderr=err)
    assert exit_info.value.code == 1
    assert "user-hal" in err.getvalue()
    row = UserPod.objects.get(owner=user)
    assert row.state == "failed"
    assert "left alone" in row.message
    assert cluster.get("service", "user-hal", "-n", real) == before
    user.delete()
    sync()
    assert cluster.get("service", "user-hal", "-n", real) == before
    assert objects(cluster, real, "deploy") == []


def test_a_quota_is_said_and_healed(real: str, cluster: Cluster) -> None:
    cluster.kubectl("create", "quota", "few", "--hard=count/services=1", "-n", real)
    # The quota counts once the controller has seen it.
    for _ in range(100):
        if "status" in (found := cluster.get("quota", "few", "-n", real)) and found["status"]:
            break
    User.objects.create_user("one")
    two = User.objects.create_user("two")
    row = UserPod.objects.get(owner=two)
    assert row.state == "failed"
    assert "few" in row.message
    # The Deployment is there, the Service was refused: the next run completes it.
    assert objects(cluster, real) == sorted([*pair("user-one"), "Deployment/user-two"])
    cluster.kubectl("delete", "quota", "few", "-n", real)
    sync("--wait", "30")
    assert objects(cluster, real) == pair("user-one", "user-two")
    row.refresh_from_db()
    assert (row.state, row.message) == ("running", "")
