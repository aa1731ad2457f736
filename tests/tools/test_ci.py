"""``.ci/run``: everything once, whatever fails, with stand-ins for what it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
#: A program that notes and says how it was called, and fails where it is told to.
NOTES = """#!/bin/bash
echo "$(basename "$0") $*" | tee -a "$NOTES"
[[ -z $FAILS || "$(basename "$0") $*" != *"$FAILS"* ]]
"""
ASIDE = ["make matrix", "make test PREPARE=apps TESTS=apps", "make clients"]
ONCE = ["apt-install", "make tools", "python -m tests.prepare", "make check", *ASIDE]
SIDE = "bare machine, applications, clients, matrix"
AS_ROOT = ["make fresh", "make e2e"]


def run(folder: Path, *, root: bool = True, fails: str = "") -> tuple[int, list[str], str, str]:
    """Run a copy; its exit status, the calls that it made, what it said, and what went wrong."""
    programs = folder / "programs"
    for program in (
        *(programs / name for name in ("make", "pyenv")),
        folder / "tools" / "apt-install",
        folder / ".venv" / "bin" / "python",
    ):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(NOTES)
        program.chmod(0o755)
    (programs / "pyenv").write_text("#!/bin/sh\necho /nowhere\n")
    (programs / "id").write_text(f"#!/bin/sh\necho {0 if root else 1000}\n")
    (programs / "id").chmod(0o755)
    (folder / ".ci").mkdir()
    shutil.copy(TOP / ".ci" / "run", folder / ".ci" / "run")
    notes = folder / "notes"
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(folder / ".ci" / "run")],
        env=os.environ | {"PATH": path, "NOTES": str(notes), "FAILS": fails},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, notes.read_text().splitlines(), done.stdout, done.stderr


def count(calls: list[str], beginning: str) -> int:
    return sum(call.startswith(beginning) for call in calls)


def test_everything_is_run_once(tmp_path: Path) -> None:
    status, calls, said, wrong = run(tmp_path)
    assert status == 0, wrong
    for beginning in (*ONCE, *AS_ROOT):
        assert count(calls, beginning) == 1, (beginning, calls)
    assert len(calls) == len(ONCE) + len(AS_ROOT) + 2
    # What ends a run that passed is what tests say.
    assert said.splitlines()[-1].startswith("make test PREPARE=test")


def test_what_needs_root_is_left_out_without_it_and_that_is_said(tmp_path: Path) -> None:
    status, calls, _, said = run(tmp_path, root=False)
    assert status == 0
    assert not count(calls, "make fresh")
    assert not count(calls, "make e2e")
    assert "NOT RUN: make fresh and make e2e need root" in said


def test_a_failure_is_named_at_the_end_and_hides_no_other_test(tmp_path: Path) -> None:
    for number, (fails, named) in enumerate(
        {
            "make clients": SIDE,
            "make matrix": SIDE,
            "PREPARE=apps": SIDE,
            "PREPARE=router": "make test without a cluster",
            "PREPARE=test": "make test with a cluster",
            "make fresh": SIDE,
            "make e2e": "make e2e",
            "tests.prepare": "builds",
        }.items()
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        status, calls, _, said = run(folder, fails=fails)
        assert status == 1
        assert said.splitlines()[-1] == f"Failed, see above: {named}"
        assert count(calls, "make e2e") == 1


def test_without_the_quick_checks_nothing_slow_is_run(tmp_path: Path) -> None:
    status, calls, _, _ = run(tmp_path, fails="make check")
    assert status != 0
    assert not count(calls, "make test")
