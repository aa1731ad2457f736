"""A project whose ``default`` is empty, and whose reads come from a replica that lags behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]

SCENE = """
import os, shutil
import django
django.setup()
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django_userpods import lifecycle
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import MemoryCluster

call_command("migrate", database="main", verbosity=0)
User, memory = get_user_model(), MemoryCluster()
with transaction.atomic(using="main"):
    gone = User.objects.create_user("gone")
    assert not memory.calls, "asked for before the commit"
gone_pod = UserPod.objects.using("main").get().pk
# From here on the replica knows what was so far, and nothing that comes.
shutil.copy(settings.DATABASES["main"]["NAME"], settings.DATABASES["replica"]["NAME"])
gone.delete()
with transaction.atomic(using="main"):
    alice = User.objects.create_user("alice")
    bob = User.objects.create_user("bob")
report = reconcile()
assert report.ok, report
names = sorted(ref.name for ref in memory.objects if ref.kind.kind == "Deployment")
assert names == ["user-alice", "user-bob"], names
rows = UserPod.objects.using("main")
assert set(rows.values_list("state", flat=True)) == {"running"}, rows.values()
result = lifecycle.stop(rows.filter(owner_id=bob.pk))
assert result.done == 1, result
settings.USERPODS_MAX_PODS = 2
lifecycle.add_pod(alice, slot="gpu")
again = User.objects.create_user("gone")
assert reconcile().ok
names = sorted(ref.name for ref in memory.objects if ref.kind.kind == "Deployment")
assert names == ["user-alice", "user-alice---gpu", "user-bob", "user-gone"], names
assert rows.get(owner_id=again.pk).pk != gone_pod
assert rows.get(owner_id=bob.pk).state == "stopped"
bob.is_active = False
bob.save()
recreated = lifecycle.recreate(rows.filter(owner_id=alice.pk, slot=""))
assert recreated.done == 1, recreated
with open(os.devnull, "w") as nowhere:
    call_command("sync_userpods", "--wait", "5", stdout=nowhere)
    call_command("sync_userpods", "--user", "alice", stdout=nowhere)
names = sorted(ref.name for ref in memory.objects if ref.kind.kind == "Deployment")
assert names == ["user-alice", "user-alice---gpu", "user-gone"], names
assert reconcile().done == []
print("all is well")
"""


def test_nothing_is_decided_by_what_a_replica_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCENE],
        cwd=TOP,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings_two_databases",
            "TWO_DATABASES": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "all is well\n", done.stderr
