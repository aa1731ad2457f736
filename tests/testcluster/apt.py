"""What is needed from the distribution, as ``tools/debian-packages`` lists it for everybody."""

from __future__ import annotations

import shutil
from pathlib import Path

LIST = Path(__file__).resolve().parents[2] / "tools" / "debian-packages"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def packages(group: str) -> dict[str, str]:
    """The packages of a group of the list, each with the program or file that shows it is there.

    Raises ``KeyError`` for a group that the list does not have.
    """
    lines = (line.split() for line in LIST.read_text().splitlines() if not line.startswith("#"))
    found = {
        package: shows for its_group, package, shows in filter(None, lines) if its_group == group
    }
    if not found:
        raise KeyError(f"{LIST} has no group {group}")
    return found


def missing(group: str) -> list[str]:
    """The packages of a group that are not installed."""
    return [package for package, shows in packages(group).items() if not _there(shows)]


def command(*groups: str) -> str:
    """The command that installs what is missing of some groups, or all of it where nothing is."""
    wanted = [package for group in groups for package in missing(group)]
    every = [package for group in groups for package in packages(group)]
    return "apt-get install --no-install-recommends " + " ".join(wanted or every)


def _there(shows: str) -> bool:
    if shows.startswith("/"):
        return any(Path("/").glob(shows.lstrip("/")))
    return bool(shutil.which(shows) or shutil.which(shows, path=_PATH))
