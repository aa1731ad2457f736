"""Products from PyPI with the README's lines added, each in an environment of its own.

NEMO (a laboratory's tools and bookings) has a user model of its own, which is not even one of
Django's abstract ones; wafer (conferences) has Django's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fresh import readme
from tests.testcluster import build

ROOT = Path(__file__).parents[2]
#: The one that the README names.
IMAGE = "registry.example/app:1.2"


@dataclass(frozen=True)
class Product:
    """A Django project that is found on PyPI, with its tests in it."""

    name: str
    version: str
    settings: str
    urls: str
    users: str
    #: The module that has its own ``UserAdmin``.
    admin: str
    #: What it has to know of a user beside the name.
    user: dict[str, str]
    #: Those of its tests that are run, and how many that are.
    tests: tuple[str, ...]
    count: int
    #: What its tests need besides.
    for_tests: tuple[str, ...] = ()


NEMO = Product(
    name="NEMO",
    version="8.1.5",
    settings="NEMO.tests.test_settings",
    urls="NEMO.urls",
    users="NEMO.User",
    admin="NEMO.admin",
    user={"first_name": "A", "last_name": "B", "email": "a@example.org"},
    tests=(
        "NEMO.tests.test_admin",
        "NEMO.tests.test_users",
        "NEMO.tests.test_policy",
        "NEMO.tests.test_customization",
        "NEMO.tests.test_deactivate_access_expired_users",
    ),
    count=48,
)
WAFER = Product(
    name="wafer",
    version="0.17.0",
    settings="wafer.settings",
    urls="wafer.urls",
    users="auth.User",
    admin="wafer.users.admin",
    user={"email": "a@example.org"},
    # Without those of wafer.schedule, which want a browser.
    tests=(
        "wafer.compare",
        "wafer.kv",
        "wafer.pages",
        "wafer.registration",
        "wafer.sponsors",
        "wafer.talks",
        "wafer.tests",
        "wafer.tickets",
        "wafer.users",
    ),
    count=194,
    for_tests=("mock==5.2.0",),
)

#: The product as it is: only its databases lie elsewhere, and are kept from one run to the next.
AS_IT_IS = """
from {settings} import *

ALLOWED_HOSTS = ["localhost"]
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "db.sqlite3",
        "TEST": {{"NAME": "test.sqlite3"}},
    }}
}}
# Most of a test's time would be the hashing of passwords.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
MAKE_USER = """
from django.contrib.auth import get_user_model
get_user_model().objects.create(username={name!r}, **{fields!r})
"""
#: What a signed-in user, a stranger and an administrator are shown.
ASK = """
import json
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

found = {}
users = get_user_model().objects
for name in ("", "alice", "bob"):
    client = Client(headers={"host": "localhost"})
    if name:
        client.force_login(users.get(username=name))
    answer = client.get("/whoami")
    found[name] = [answer.status_code, dict(answer.headers)]
    found[f"status {name}"] = client.get(reverse("userpods:status")).content.decode()
users.filter(username="bob").update(is_staff=True, is_superuser=True)
meta = users.model._meta
user_list = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
found["admin"] = client.get(user_list).content.decode()
found["users"] = meta.label
print("FOUND", json.dumps(found))
"""


class Site:
    """A folder with the product's settings, with and without the app, and its environment."""

    def __init__(self, product: Product, python: Path, folder: Path) -> None:
        self.product = product
        self.python = python
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "before.py").write_text(AS_IT_IS.format(settings=product.settings))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("DJANGO_")}
        self.env["PYTHONPATH"] = os.pathsep.join(map(str, [folder, ROOT / "src"]))
        self.settings = "before"

    def add_the_app(self, kubeconfig: Path, namespace: str, *, image: str = "") -> None:
        """Do what the README says, in copies of the files that it names.

        ``image`` is what runs in pods, where that is to be another one than the README's.
        """
        snippets = readme.snippets("Add it to a project")
        # Each has a page of its own where users sign in, and its own class for their admin.
        settings = re.sub(r"^LOGIN_URL.*\n", "", snippets["settings.py"], flags=re.MULTILINE)
        settings = settings.replace('"kind-dev"', '"test"')
        settings = settings.replace('"userpods-users"', f'"{namespace}"')
        settings = settings.replace(IMAGE, image or IMAGE)
        admin = snippets["admin.py"].replace("django.contrib.auth.admin", self.product.admin)
        files = {
            "after.py": readme.added_to(
                'from before import *\n\nROOT_URLCONF = "after_urls"\nINSTALLED_APPS = '
                '[*INSTALLED_APPS, "people"]',
                settings,
            ),
            "after_urls.py": readme.added_to(
                f"from {self.product.urls} import *", snippets["urls.py"]
            ),
            "people/__init__.py": "",
            "people/admin.py": admin,
        }
        for name, text in files.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(text)
        self.env["KUBECONFIG"] = str(kubeconfig)
        self.settings = "after"

    def manage(self, *words: str) -> str:
        """Run a command of Django's; gives what it said."""
        done = subprocess.run(
            [self.python, "-m", "django", *words, "--settings", self.settings],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{words}: {said[-5000:]}"
        return said

    def add_user(self, name: str) -> None:
        self.manage("shell", "-c", MAKE_USER.format(name=name, fields=self.product.user))

    def ask(self) -> dict[str, Any]:
        said = self.manage("shell", "-c", ASK)
        found: dict[str, Any] = json.loads(said.partition("FOUND ")[2].splitlines()[0])
        return found

    def own_tests(self) -> str:
        """Run them on a database of which only what is new has to be migrated."""
        return self.manage("test", "--keepdb", *self.product.tests)


def installed(product: Product) -> tuple[Path, Path]:
    """The Python of an environment, and a migrated database; both made once.

    The product came first, so what the app depends on has to fit its versions.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # As `pip install 'django-userpods[kubernetes]'` does.
    ours = [*project["dependencies"], *project["optional-dependencies"]["kubernetes"]]
    key = hashlib.sha256(repr([ours, product.for_tests, AS_IT_IS, sys.version]).encode())
    name = f"{product.name}-{product.version}-{key.hexdigest()[:8]}"
    target = build.cache_dir() / "suites" / name
    python, database = target / "bin" / "python", target / "migrated.sqlite3"

    def pip(*words: str | Path) -> str:
        command = (python, "-m", "pip", *words)
        done = subprocess.run(command, check=True, timeout=400, stdout=subprocess.PIPE, text=True)
        return done.stdout

    with build.lock(target.with_name(f"{name}.lock")):
        if not database.exists():
            shutil.rmtree(target, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", target], check=True, timeout=120)
            pip("install", "--quiet", f"{product.name}=={product.version}", *product.for_tests)
            requirements = target / "requirements.txt"
            requirements.write_text(pip("freeze"))
            pip("install", "--quiet", *ours, "--requirement", requirements)
            pip("check")
            site = Site(product, python, target / "site")
            site.manage("migrate", "--verbosity=0")
            (site.folder / "db.sqlite3").rename(database)
    return python, database
