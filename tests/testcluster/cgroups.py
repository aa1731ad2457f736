"""The control groups that a node's pods live in, under one name per run."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def is_v2() -> bool:
    """Whether this machine has one hierarchy for all controllers."""
    return (_ROOT / "cgroup.controllers").exists()


def create(name: str) -> None:
    """Make the group *name* in every hierarchy."""
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)


def remove(name: str) -> bool:
    """Remove the group *name* and all in it, everywhere; False while a process is in one."""
    gone = True
    for hierarchy in _hierarchies():
        # Deepest first; the files in a group go with it.
        for path, _, _ in os.walk(hierarchy / name, topdown=False):
            try:
                Path(path).rmdir()
            except OSError:
                gone = False
    return gone


def paths(name: str) -> list[Path]:
    """Where the group *name* exists."""
    return [hierarchy / name for hierarchy in _hierarchies() if (hierarchy / name).exists()]


def _hierarchies() -> list[Path]:
    if is_v2() or not _ROOT.exists():
        return [_ROOT]
    return [path for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink()]
