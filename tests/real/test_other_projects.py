"""Whoever runs something beside a production on the same cluster changes none of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faultproxy import FaultProxy
from tests.real.project import objects, pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]

#: The README's settings: nothing in them tells one project from another.
SETTINGS = """
SECRET_KEY = "x"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}}}
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django_userpods", "leaky",
]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USERPODS_IMAGE = "example.org/app:1"
USERPODS_NAMESPACE = {namespace!r}
USERPODS_CLUSTER = {{
    "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
    "OPTIONS": {{"context": "test", "qps": 0}},
}}
"""
#: What django-guardian does for its AnonymousUser, in every new database.
LEAKY = """
from django.apps import AppConfig
from django.db.models.signals import post_migrate


def make_user(sender, using, **kwargs):
    from django.contrib.auth.models import User
    if not User.objects.using(using).filter(pk=1).exists():
        User(pk=1, username="AnonymousUser").save(using=using)


class LeakyConfig(AppConfig):
    name = "leaky"

    def ready(self):
        import os
        if os.environ.get("LEAKY"):
            post_migrate.connect(make_user, sender=self)
"""
TESTS = """
from django.contrib.auth.models import User
from django.test import TransactionTestCase


class LeakTest(TransactionTestCase):
    def test_a_user_with_a_key_of_productions_stays_pending(self):
        User.objects.all().delete()
        user = User.objects.create_user("leak-from-tests", pk=1)
        self.assertEqual(user.userpods.get().state, "pending")
        user.delete()
"""


class Project:
    """A host project as its developers have it: settings, a database, tests, a kubeconfig."""

    def __init__(self, folder: Path, kubeconfig: Path, namespace: str) -> None:
        self.folder = folder
        (folder / "leaky").mkdir(parents=True)
        (folder / "leaky" / "__init__.py").touch()
        (folder / "leaky" / "apps.py").write_text(LEAKY)
        (folder / "settings.py").write_text(SETTINGS.format(namespace=namespace))
        (folder / "pytest.ini").write_text("[pytest]\npython_files = tests.py\n")
        self.env = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "src")]),
        }
        self.run("-m", "django", "migrate", "--verbosity=0")

    def run(self, *words: str, status: int = 0, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def users(self, *names: str) -> None:
        """Make users that no signal tells of."""
        code = (
            "import django; django.setup(); from django.contrib.auth.models import User;"
            f"User.objects.bulk_create([User(username=name) for name in {names!r}])"
        )
        self.run("-c", code)

    def sync(self, *options: str, status: int = 0) -> str:
        return self.run("-m", "django", "sync_userpods", *options, status=status)


def everything(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Return all objects that a person may have, by UID, as they are."""
    kinds = "deploy,rs,svc,cm,secret,pvc,sa"
    return {
        item["metadata"]["uid"]: {**item, "status": None}
        for item in cluster.get(kinds, "-n", namespace)["items"]
    }


def ours(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Return the UIDs of the Deployments and Services by kind and name."""
    found = cluster.get("deploy,svc", "-n", namespace)["items"]
    return {f"{i['kind']}/{i['metadata']['name']}": i["metadata"]["uid"] for i in found}


@pytest.fixture
def watched(cluster: Cluster) -> Iterator[FaultProxy]:
    """The way to the API server that the projects' kubeconfig names; it notes every request."""
    with FaultProxy(cluster.kubeconfig) as proxy:
        yield proxy


@pytest.fixture
def production(watched: FaultProxy, tmp_path: Path, namespace: str) -> Project:
    """A site with three users and their pods."""
    project = Project(tmp_path / "production", watched.kubeconfig, namespace)
    project.users("alice", "bob", "carol")
    # Until controllers have nothing left to write either.
    said = project.sync("--wait", "60")
    assert f"(context test), namespace {namespace}" in said.splitlines()[0]
    return project


@pytest.mark.parametrize("leaky", ["", "yes"])
@pytest.mark.parametrize(
    "runner", [("-m", "django", "test"), ("-m", "pytest", "-q", "-p", "no:cacheprovider")]
)
@pytest.mark.parametrize("tests", [TESTS, ""], ids=["a test", "no tests"])
def test_a_projects_own_tests_send_nothing_to_its_cluster(
    production: Project,
    watched: FaultProxy,
    cluster: Cluster,
    namespace: str,
    runner: tuple[str, ...],
    tests: str,
    leaky: str,
) -> None:
    before = everything(cluster, namespace)
    assert len(ours(cluster, namespace)) == 6
    watched.forget()
    (production.folder / "tests.py").write_text(tests or "# none\n")
    # pytest says so where there are no tests.
    none = 5 if "pytest" in runner else 0
    production.run(*runner, status=0 if tests else none, LEAKY=leaky)
    assert watched.calls == []
    assert everything(cluster, namespace) == before
    assert "Nothing to do" in production.sync()


def test_a_second_checkout_with_an_empty_database_deletes_nothing(
    production: Project, watched: FaultProxy, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    before = ours(cluster, namespace)
    second = Project(tmp_path / "second", watched.kubeconfig, namespace)
    for options in (("--dry-run",), (), ("--allow-mass-delete",)):
        assert "Nothing to do" in second.sync(*options)
    # Nor does a user of the same name and key: the name is taken, and that is said.
    second.users("alice")
    assert "user-alice" in second.sync(status=1)
    assert ours(cluster, namespace) == before
    assert "Nothing to do" in production.sync()


def test_a_wrong_database_with_the_same_keys_deletes_nothing(
    production: Project, watched: FaultProxy, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    before = ours(cluster, namespace)
    wrong = Project(tmp_path / "wrong", watched.kubeconfig, namespace)
    wrong.users("xenia", "yves", "zoe")
    wrong.sync("--allow-mass-delete")
    both = ours(cluster, namespace)
    assert both.items() >= before.items()
    assert sorted(both) == sorted(
        pair("user-alice", "user-bob", "user-carol", "user-xenia", "user-yves", "user-zoe")
    )
    # And none of production's business either: its own go, the others stay.
    assert "Nothing to do" in production.sync()
    code = "import django; django.setup(); from django.contrib.auth.models import User as U;"
    wrong.run("-c", code + "U.objects.all().delete()")
    wrong.sync("--allow-mass-delete")
    assert ours(cluster, namespace) == before
    assert objects(cluster, namespace) == pair("user-alice", "user-bob", "user-carol")
