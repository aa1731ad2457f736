"""``make screenshots`` makes its pictures: a few of them, by the same code, in real Chromium."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.screenshots import THEMES, WIDTHS, file_name

pytestmark = pytest.mark.browser

TOP = Path(__file__).parents[2]
#: One of each kind: with a form that is sent, a header, settings of its own, in the admin.
SOME = ("home-wrong-name", "pod-used-link", "admin-resume", "admin-token-issued")


def test_the_command_makes_pictures_that_differ_and_fit(tmp_path: Path) -> None:
    found = subprocess.run(
        [
            *(sys.executable, "-m", "tests.browser.screenshots", "--output", str(tmp_path)),
            *("--language", "en", "--only", *SOME),
        ],
        capture_output=True,
        text=True,
        cwd=TOP,
        timeout=120,
        check=False,
    )

    assert found.returncode == 0, found.stderr
    assert "pixels wide" not in found.stdout
    looks = [(theme, width) for theme in THEMES for width in WIDTHS]
    wanted = {file_name(name, "en", *look) for name in SOME for look in looks}
    assert {path.name for path in tmp_path.iterdir()} == wanted
    pictures = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(pictures) == len(wanted), "each looks different"
    assert all(picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" for picture in pictures)


def test_a_page_that_is_not_there_is_no_picture(tmp_path: Path) -> None:
    script = (
        "from dataclasses import replace\n"
        "from tests.browser import screenshots\n"
        "gone = replace(screenshots.SCREENS[0], name='gone', path='/userpods/gone/')\n"
        "screenshots.SCREENS = (gone,)\n"
        "screenshots.main()\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, "--output", str(tmp_path), "--only", "gone"],
        capture_output=True,
        text=True,
        cwd=TOP,
        timeout=120,
        check=False,
    )

    assert found.returncode != 0
    assert "gone: http" in found.stderr
    assert "answers with 404" in found.stderr
    assert list(tmp_path.iterdir()) == []
