"""The README's "Add it to a project", in its order, on a real API server without a namespace."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fresh import readme
from tests.real.project import objects, pair
from tests.testcluster.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

TITLE = "Add it to a project"
SOURCE = Path(__file__).parents[2] / "src"
NAMESPACES = ("userpods-users", "userpods")
NEW_USER = """python manage.py shell -c "
from django.contrib.auth.models import User; User.objects.create(username='alice')
" """


@pytest.fixture
def no_namespaces(cluster: Cluster) -> Iterator[ControlPlane]:
    if not isinstance(cluster, ControlPlane):
        pytest.skip(f"NOT RUN: a cluster of somebody's may have the namespaces {NAMESPACES}")
    yield cluster
    cluster.kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found", "--wait=true")


@pytest.fixture
def shell(no_namespaces: ControlPlane, tmp_path: Path) -> Callable[..., str]:
    """A shell in a new project to which the README's snippets were added."""
    cluster = no_namespaces
    env = {
        **os.environ,
        "PATH": f"{cluster.bin_dir}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(SOURCE),
        "KUBECONFIG": str(cluster.kubeconfig),
    }
    env.pop("DJANGO_SETTINGS_MODULE", None)
    folder = tmp_path / "mysite"

    def run(line: str, *, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable if word == "python" else word for word in shlex.split(line)],
            cwd=folder if folder.exists() else tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{line}\n{said}"
        assert "Traceback" not in said
        return said

    run("python -m django startproject mysite")
    run("python manage.py startapp people")
    snippets = readme.snippets(TITLE)
    for path, name in (("mysite", "settings.py"), ("mysite", "urls.py"), ("people", "admin.py")):
        file = folder / path / name
        file.write_text(readme.added_to(file.read_text(), snippets[name]))
    settings = folder / "mysite/settings.py"
    # The name of the test cluster's context.
    settings.write_text(
        settings.read_text().replace('"kind-dev"', '"test"') + 'INSTALLED_APPS += ["people"]\n'
    )
    return run


def test_the_commands_work_in_the_readmes_order(
    shell: Callable[..., str], cluster: Cluster
) -> None:
    for line in readme.commands(TITLE):
        text = line.partition("  #")[0].rstrip()
        if text.startswith("pip "):
            continue  # "make fresh" installs the wheel
        said = shell(text)
        if text.endswith("check"):
            assert "no issues" in said
        if text.endswith("migrate"):
            shell(NEW_USER)
        if text.endswith("--dry-run"):
            assert "Would create Deployment userpods-users/user-alice" in said
    assert objects(cluster, "userpods-users") == pair("user-alice")
    assert cluster.get("role", "userpods-django", "-n", "userpods-users")


def test_without_the_namespace_each_says_what_to_do(shell: Callable[..., str]) -> None:
    shell("python manage.py migrate")
    shell(NEW_USER)
    for options in ("--dry-run", ""):
        said = shell(f"python manage.py sync_userpods {options}", status=1)
        assert 'namespaces "userpods-users" not found' in said
        assert "kubectl create namespace" in said
    said = shell("python manage.py userpods_manifests --output deploy/")
    assert "userpods-users: kubectl apply -k deploy/isolation makes it" in said
    assert "`kubectl create namespace userpods`" in said
