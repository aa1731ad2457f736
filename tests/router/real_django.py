"""Django itself beside a router: this project under gunicorn, its database a file."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.router.harness import ROOT, Process, Router, eventually, is_open

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Routers remember for long and ask again late: what happens quickly, happens because Django told.
SLOW: dict[str, object] = {"cache_seconds": 60, "recheck_seconds": 60}


@dataclass(frozen=True)
class RealSite:
    """Django and the router in front of it, and a way to change users as an admin would."""

    router: Router
    environment: dict[str, str]

    def command(self, *arguments: str) -> str:
        """Change the site's database by ``site_command``; what that prints."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.router.site_command", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def environment_of(
    folder: Path, *routers: Router, settings: str = "tests.router.site_settings", **more: str
) -> dict[str, str]:
    """The environment of a Django with its data in a folder, which tells these routers."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": settings,
        "SITE_DATABASE": str(folder / "db.sqlite3"),
        "SITE_ROUTER": " ".join(f"http://127.0.0.1:{router.internal}" for router in routers),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        **more,
    }


@contextlib.contextmanager
def serving(
    folder: Path,
    port: int,
    environment: dict[str, str],
    *,
    threads: int = 4,
    is_asgi: bool = False,
) -> Iterator[None]:
    """Run Django on a port; what it writes is in ``gunicorn.log`` in the folder."""
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", f"--threads={threads}"]
    command += ["--worker-tmp-dir", str(folder), "django.core.wsgi:get_wsgi_application()"]
    if is_asgi:
        command = [sys.executable, "-m", "uvicorn", f"--port={port}", "--lifespan=off", "--factory"]
        command += ["django.core.asgi:get_asgi_application"]
    with Process(command, folder / "gunicorn.log", environment):
        eventually(lambda: is_open(port), 30)
        yield
