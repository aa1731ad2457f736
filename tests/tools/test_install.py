"""The wheel goes into environments that have packages and pins of their own, and breaks none."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.django import queue_project

pytestmark = pytest.mark.processes

TOP = Path(__file__).resolve().parents[2]
#: What projects were found to have. The newest client wants pydantic 2.14 and dateutil 3, and
#: graphene wants a dateutil before 3.
PINS = {
    "pins": ["pydantic==2.11.*", "python-dateutil==2.9.*", "graphene==3.*"],
    "a client of its own": ["kubernetes==29.0.0", "urllib3<2.3"],
    # It pins a dateutil of 2.9 itself.
    "Celery": ["celery==5.*"],
    "tasks before Django 6": ["django==5.2.*", "django-tasks-db[compat]"],
    "Django's tasks": ["django>=6", "django-tasks-db"],
}
SITE = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_userpods"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    USERPODS_IMAGE="example.org/app:1",
    USERPODS_CLUSTER={
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "OPTIONS": {"context": "nowhere"},
    },
)
import django
django.setup()
from django.core.management import call_command
call_command("check")
"""
USE = f"""{SITE}
from django_userpods.cluster import get_cluster
get_cluster().prepare()
print("client", sys.modules["kubernetes"].__version__)
"""
WITHOUT = f"""{SITE}
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
user = User.objects.create_user("alice")
print("row", user.userpods.get().state, user.userpods.get().message)
call_command("sync_userpods")
"""


def told(*words: str | Path) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        words, env=clean, capture_output=True, text=True, check=False, timeout=280
    )


def run(*words: str | Path) -> str:
    done = told(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, TOP)
    (found,) = folder.glob("django_userpods-*.whl")
    return found


@pytest.mark.parametrize("pins", PINS.values(), ids=PINS)
def test_an_environments_own_packages_stay_and_fit(
    wheel: Path, tmp_path: Path, pins: list[str]
) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    # Of a thousand modules few are ever imported here.
    install = (*pip, "--quiet", "install", "--no-compile")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("\n".join(pins))
    run(*install, "--requirement", requirements)
    before = set(run(*pip, "freeze").splitlines())
    # The wheel alone, and then as the README has it.
    for wanted in (str(wheel), f"{wheel}[kubernetes]"):
        run(*install, wanted)
        assert before <= set(run(*pip, "freeze").splitlines())
        assert "No broken requirements" in run(*pip, "check")
        if wanted == str(wheel) and not any("kubernetes" in pin for pin in pins):
            without_a_client_it_is_said_what_to_install(python)
    assert "client" in run(python, "-c", USE)
    if "celery" in pins[0]:
        celerys_worker_does_the_work(python, tmp_path)
    if any("django-tasks-db" in pin for pin in pins):
        the_databases_worker_does_the_work(python, tmp_path, compat="compat" in pins[-1])


def without_a_client_it_is_said_what_to_install(python: Path) -> None:
    words = "no Kubernetes client is installed: pip install 'django-userpods[kubernetes]'"
    done = told(python, "-c", WITHOUT)
    check, _, rest = done.stderr.partition("django_userpods.exceptions")
    assert f"(userpods.W018) User pods cannot be made from here: {words}" in check
    # A user is saved as ever, and the row says it.
    assert f"row pending {words}" in done.stdout.splitlines()
    # The last line of what a command says to whoever calls it from code.
    assert rest.splitlines()[-1].endswith(words), done.stderr
    assert "ImportError" not in done.stderr
    assert "ModuleNotFoundError" not in done.stderr


def celerys_worker_does_the_work(python: Path, folder: Path) -> None:
    queue_project.run(
        folder,
        """
        user = User.objects.create_user("alice")
        assert made() == []
        assert user.userpods.get().state == "pending"
        from celery.contrib.testing.worker import start_worker
        with start_worker(app, pool="solo", perform_ping_check=False):
            for _ in range(200):
                if made():
                    break
                time.sleep(0.05)
        assert made() == ["user-alice"], made()
        """,
        queue="django_userpods.queues.celery.enqueue",
        # As a project's celery.py has it.
        before="""
import time
from celery import Celery
app = Celery("site", broker="memory://", set_as_current=True)
app.autodiscover_tasks()
""",
        python=python,
    )


def the_databases_worker_does_the_work(python: Path, folder: Path, *, compat: bool) -> None:
    site_and_worker = partial(
        queue_project.run,
        folder,
        apps=(*(["django_tasks"] if compat else []), "django_tasks_db"),
        more='TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},',
        python=python,
    )
    site_and_worker(
        """
        user = User.objects.create_user("alice")
        assert made() == []
        assert user.userpods.get().state == "pending"
        """
    )
    # It ends when there is nothing left to do.
    site_and_worker(
        """
        call_command("db_worker", batch=True)
        assert made() == ["user-alice"], made()
        """
    )
