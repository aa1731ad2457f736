"""Files stay within a reader's reach."""

from __future__ import annotations

from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "manifests", "tests", "example_project", "benchmarks", "tools")
WRITTEN = {".py", ".lua", ".go", ".html", ".js", ".css", ".conf"}
MOST_LINES = 400


def test_no_file_has_more_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(TOP)): len(path.read_text().splitlines())
        for folder in FOLDERS
        for path in (TOP / folder).rglob("*")
        if path.suffix in WRITTEN and "migrations" not in path.parts and path.is_file()
    }
    assert len(lengths) > 300
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
