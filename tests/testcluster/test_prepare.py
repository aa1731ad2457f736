"""``python -m tests.prepare``: nothing is first built while a test waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import prepare

TOP = Path(__file__).resolve().parents[2]


def test_every_program_of_the_test_cluster_is_built_beforehand() -> None:
    modules = {path.parent.name for path in Path(__file__).parent.glob("*/go.mod")}
    named = [program for programs in prepare.PROGRAMS.values() for program in programs]
    assert sorted(named) == sorted(modules)


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.prepare", *words]
    return subprocess.run(
        command, cwd=TOP, env=os.environ | env, capture_output=True, text=True, check=False
    )


def test_a_build_that_fails_is_said_and_ends_with_an_error(tmp_path: Path) -> None:
    done = run("test", PATH=str(tmp_path), USERPODS_TEST_CACHE=str(tmp_path))
    assert done.returncode == 1
    assert "test: Go is needed to build the test cluster" in done.stderr
    assert "Traceback" not in done.stderr


def test_tests_that_are_not_there_are_refused() -> None:
    done = run("nothing")
    assert done.returncode == 2
    assert "name some of: router, apps, test, fresh, e2e (given: nothing)" in done.stdout
