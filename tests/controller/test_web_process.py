"""What a site's web process loads where a controller does the work: nothing that speaks to one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SITE = """
import sys

# Whoever imports these has a cluster to speak to.
for name in ("kubernetes", "urllib3"):
    sys.modules[name] = None

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django_userpods",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    ROOT_URLCONF="django_userpods.urls",
    ALLOWED_HOSTS=["*"],
    USERPODS_IMAGE="example.org/app:1",
    USERPODS_CLUSTER={
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "OPTIONS": {"context": "nowhere"},
    },
    USERPODS_CONTROLLER=True,
)
django.setup()
from django.core.management import call_command

call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from django.test import Client

from django_userpods import lifecycle
from django_userpods.models import UserPod

alice = User.objects.create_user("alice")
lifecycle.stop(UserPod.objects.all())
lifecycle.start(UserPod.objects.all())
pod = UserPod.objects.get()
lifecycle.look(pod)
assert pod.asked_at is not None, pod.message
assert pod.state == "pending", pod.state
browser = Client()
browser.force_login(alice)
answer = browser.get("/whoami")
assert answer.status_code == 200, (answer.status_code, answer.content)
loaded = {name for name in sys.modules if name.startswith("django_userpods.")}
wrong = {"django_userpods.reconcile.run", "django_userpods.controller"} & loaded
assert not wrong, wrong
print("done")
"""


def test_a_site_with_a_controller_speaks_to_no_cluster() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SITE],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("done"), done.stdout + done.stderr
