"""The pictures in the documentation: few, small, shown, and made by ``make screenshots``."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.screens import IN_DOCS, SCREENS
from tests.browser.screenshots import file_name

TOP = Path(__file__).resolve().parents[2]
PICTURES = TOP / "docs" / "pictures"


def test_the_pictures_are_those_that_the_command_makes() -> None:
    assert {path.name for path in PICTURES.iterdir()} == {file_name(*one) for one in IN_DOCS}
    names = [screen.name for screen in SCREENS]
    assert len(names) == len(set(names)) > 20
    assert {name for name, *_ in IN_DOCS} <= {*names, "router"}


def test_each_is_shown_and_none_is_missing() -> None:
    pages = [*TOP.glob("README*.md"), *(TOP / "docs").rglob("*.md")]
    shown = {
        (page.parent / target).resolve()
        for page in pages
        for target in re.findall(
            r"!\[[^\]]+\]\(((?:docs/|(?:\.\./)+)?pictures/[^)]+)\)", page.read_text()
        )
    }
    assert shown == set(PICTURES.iterdir())


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 1_000_000
