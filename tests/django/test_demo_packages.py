"""What the demo installs on a machine that lacks the router's packages, and whom it asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import demo_machine
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """A machine with apt-get and without nginx; what is called is noted, nothing is run."""
    calls: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(words)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(demo_machine, "found", lambda _: "")
    monkeypatch.setattr(demo_machine, "SYSTEMD", tmp_path / "none")
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_root_installs_it(monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    demo_machine.install_packages()
    assert len(calls) == 1
    assert calls[0][0] == "apt-get"
    assert calls[0][-3:] == ["nginx-light", "libnginx-mod-http-lua", "lua-cjson"]


def test_only_what_is_missing_is_installed(
    monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(demo_machine, "found", lambda shows: "" if "cjson" in shows else shows)
    demo_machine.install_packages()
    assert [words[-1] for words in calls] == ["lua-cjson"]
    assert "nginx-light" not in calls[0]


def test_the_server_that_the_package_starts_is_stopped(
    monkeypatch: pytest.MonkeyPatch, calls: list[list[str]], tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(demo_machine, "SYSTEMD", tmp_path)
    demo_machine.install_packages()
    assert calls[-1] == ["systemctl", "disable", "--now", "nginx"]


def test_others_ask_sudo_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    demo_machine.install_packages()
    assert calls[0][:2] == ["sudo", "apt-get"]


def test_others_are_told_without_one(
    monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(demo_machine.DemoError, match="As root: apt-get install"):
        demo_machine.install_packages()
    assert calls == []


def test_a_machine_without_apt_is_told_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: None)
    with pytest.raises(demo_machine.DemoError, match="the router lacks nginx-light and"):
        demo_machine.install_packages()
