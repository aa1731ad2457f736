"""What starting a project costs, and the project with a user model of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The test modules that hold whatever the user model is.
FOR_ANY_USER_MODEL = (
    "test_receivers.py",
    "test_whoami.py",
    "test_access_cache.py",
)


def run(*words: str, settings: str = "tests.settings") -> subprocess.CompletedProcess[str]:
    # Whatever the outer run wants to hear of pytest or coverage is its own business.
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_kubernetes_is_not_imported_before_a_cluster_is_spoken_to() -> None:
    code = """
import sys
import django
import tests.settings as s
s.USERPODS_CLUSTER = {"BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster"}
s.USERPODS_INLINE_TIMEOUT = 0
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("check")
call_command("migrate", verbosity=0)
from tests.factories import UserFactory
client = Client()
client.force_login(UserFactory(username="alice"))
response = client.get("/whoami")
assert response.status_code == 200, response
assert response["X-Target-Service"] == "user-alice"
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("kubernetes", "pydantic")))
"""
    done = run("-c", code)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stderr


def test_a_start_loads_nothing_that_only_work_on_pods_needs(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text("contexts:\n- context:\n    cluster: one\n  name: kind-dev\n")
    code = f"""
import sys
import django
import tests.settings as s
s.USERPODS_CLUSTER = {{
    "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
    "OPTIONS": {{"context": "kind-dev", "kubeconfig": {str(kubeconfig)!r}}},
}}
django.setup()
from django.core.management import call_command
call_command("check", fail_level="WARNING")
late = {{"kubernetes", "urllib3", "requests", "msgspec", "yaml", "importlib.metadata"}}
for name in ("lifecycle", "tasks", "reconcile.run", "reconcile.rows", "core.kinds", "core.shape"):
    late.add("django_userpods." + name)
for name in ("home", "waiting", "enter", "own_access", "api.calling", "api.document"):
    late.add("django_userpods.pages." + name)
for name in ("access.adapters", "clusters.kubernetes.credentials", "core.plan", "admin.bulk"):
    late.add("django_userpods." + name)
print(sorted(late & sys.modules.keys()))
"""
    done = run("-c", code)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stderr


def test_a_project_without_an_admin_has_everything_else() -> None:
    code = """
from django.conf import settings
import tests.settings as s
found = {name: value for name, value in vars(s).items() if name.isupper()}
def without(words, name):
    return [word for word in found[name] if not any(gone in word for gone in words)]
found["INSTALLED_APPS"] = without(["admin", "messages"], "INSTALLED_APPS")
found["MIDDLEWARE"] = without(["Message"], "MIDDLEWARE")
found["TEMPLATES"] = [{"BACKEND": found["TEMPLATES"][0]["BACKEND"], "APP_DIRS": True}]
class Urls:
    urlpatterns = []
found["ROOT_URLCONF"] = Urls
found["LOGIN_URL"] = "/userpods/"
settings.configure(**found)
import django
django.setup()
from django.urls import include, path
Urls.urlpatterns += [path("", include("django_userpods.urls"))]
from django.core.management import call_command
call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from django.test import Client
client = Client(headers={"accept": "text/html"})
client.force_login(User.objects.create_user("alice", is_staff=True))
for page in ("whoami", "userpods/", "userpods/waiting/", "userpods/status/", "userpods/api/pods/"):
    print(page, client.get(f"/{page}").status_code)
call_command("sync_userpods")
"""
    done = run("-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:6] == [
        "whoami 200",
        "userpods/ 200",
        "userpods/waiting/ 503",
        "userpods/status/ 200",
        "userpods/api/pods/ 200",
    ]


@pytest.mark.parametrize("module", FOR_ANY_USER_MODEL)
def test_everything_holds_with_a_user_model_of_ones_own(
    pytestconfig: pytest.Config, module: str
) -> None:
    options = ["--ds=tests.settings_custom_user", "-q", "-p", "no:cacheprovider"]
    # Against a built wheel if the outer run is.
    options += ["-o", "pythonpath=" + " ".join(map(str, pytestconfig.getini("pythonpath")))]
    done = run(
        "-m", "pytest", *options, f"tests/django/{module}", settings="tests.settings_custom_user"
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
