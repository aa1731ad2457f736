"""Building says what is missing, and builds anew only when something changed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.testcluster import build


def fake_go(directory: Path, version: str) -> None:
    """A `go` that claims to be *version*, and leaves a file where `go build` would."""
    script = directory / "go"
    script.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        f"if sys.argv[1] == 'env': print('{version}'); sys.exit()\n"
        "pathlib.Path(sys.argv[sys.argv.index('-o') + 1]).write_text('built')\n"
        "with open(pathlib.Path(__file__).parent / 'builds', 'a') as log: log.write('x')\n"
    )
    script.chmod(0o755)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for `go` alone on PATH, an empty cache, and a module called program."""
    monkeypatch.setenv("USERPODS_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(build, "HERE", tmp_path)
    module = tmp_path / "program"
    module.mkdir()
    (module / "go.mod").write_text("module program\n\ngo 1.26.0\n")
    (module / "main.go").write_text("package main\n")
    return module


def test_without_go_it_says_what_to_install(module: Path) -> None:
    with pytest.raises(build.BuildError, match=r"there is no `go`. Install Go 1\.26 or later"):
        build.binary("program")


def test_an_old_go_is_named(module: Path) -> None:
    fake_go(module.parent / "bin", "go1.19.8")
    with pytest.raises(build.BuildError, match=r"too old .*: go1\.19\.8. Install Go 1\.26"):
        build.binary("program")


def test_it_builds_once_and_again_when_something_changed(
    module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_go(module.parent / "bin", "go1.26.8")
    first = build.binary("program")
    assert first.read_text() == "built"
    assert "building the test cluster's program" in capsys.readouterr().err
    assert build.binary("program") == first
    assert capsys.readouterr().err == ""
    (module / "go.mod").write_text("module program\n\ngo 1.26.0\n\nrequire x v1\n")
    assert build.binary("program") != first
    assert (module.parent / "bin" / "builds").read_text() == "xx"


def test_the_version_given_to_the_linker_is_the_one_in_go_mod() -> None:
    text = (Path(build.__file__).parent / "kubernetes" / "go.mod").read_text()
    found = re.search(r"k8s\.io/kubernetes v(\S+)", text)
    assert found
    assert found[1] == build.KUBERNETES
