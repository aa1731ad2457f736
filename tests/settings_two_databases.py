"""Nothing in ``default``, all tables elsewhere, and reads from a replica that lags behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.settings import *  # noqa: F403 - settings

_FOLDER = Path(os.environ.get("TWO_DATABASES", "."))
DATABASES = {
    "default": {},
    "main": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(_FOLDER / "main")},
    "replica": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(_FOLDER / "replica")},
}
DATABASE_ROUTERS = ["tests.settings_two_databases.Router"]


class Router:
    """Reads go to the replica, writes to the main database."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "main"

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True
