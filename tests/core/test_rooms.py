"""Rooms are all described, and private names stay in theirs (attributes: ruff's SLF001)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import django_userpods

SOURCE = Path(django_userpods.__file__).parent
GUIDE = Path(__file__).parents[2] / "docs" / "development.md"
# What Django or Python wants there, and no room.
NO_ROOM = {"__init__", "__pycache__", "migrations", "py", "static", "templates"}


def private_imports(source: str) -> list[str]:
    """Return the private names and modules of ours that a module imports."""
    return [
        f"{node.module}: {alias.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django_userpods")
        for alias in node.names
        if any(
            part.startswith("_") and not part.endswith("__")
            for part in f"{node.module}.{alias.name}".split(".")
        )
    ]


def test_a_private_import_is_found() -> None:
    assert private_imports("from django_userpods.conf import conf, _clusters") == [
        "django_userpods.conf: _clusters"
    ]
    assert private_imports("from django_userpods._room import door")


def test_no_module_imports_a_private_name() -> None:
    found = {
        str(path.relative_to(SOURCE)): names
        for path in SOURCE.rglob("*.py")
        if (names := private_imports(path.read_text()))
    }
    assert found == {}


def test_the_guide_says_what_every_room_holds() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", GUIDE.read_text(), re.M)
    described = {name.rstrip("/") for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    rooms = {path.name.partition(".")[0] for path in SOURCE.iterdir()} - NO_ROOM
    assert rooms <= described


def test_the_guide_says_what_every_module_of_a_reconcile_does() -> None:
    text = GUIDE.read_text()
    modules = {path.stem for path in (SOURCE / "reconcile").glob("[a-z]*.py")}
    assert {name for name in modules if f"`{name}`" not in text} == set()
