"""Whether our pages can be read: every one, in both languages and themes, wide and narrow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import audit
from tests.browser.chromium import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(audit.AXE is None, reason="NOT RUN: axe-selenium-python needs Python 3.12"),
]

#: Each has one fault, and beside it what is none.
FAULTY = {
    "critical label": "<input aria-label=Name><input>",
    "serious color-contrast": "<p>one<p style='color: #999; background: #fff'>two",
    "wider than the window": "<p style='width: 60rem'>one",
    "beyond the edge": "<p style='position: absolute; left: -2rem'>one two three",
    "cut off by main > div": "<div style='width: 2rem; overflow: hidden'>Extraordinary</div>",
    "cut off by its field": "<input aria-label=Name value='All of a long name' size=4>",
    'upon "two"': "<p>one<p style='margin-top: -2rem'>two",
    "hardly seen": (
        "<style>.state { background: #eee; border: 1px solid #333 }</style>"
        "<p class=state>one<p class=state style='border-color: #ccc'>two"
    ),
}
PAGE = (
    "<!doctype html><html lang=en><meta name=viewport content='width=device-width'>"
    "<title>Faulty</title><body style='background: #fff; color: #000'>"
    "<main><h1>Faulty</h1>{}</main>"
)


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[audit.Audit]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        browser.set_script_timeout(60)
        yield audit.Audit(browser)


@pytest.mark.parametrize("fault", FAULTY)
def test_a_page_with_a_fault_is_found(auditor: audit.Audit, tmp_path: Path, fault: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE.format(FAULTY[fault]))
    auditor.browser.get(page.as_uri())
    auditor.findings.clear()
    auditor.look("faulty")
    # In each theme, at a width or at both; and nothing else.
    assert len(auditor.findings) >= 2
    assert all(fault in finding for finding in auditor.findings), auditor.findings


@pytest.mark.timeout(1800)  # a machine that does other things at the same time
def test_all_of_our_pages_can_be_read() -> None:
    """In a process of its own, for it has other settings: ``python -m tests.browser.audit``."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.browser.audit"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
