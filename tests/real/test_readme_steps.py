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
TOP = Path(__file__).parents[2]
NAMESPACES = ("userpods-users", "userpods")
NEW_USER = """python manage.py shell -c "
from django.contrib.auth.models import User; User.objects.create(username='alice')
" """


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment, in which the README's ``pip install`` was run."""
    folder = tmp_path_factory.mktemp("environment")
    (folder / "django-userpods").symlink_to(TOP)
    found = folder / "venv/bin/python"
    (line,) = (line for line in readme.commands(TITLE) if line.startswith("pip "))
    for program, words in ((sys.executable, "venv venv"), (str(found), line)):
        command = [program, "-m", *shlex.split(words)]
        subprocess.run(command, cwd=folder, env=clean(), check=True, timeout=400)
    return found


def clean() -> dict[str, str]:
    """This environment without what leads to the checkout's own packages and settings."""
    ours = ("PYTHON", "DJANGO_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}


@pytest.fixture
def no_namespaces(cluster: Cluster) -> Iterator[ControlPlane]:
    if not isinstance(cluster, ControlPlane):
        pytest.skip(f"NOT RUN: a cluster of somebody's may have the namespaces {NAMESPACES}")
    yield cluster
    cluster.kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found", "--wait=true")


@pytest.fixture
def shell(no_namespaces: ControlPlane, python: Path, tmp_path: Path) -> Callable[..., str]:
    """A shell in a new project to which the README's snippets were added."""
    cluster = no_namespaces
    env = {
        **clean(),
        "PATH": os.pathsep.join([str(python.parent), str(cluster.bin_dir), os.environ["PATH"]]),
        "KUBECONFIG": str(cluster.kubeconfig),
    }
    folder = tmp_path / "mysite"

    def run(line: str, *, status: int = 0) -> str:
        done = subprocess.run(
            [python if word == "python" else word for word in shlex.split(line)],
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

    where = run("python -c 'import django_userpods; print(django_userpods.__file__)'")
    assert where.startswith(str(python.parents[1])), "not the wheel, but the checkout"
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
            continue  # done, in the fixture ``python``
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
