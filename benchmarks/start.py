"""What the app adds to the start of a project: ``django.setup()`` and ``manage.py check``.

    python benchmarks/start.py [--rounds 20]

The same project with and without the app, in turn, in processes of their own, with the admin, the
URLs and a context of a kubeconfig. CPU time of the process, the least of all rounds; memory is the
most that it had.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.common import publish  # noqa: E402 - the path is set above

SETTINGS = """
SECRET_KEY = "x"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
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
START = """
import io, resource, time
import django
from django.core.management import call_command
django.setup()
call_command("check", stdout=io.StringIO())
print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
#: What it may cost: milliseconds of CPU time, and MB.
MOST_TIME, MOST_MEMORY = 30.0, 5.0


def measure(rounds: int) -> tuple[float, float, float, float]:
    """Return what the app adds, and what the project takes without: ms, MB, ms, MB."""
    least: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="userpods-bench-") as name:
        folder = Path(name)
        files = {"without.py": SETTINGS, "ours.py": OURS, "urls.py": URLS, "config": KUBECONFIG}
        for file, text in files.items():
            (folder / file).write_text(text)
        # Installed packages are compiled already, and so has the app to be.
        env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'src'}"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(rounds):
            for settings in ("without", "ours"):
                done = subprocess.run(
                    [sys.executable, "-c", START],
                    cwd=folder,
                    env=env | {"DJANGO_SETTINGS_MODULE": settings},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                seconds, memory = map(float, done.stdout.split())
                before = least.get(settings, (seconds, memory))
                least[settings] = (min(before[0], seconds), min(before[1], memory))
    (base, base_memory), (ours, our_memory) = least["without"], least["ours"]
    return (ours - base) * 1e3, our_memory - base_memory, base * 1e3, base_memory


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    time, memory, base, base_memory = measure(parser.parse_args().rounds)
    rows = [
        ("CPU time", f"{time:.0f} ms more (than {base:.0f} ms)", f"at most {MOST_TIME:.0f} ms"),
        (
            "Memory",
            f"{memory:.1f} MB more (than {base_memory:.0f} MB)",
            f"at most {MOST_MEMORY:.0f} MB",
        ),
    ]
    notes = (__doc__ or "").split("\n\n", 2)[2]
    publish("start", "What the start of a project costs", rows, notes)


if __name__ == "__main__":
    main()
