"""The examples for a host project's tests run as they are written, in a project of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from django_userpods.testing import memory

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "testing.md").read_text()

SETTINGS = """
SECRET_KEY = "x"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_userpods"]
USE_TZ = True
USERPODS_IMAGE = "example.org/app:1"
# As in production: the fixture has to change what matters.
USERPODS_INLINE_TIMEOUT = 0
USERPODS_ROUTERS = ["http://routers.invalid:8081"]
USERPODS_CLUSTER = {
    "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
    "OPTIONS": {"context": "prod"},
}
"""


def example(name: str) -> str:
    """Return the code block of the guide that begins with the name of its file."""
    (found,) = re.findall(rf"```python\n# {name}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


def from_the_docstring() -> str:
    """Return the literal block of the memory cluster's docstring."""
    block = str(memory.__doc__).partition("::\n\n")[2]
    code = re.match(r"(?:    [^\n]*\n|\n)+", block)
    assert code
    return textwrap.dedent(code[0])


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project, which knows nothing of this checkout's own tests."""
    # Where the package is a checkout without being installed, as for this very test session.
    paths = [str(folder), *(path for path in sys.path if path.endswith("/src"))]
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join(paths),
        "KUBECONFIG": str(folder / "no-kubeconfig"),
    }
    return subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    return tmp_path


@pytest.mark.parametrize("source", ["guide", "docstring"])
def test_the_examples_for_pytest_run_as_written(project: Path, source: str) -> None:
    text = example("test_pods.py") if source == "guide" else from_the_docstring()
    (project / "test_pods.py").write_text(text)
    done = run(project, "-m", "pytest", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{text.count('def test_')} passed" in done.stdout


def test_the_example_for_djangos_runner_runs_as_written(project: Path) -> None:
    (project / "tests.py").write_text(example("tests.py"))
    done = run(project, "-m", "django", "test")
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


def test_pytest_without_django_is_not_disturbed(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        "import sys\n\n\ndef test_plain():\n    assert 'django' not in sys.modules\n"
    )
    # As in an environment that has neither pytest-django nor settings.
    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    fixtures = run(tmp_path, "-m", "pytest", "--fixtures", "-p", "no:django")
    assert "userpods_cluster" in fixtures.stdout
