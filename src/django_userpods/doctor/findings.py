"""What was found out about a part."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.StrEnum):
    """How it is."""

    OK = "ok"
    #: Worth knowing; nothing has to be done.
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: the part that it is about, how that is, and what to do ("" for nothing).

    No text holds a password, a token or a key.
    """

    about: str
    level: Level
    text: str
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as plain data."""
        return {
            "about": self.about,
            "level": self.level.value,
            "text": self.text,
            "hint": self.hint,
        }


def ok(about: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(about, Level.OK, text)


def note(about: str, text: str, hint: str = "") -> Finding:
    """Return what is worth knowing."""
    return Finding(about, Level.NOTE, text, hint)


def wrong(about: str, text: str, hint: str) -> Finding:
    """Return what is wrong, and what to do."""
    return Finding(about, Level.WRONG, text, hint)
