"""What of an object is not as declared, for people to read: "-" is there, "+" should be."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from django_userpods.core.shape import MISSING

if TYPE_CHECKING:
    from django_userpods.core.shape import Difference

#: Lines of a difference that are shown; the rest is counted.
_LINES = 40


def marked(difference: Difference) -> tuple[list[tuple[str, str]], int]:
    """Return (sign, text) of the lines in which one field differs, and how many more there are.

    Values are shown as YAML. The sign is " " for a line that is as it should be.
    """
    found, wanted = _text(difference.found), _text(difference.wanted)
    shown = [
        (line[0], line[1:])
        for line in difflib.unified_diff(found, wanted, lineterm="", n=1)
        if not line.startswith(("---", "+++", "@@"))
    ]
    return shown[:_LINES], max(0, len(shown) - _LINES)


def _text(value: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    if value is MISSING:
        return []
    if isinstance(value, str):
        return value.splitlines() or ['""']
    if not isinstance(value, dict | list):
        return [json.dumps(value)]
    # Not at the start of every command.
    import yaml

    plain = json.loads(json.dumps(value, default=str))
    return str(yaml.safe_dump(plain, sort_keys=True, allow_unicode=True, width=100)).splitlines()
