"""What tests of the Django side look at again and again."""

from __future__ import annotations

import math
from io import StringIO
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, connections

from django_userpods.cluster import get_cluster
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref
from django_userpods.models import Transition, UserPod
from django_userpods.reconcile.users import BATCH
from django_userpods.reconcile.wanted import this_installation
from tests.core import templates

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest
    from django.test.utils import CaptureQueriesContext

    from django_userpods.testing import MemoryCluster

PVC = Kind("v1", "PersistentVolumeClaim")
CONFIGMAP = Kind("v1", "ConfigMap")
WRITES = frozenset({"create", "apply", "delete"})


#: What ``sync_userpods --wait`` sleeps by. Not everybody's ``time.sleep``: threads that other tests
#: left behind sleep, too.
SLEEP = "django_userpods.management.commands.sync_userpods.sleep"


def our_labels(pod: UserPod | None = None) -> dict[str, str]:
    """Return what marks an object as ours, and with a row as that pod's."""
    identity = naming.PodIdentity(pod.pk, pod.owner_pk) if pod else naming.PodIdentity("", "")
    labels = naming.labels_for(identity, installation=this_installation())
    if pod is None:
        del labels[naming.USER_ID_LABEL], labels[naming.POD_LABEL]
    return labels


def count_but_for_history(queries: CaptureQueriesContext, *, pods: int) -> int:
    """Return how many statements there were, without the lines that are added to pods' histories.

    Those are as few as the database takes (with Django before 6, 999 values at once on SQLite).
    """
    added = [q for q in queries if q["sql"].startswith('INSERT INTO "userpods_transition"')]
    fields = [field for field in Transition._meta.concrete_fields if not field.primary_key]
    at_once = connection.ops.bulk_batch_size(fields, [Transition()] * BATCH)
    assert len(added) <= math.ceil(pods / BATCH) * math.ceil(BATCH / at_once) + 1
    return len(queries) - len(added)


def names(memory: MemoryCluster, kind: Kind = DEPLOYMENT) -> list[str]:
    """Return the names of a kind's objects, sorted."""
    return sorted(ref.name for ref in memory.objects if ref.kind == kind)


def pairs(memory: MemoryCluster) -> list[str]:
    """Return the names of complete pairs; there may be no half ones."""
    assert names(memory, DEPLOYMENT) == names(memory, SERVICE)
    return names(memory)


def deployment(memory: MemoryCluster, name: str, namespace: str = "default") -> Manifest:
    return memory.objects[Ref(DEPLOYMENT, namespace, name)]


def service(memory: MemoryCluster, name: str, namespace: str = "default") -> Manifest:
    return memory.objects[Ref(SERVICE, namespace, name)]


def writes(memory: MemoryCluster) -> list[tuple[str, str, str]]:
    """Return the writing calls since ``calls.clear()`` as (verb, kind, name)."""
    return [(c.verb, c.kind.kind, c.name) for c in memory.calls if c.verb in WRITES]


def row(user: Any) -> UserPod:
    return UserPod.objects.get(owner_pk=str(user.pk), slot="", owner__isnull=False)


def end_pause() -> None:
    """Let inline tries go on at once, although the cluster did not answer one."""
    get_cluster().paused_until = 0.0


def users() -> Any:
    return get_user_model()._default_manager


def by_name(username: str) -> Any:
    return users().get(**{get_user_model().USERNAME_FIELD: username})


def build(username: str) -> Any:
    """Return a user that is not saved."""
    return get_user_model()(**{get_user_model().USERNAME_FIELD: username})


def bulk(count: int, prefix: str = "bulk") -> list[Any]:
    """Create users that no signal tells of."""
    users().bulk_create([build(f"{prefix}{number:03}") for number in range(count)])
    field = get_user_model().USERNAME_FIELD
    return list(users().filter(**{f"{field}__startswith": prefix}).order_by(field))


def insert_by_sql(user: Any) -> None:
    """Store a user with SQL alone."""
    fields = [
        field for field in user._meta.concrete_fields if not (field.primary_key and not user.pk)
    ]
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    marks = ", ".join("%s" for _ in fields)
    values = [field.get_db_prep_save(field.pre_save(user, True), connection) for field in fields]
    table = connection.ops.quote_name(user._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)  # noqa: S608 - names of tables, from the models


def delete_users(some: Iterable[Any]) -> None:
    """Delete users by a queryset."""
    users().filter(pk__in=[user.pk for user in some]).delete()


def delete_by_sql(user: Any) -> None:
    """Delete a user with SQL alone."""
    table = connection.ops.quote_name(user._meta.db_table)
    key = user._meta.pk
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE {key.column} = %s",  # noqa: S608 - names of tables, from the models
            [key.get_db_prep_value(user.pk, connection)],
        )


def examine_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the doctor look in this thread, which alone sees the database of a test."""
    from django_userpods.doctor import examination

    monkeypatch.setattr(connections, "close_all", lambda: None)
    monkeypatch.setattr(examination._Running, "start", lambda part: part._run("en"))


def sync(*args: str, stderr: StringIO | None = None) -> tuple[int, str, str]:
    """Run the command; return exit status, stdout and stderr as a shell would see them."""
    out, err = StringIO(), stderr or StringIO()
    status = 0
    try:
        call_command("sync_userpods", *args, stdout=out, stderr=err)
    except SystemExit as error:
        status = int(str(error.code))
    except CommandError as error:
        status = error.returncode
        err.write(f"CommandError: {error}\n")
    return status, out.getvalue(), err.getvalue()


def template_with(*extra: Manifest) -> list[Manifest]:
    """Return a pod template with more than a Deployment and a Service."""
    return [*templates.pair(), *extra]


VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "{name}--data"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
}
CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "{name}--config"},
    "data": {"who": "{username}"},
}
DATABASE = [
    {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "{name}--db"},
        "spec": {
            "serviceName": "{name}--db",
            "template": {"spec": {"containers": [{"name": "db", "image": "db:1"}]}},
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "{name}--db"},
        "spec": {"ports": [{"port": 5432}]},
    },
]
