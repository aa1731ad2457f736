"""What the app adds to the start of a project: ``django.setup()``, ``check``, the first save.

    python benchmarks/start.py [--rounds 20]

The same project with and without the app, in turn, in processes of their own, with the admin, the
URLs and a context of a kubeconfig: ``django.setup()`` and ``manage.py check``. CPU time of the
process, the least of all rounds; memory is the most that it had. The first save is that of a new
user in a process which has started so, in a database that was migrated by another.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.common import publish  # noqa: E402 - the path is set above

SETTINGS = """
import os
SECRET_KEY = "x"
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": os.environ["DJANGO_SETTINGS_MODULE"] + ".sqlite3",
}}
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.sessions", "django.contrib.messages",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
ROOT_URLCONF = "urls"
USE_TZ = True
"""
OURS = """
from without import *
INSTALLED_APPS = [*INSTALLED_APPS, "django_userpods"]
USERPODS_IMAGE = "example.org/app:1"
USERPODS_CLUSTER = {
    "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
    "OPTIONS": {"context": "bench", "kubeconfig": "config"},
}
"""
CONTROLLED = """
from ours import *
USERPODS_CONTROLLER = True
"""
URLS = """
from django.apps import apps
from django.contrib import admin
from django.urls import include, path
urlpatterns = [path("admin/", admin.site.urls)]
if apps.is_installed("django_userpods"):
    urlpatterns.append(path("", include("django_userpods.urls")))
"""
#: As kubectl writes it.
KUBECONFIG = """
apiVersion: v1
clusters:
- cluster:
    server: https://127.0.0.1:1
  name: bench
contexts:
- context:
    cluster: bench
    user: bench
  name: bench
current-context: bench
kind: Config
preferences: {}
users:
- name: bench
  user:
    token: x
"""
MIGRATE = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", verbosity=0)
"""
START = """
import io, resource, sys, time
import django
from django.core.management import call_command
django.setup()
call_command("check", stdout=io.StringIO())
start = time.process_time()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
first_save = 0.0
if "save" in sys.argv:
    from django.contrib.auth.models import User
    from django.db import connection
    connection.ensure_connection()
    before = time.process_time()
    User.objects.create(username=str(time.time_ns()))
    first_save = time.process_time() - before
print(start, memory, first_save)
"""
#: What it may cost: milliseconds of CPU time, and MB.
MOST_TIME, MOST_MEMORY = 30.0, 5.0
#: Settings, and whether a user is saved: without a controller that would be a try in the cluster.
VARIANTS = {"without": True, "ours": False, "controlled": True}


class Cost(NamedTuple):
    """What a start, its memory and the first save take: ms, MB, ms."""

    start: float
    memory: float
    first_save: float


def measure(rounds: int) -> dict[str, Cost]:
    """Return the least that each variant takes."""
    least: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory(prefix="userpods-bench-") as name:
        folder = Path(name)
        files = {
            "without.py": SETTINGS,
            "ours.py": OURS,
            "controlled.py": CONTROLLED,
            "urls.py": URLS,
            "config": KUBECONFIG,
        }
        for file, text in files.items():
            (folder / file).write_text(text)
        for settings, saves in VARIANTS.items():
            if saves:
                run(folder, settings, MIGRATE)
        for _ in range(rounds):
            for settings, saves in VARIANTS.items():
                said = run(folder, settings, START, *(["save"] if saves else []))
                start, memory, first_save = map(float, said.split())
                cost = Cost(start * 1e3, memory, first_save * 1e3)
                pairs = zip(cost, least.get(settings, cost), strict=True)
                least[settings] = Cost(*(min(pair) for pair in pairs))
    return least


def run(folder: Path, settings: str, script: str, *arguments: str) -> str:
    """Run a script in a process of its own, and return what it said."""
    # Installed packages are compiled already, and so has the app to be.
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'src'}"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=env | {"DJANGO_SETTINGS_MODULE": settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    least = measure(parser.parse_args().rounds)
    base, ours, controlled = (least[settings] for settings in VARIANTS)
    first, first_base = controlled.first_save, base.first_save
    rows = [
        (
            "CPU time",
            f"{ours.start - base.start:.0f} ms more (than {base.start:.0f} ms)",
            f"at most {MOST_TIME:.0f} ms",
        ),
        (
            "Memory",
            f"{ours.memory - base.memory:.1f} MB more (than {base.memory:.0f} MB)",
            f"at most {MOST_MEMORY:.0f} MB",
        ),
        (
            "CPU time, with `USERPODS_CONTROLLER`",
            f"{controlled.start - base.start:.0f} ms more (than {base.start:.0f} ms)",
            f"at most {MOST_TIME:.0f} ms",
        ),
        (
            "CPU time of the first save, with `USERPODS_CONTROLLER`",
            f"{first - first_base:.1f} ms more (than {first_base:.1f} ms)",
            f"at most {MOST_TIME:.0f} ms",
        ),
    ]
    notes = (__doc__ or "").split("\n\n", 2)[2]
    publish("start", "What the start of a project costs", rows, notes)


if __name__ == "__main__":
    main()
