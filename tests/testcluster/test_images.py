"""Images and layers are kept between runs, but not for ever."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.testcluster import images

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DAY = 24 * 3600


def test_what_nobody_read_for_a_month_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERPODS_TEST_CACHE", str(tmp_path))
    (tmp_path / "images").mkdir()
    now = time.time()
    for name, read, written in (("unread", 31, 40), ("read", 29, 40), ("new", 0, 0)):
        path = tmp_path / "images" / name
        path.write_text("")
        os.utime(path, (now - read * DAY, now - written * DAY))
    assert sorted(path.name for path in images.directory().iterdir()) == ["new", "read"]
