"""Several processes at once, and processes that die: what counts is in database and cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.project import objects

if TYPE_CHECKING:
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
USERS = 80

SETTINGS = """
from tests.settings import *
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r},
    "OPTIONS": {{"timeout": 30}}}}}}
USERPODS_CLUSTER = {{
    "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
    "OPTIONS": {{"kubeconfig": {kubeconfig!r}, "qps": {qps}, "burst": 10, "concurrency": 4}},
}}
USERPODS_NAMESPACE = USERPODS_INSTANCE = {namespace!r}
"""


class Project:
    """A Django project of its own: a file for a database, and commands as processes."""

    def __init__(self, folder: Path, cluster: Cluster, namespace: str, *, qps: int = 0) -> None:
        self.folder = folder
        text = SETTINGS.format(
            database=str(folder / "db.sqlite3"),
            kubeconfig=str(cluster.kubeconfig),
            namespace=namespace,
            qps=qps,
        )
        (folder / "project_settings.py").write_text(text)
        self.env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), str(ROOT / "src")]),
            "DJANGO_SETTINGS_MODULE": "project_settings",
        }
        self.manage("migrate", "--verbosity=0")

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "django", *args],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background job ignores SIGINT, and so would what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def manage(self, *args: str) -> str:
        process = self.start(*args)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        return out

    def python(self, code: str) -> str:
        return self.manage("shell", "--verbosity=0", "-c", code)

    def add_users(self, count: int) -> None:
        self.python(
            "from django.contrib.auth.models import User\n"
            f"User.objects.bulk_create([User(username=f'u{{n}}') for n in range({count})])"
        )


def test_two_syncs_at_once_both_succeed(tmp_path: Path, cluster: Cluster, namespace: str) -> None:
    project = Project(tmp_path, cluster, namespace)
    project.add_users(USERS)
    both = [project.start("sync_userpods") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
    assert len(objects(cluster, namespace)) == 2 * USERS
    assert "Nothing to do" in project.manage("sync_userpods")
    names = project.python(
        "from django_userpods.models import UserPod\n"
        "print(UserPod.objects.count(), len(set(UserPod.objects.values_list('name', flat=True))))"
    )
    assert names.split() == [str(USERS), str(USERS)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_sync_that_dies_in_the_middle_is_finished_by_the_next(
    tmp_path: Path, cluster: Cluster, namespace: str, number: signal.Signals
) -> None:
    project = Project(tmp_path, cluster, namespace, qps=40)
    project.add_users(USERS)
    process = project.start("sync_userpods")
    deadline = time.monotonic() + 60
    while len(objects(cluster, namespace)) < USERS // 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=30)
    made = len(objects(cluster, namespace))
    assert made < 2 * USERS, "it was not in the middle"
    project.manage("sync_userpods")
    assert len(objects(cluster, namespace)) == 2 * USERS
    assert "Nothing to do" in project.manage("sync_userpods")
