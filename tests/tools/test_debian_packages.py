"""``tools/debian-packages`` is the one list of packages: whoever names some is held to it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import demo_machine
import pytest

from tests.e2e import dockerfile
from tests.testcluster import apt

TOP = Path(__file__).resolve().parents[2]
INSTALL = TOP / "tools" / "apt-install"


def test_the_routers_image_has_the_routers_packages() -> None:
    stage = dockerfile.read(TOP / "manifests" / "router" / "Dockerfile")[""]
    assert stage.apt_packages() == list(apt.packages("router"))


def test_the_documentation_names_the_routers_packages() -> None:
    text = (TOP / "docs" / "router.md").read_text()
    said = re.search(r"It needs Debian's (.+?), or the image", text, re.DOTALL)
    assert said
    assert re.findall(r"`([^`]+)`", said[1]) == list(apt.packages("router"))


def test_the_demo_installs_the_routers_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_machine, "found", lambda _: "")
    assert demo_machine.missing_packages("router") == list(apt.packages("router"))


def test_a_package_is_missing_until_its_program_or_file_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apt, "LIST", tmp_path / "list")
    (tmp_path / "list").write_text(
        f"# said\na  shell  sh\na  none  no-such\na  lib  {tmp_path}/*/x\n"
    )
    assert apt.missing("a") == ["none", "lib"]
    (tmp_path / "amd64").mkdir()
    (tmp_path / "amd64" / "x").touch()
    assert apt.missing("a") == ["none"]
    assert apt.command("a").endswith(" none")


def test_a_group_that_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(KeyError, match="has no group nothing"):
        apt.packages("nothing")
    done = subprocess.run([INSTALL, "nothing"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no group nothing" in done.stderr


def test_what_cannot_be_installed_is_named(tmp_path: Path) -> None:
    """A machine that has neither the package nor an apt-get."""
    for program in ("dirname", "grep"):
        (tmp_path / program).symlink_to(Path("/usr/bin") / program)
    (tmp_path / "debian-packages").write_text("router  a  no-such\nrouter  b  dirname\n")
    (tmp_path / "apt-install").write_bytes(INSTALL.read_bytes())
    done = subprocess.run(
        ["/bin/bash", tmp_path / "apt-install", "router"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "These programs are needed, by the names of Debian's packages: a"
    ]
