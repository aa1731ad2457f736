"""What the benchmarks share: a Django project of their own, and a way to write results down."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "benchmarks"


def set_up_django(**settings: Any) -> None:  # noqa: ANN401 - whatever a setting may be
    """Set Django up with the test project's settings, changed, and an empty database in a file."""
    for path in (ROOT, ROOT / "src"):
        sys.path.insert(0, str(path))
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings as django_settings

    database = Path(tempfile.mkdtemp(prefix="userpods-bench-")) / "db.sqlite3"
    options: dict[str, Any] = django_settings.DATABASES["default"]
    options["NAME"] = str(database)
    # As sites on SQLite have it; else the disk is what is measured.
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    options["OPTIONS"] = {"init_command": pragmas}
    for name, value in settings.items():
        setattr(django_settings, name, value)
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def publish(
    name: str,
    title: str,
    rows: list[tuple[str, str, str]],
    notes: str,
    *,
    folder: Path = DOCS,
) -> None:
    """Print a table, and write it to ``docs/benchmarks``, or elsewhere, as Markdown and JSON."""
    lines = [f"# {title}", "", notes.strip(), "", "| | measured | reach |", "|---|---|---|"]
    lines += [f"| {what} | {value} | {reach} |" for what, value, reach in rows]
    lines += ["", f"Python {platform.python_version()}, {os.cpu_count()} cores.", ""]
    text = "\n".join(lines)
    print(text)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text)
    data = [{"what": what, "measured": value, "reach": reach} for what, value, reach in rows]
    (folder / f"{name}.json").write_text(json.dumps(data, indent=2) + "\n")
