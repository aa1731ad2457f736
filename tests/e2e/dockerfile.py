"""Reads the shipped Dockerfiles, which are what says what is in an image.

Only the instructions and forms that they use; anything else is an error here, so that a change
there cannot go unnoticed.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_IGNORED = {"EXPOSE"}


@dataclass
class Stage:
    """One ``FROM`` and what follows it."""

    base: str
    name: str
    env: dict[str, str] = field(default_factory=dict)
    #: ``COPY``: source in the build context (or in another stage) to place in the image.
    copies: list[tuple[str, str]] = field(default_factory=list)
    #: ``COPY --from=stage source place``.
    copies_from: list[tuple[str, str, str]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    stop_signal: str = ""

    def apt_packages(self) -> list[str]:
        """The packages that its ``RUN apt-get install`` names."""
        words = [word for run in self.runs for word in _words_after(run, "apt-get install")]
        return [word for word in words if not word.startswith("-")]

    def pip_requirements(self) -> list[str]:
        """What its ``RUN pip install`` names, options and files included."""
        return [word for run in self.runs for word in _words_after(run, "pip install")]


def read(path: Path) -> dict[str, Stage]:
    """The stages of the Dockerfile at *path* by name; one without a name is called ``""``."""
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    stage: Stage | None = None
    for instruction, rest in _instructions(path.read_text()):
        if instruction == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif instruction == "FROM":
            for name, value in arguments.items():
                rest = rest.replace(f"${{{name}}}", value)
            base, *alias = rest.split()
            stage = Stage(base, alias[1] if alias else "")
            stages[stage.name] = stage
        elif instruction not in _IGNORED:
            assert stage, f"{path}: {instruction} before FROM"
            _put(stage, instruction, rest)
    return stages


def _put(stage: Stage, instruction: str, rest: str) -> None:
    match instruction:
        case "ENV":
            stage.env |= dict(word.split("=", 1) for word in shlex.split(rest))
        case "COPY" if rest.startswith("--from="):
            source, *places = rest.removeprefix("--from=").split()
            stage.copies_from.append((source, *_pair(places)))
        case "COPY":
            stage.copies.append(_pair(rest.split()))
        case "RUN":
            stage.runs.append(rest)
        case "WORKDIR":
            stage.workdir = rest
        case "USER":
            stage.user = rest
        case "STOPSIGNAL":
            stage.stop_signal = rest
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.cmd = json.loads(rest)
        case _:
            raise AssertionError(f"no idea what to do with {instruction} in a Dockerfile")


def _pair(words: list[str]) -> tuple[str, str]:
    source, place = words
    return source, place


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, rest in pairs]


def _words_after(run: str, command: str) -> list[str]:
    for part in run.split("&&"):
        _, found, words = part.partition(command)
        if found:
            return [word for word in shlex.split(words) if not word.startswith("--")]
    return []
