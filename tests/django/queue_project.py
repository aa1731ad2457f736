"""A small project with a task queue, as a script of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
#: A project as its processes start: settings, an empty database, a cluster in memory.
START = """
import sys
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django_userpods", *{apps!r}
    ],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r}}}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    USERPODS_IMAGE="example.org/app:1",
    USERPODS_CLUSTER={{"BACKEND": "django_userpods.testing.MemoryCluster"}},
    USERPODS_QUEUE={queue!r},
    {more}
)
{before}
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from django_userpods.models import UserPod
from django_userpods.testing import MemoryCluster


def made():
    return sorted(ref.name for ref in MemoryCluster().objects if ref.kind.kind == "Deployment")

"""


def run(
    folder: Path,
    code: str,
    *,
    queue: str | None = None,
    apps: tuple[str, ...] = (),
    more: str = "",
    before: str = "",
    python: Path | None = None,
) -> None:
    """Run a script of the project, whose assertions are the test's.

    ``more`` are settings, ``before`` is code that runs before Django is set up. ``python`` is one
    that has the package; without it, it is this one and the source.
    """
    start = START.format(
        database=str(folder / "db.sqlite3"), queue=queue, apps=apps, more=more, before=before
    )
    done = subprocess.run(
        [python or sys.executable, "-c", start + textwrap.dedent(code)],
        cwd=folder,
        env={"PYTHONPATH": "" if python else str(SOURCE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
