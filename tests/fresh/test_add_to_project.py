"""The README's "Add it to a project", word for word, in a new project on a bare machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fresh import readme
from tests.fresh.machine import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fresh.machine import Machine

pytestmark = pytest.mark.fresh
TITLE = "Add it to a project"
PROJECT = "/root/mysite"
ENV = {"PATH": "/root/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
# Beyond the README: a cluster that needs nothing but this machine.
LOCAL = """
USERPODS_CLUSTER = {
    "BACKEND": "django_userpods.clusters.local.LocalCluster",
    "OPTIONS": {
        "state_dir": "/root/pods",
        "command": ["python3", "-m", "http.server", "--bind", "127.0.0.1", "$(PORT)"],
    },
}
"""
NEW_USER = """python manage.py shell -c "
from django.contrib.auth import get_user_model
get_user_model().objects.create_user('alice')
" """


def done(machine: Machine, script: str, *, folder: str = PROJECT) -> str:
    """Run a script that has to succeed; what it said."""
    told = machine.run(script, folder=folder, env=ENV)
    assert told.returncode == 0, f"{script}\n{told.stdout}"
    assert "Traceback" not in told.stdout
    return told.stdout


def command(beginning: str) -> str:
    """The one command of the README that begins so and has nothing but a comment after it."""
    lines = [line.partition("  #")[0].rstrip() for line in readme.commands(TITLE)]
    (found,) = (line for line in lines if line == beginning)
    return found


def add(path: Path, snippet: str) -> None:
    path.write_text(readme.added_to(path.read_text(), readme.snippets(TITLE)[snippet]))


@pytest.fixture(scope="module")
def project(machine: Machine) -> Machine:
    """A new project as `startproject` makes it, with the README's additions and the built wheel."""
    root = machine.root
    assert CHECKOUT == "/root/django-userpods"
    install = command("pip install './django-userpods[kubernetes]'")
    done(
        machine,
        f"""
        python3 -m venv /root/venv
        pip install 'python-dateutil<3'
        pip freeze >before
        {install}
        pip check
        pip freeze | grep --fixed-strings --file before
        django-admin startproject mysite
        cd mysite
        python manage.py startapp people
        """,
        folder="/root",
    )
    site = root / PROJECT.lstrip("/")
    settings = site / "mysite/settings.py"
    add(settings, "settings.py")
    settings.write_text(settings.read_text() + 'INSTALLED_APPS += ["people"]\n')
    add(site / "mysite/urls.py", "urls.py")
    add(site / "people/admin.py", "admin.py")
    return machine


def test_the_readmes_steps_work_in_a_new_project(project: Machine) -> None:
    assert "Applying userpods." in done(project, command("python manage.py migrate"))
    assert "0 silenced" in done(project, command("python manage.py check"))
    assert "No changes detected" in done(project, "python manage.py makemigrations --check")
    done(project, command("python manage.py userpods_manifests --output deploy/"))
    assert "root/mysite/deploy/rbac/kustomization.yaml" in project.files(f"{PROJECT}/deploy")


def test_without_a_cluster_users_are_saved_and_a_sync_says_why_it_cannot(project: Machine) -> None:
    done(project, NEW_USER)
    told = project.run(command("python manage.py sync_userpods --dry-run"), folder=PROJECT, env=ENV)
    assert told.returncode != 0
    assert "kubeconfig" in told.stdout
    assert "Traceback" not in told.stdout


def test_with_a_cluster_a_sync_says_what_it_would_do_and_does_it(project: Machine) -> None:
    settings = project.root / PROJECT.lstrip("/") / "mysite/settings.py"
    settings.write_text(settings.read_text() + LOCAL)
    try:
        would = done(project, command("python manage.py sync_userpods --dry-run"))
        assert "Would create" in would
        assert "alice" in would
        assert "Created" in done(project, command("python manage.py sync_userpods"))
        assert "alice" not in done(project, command("python manage.py sync_userpods --dry-run"))
    finally:
        done(project, "python -m django_userpods.clusters.local stop /root/pods")
    assert project.processes() == []
