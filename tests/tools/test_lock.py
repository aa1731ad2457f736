"""``requirements-dev.txt`` names a version of everything that ``pyproject.toml`` asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).resolve().parents[2]
LOCK = (TOP / "requirements-dev.txt").read_text()
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
LATE = "run: make lock"


def wanted() -> list[Requirement]:
    """What the project and its group ``dev`` ask for, groups in groups included."""
    texts = [*PROJECT["project"]["dependencies"], *in_group("dev")]
    return [Requirement(text) for text in texts]


def in_group(name: str) -> list[str]:
    entries: list[Any] = PROJECT["dependency-groups"][name]
    texts: list[str] = []
    for entry in entries:
        texts += in_group(entry["include-group"]) if isinstance(entry, dict) else [entry]
    return texts


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_every_python_gets_a_version_that_the_project_asks_for(python: str) -> None:
    place = {"python_version": python, "python_full_version": f"{python}.1"}
    lines = [line for line in LOCK.splitlines() if re.match(r"\w", line)]
    locked = [Requirement(line) for line in lines]
    applying = [one for one in locked if one.marker is None or one.marker.evaluate(place)]
    versions = {canonicalize_name(one.name): str(one.specifier) for one in applying}
    assert len(versions) == len(applying), "one version of each"
    for requirement in wanted():
        if requirement.marker is not None and not requirement.marker.evaluate(place):
            continue  # not asked for on this Python
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{LATE} ({name} is not in it)"
        version = versions[name].removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), f"{LATE} ({name})"


def test_it_says_what_to_install_and_not_where_from() -> None:
    for line in LOCK.splitlines():
        text = line.partition("#")[0].strip()
        assert not text or re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( ; |$)", text), line
        assert "://" not in line
