"""The test suite of an existing application passes with the app installed, and sends nothing.

django-guardian's wheel has its tests in it, a user model of its own, and saves a user with key 1
after each migration.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faultproxy import FaultProxy
from tests.real.test_other_projects import Project, everything
from tests.testcluster import build

if TYPE_CHECKING:
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
VERSION = "3.5.2"
SETTINGS = """
from guardian.testapp.testsettings import *

# Half of the suite's two minutes is the hashing of passwords.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [*INSTALLED_APPS, "django_userpods"]
USERPODS_IMAGE = "example.org/app:1"
USERPODS_NAMESPACE = {namespace!r}
USERPODS_CLUSTER = {{
    "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
    "OPTIONS": {{"context": "test"}},
}}
"""


@pytest.fixture(scope="module")
def guardian() -> Path:
    """The package, downloaded once."""
    target = build.cache_dir() / "suites" / f"django-guardian-{VERSION}"
    with build.lock(target.with_name(f"{target.name}.lock")):
        if not (target / "guardian" / "testapp" / "tests").is_dir():
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade")
            package = f"django-guardian=={VERSION}"
            subprocess.run([*pip, "--target", target, package], check=True, timeout=240)
    return target


# The suite itself takes a minute on a quiet machine.
@pytest.mark.timeout(900)
def test_guardians_suite_passes_and_production_is_as_it_was(
    guardian: Path, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    with FaultProxy(cluster.kubeconfig) as watched:
        production = Project(tmp_path / "production", watched.kubeconfig, namespace)
        production.users("alice", "bob")
        production.sync("--wait", "60")
        before = everything(cluster, namespace)
        watched.forget()
        (tmp_path / "guarded.py").write_text(SETTINGS.format(namespace=namespace))
        env = {
            **production.env,
            "DJANGO_SETTINGS_MODULE": "guarded",
            "PYTHONPATH": os.pathsep.join(map(str, [tmp_path, guardian, ROOT / "src"])),
        }
        done = subprocess.run(
            [sys.executable, "-m", "django", "test", "guardian"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=800,
        )
        assert done.returncode == 0, done.stderr[-5000:]
        assert "Ran 504 tests" in done.stderr
        assert watched.calls == []
        assert everything(cluster, namespace) == before
