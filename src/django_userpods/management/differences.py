"""What of an object is not as declared, for people to read: "-" is there, "+" should be."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from django.utils.translation import ngettext

from django_userpods.core.shape import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.core.shape import Difference

#: Lines of a difference that are shown; the rest is counted.
_LINES = 40
_INDENT = "    "


def lines(difference: Difference) -> Iterator[str]:
    """Yield the lines of one field's difference, its path first. Values are shown as YAML."""
    yield f"{_INDENT}{difference.path}"
    found, wanted = _text(difference.found), _text(difference.wanted)
    shown = [
        line
        for line in difflib.unified_diff(found, wanted, lineterm="", n=1)
        if not line.startswith(("---", "+++", "@@"))
    ]
    for line in shown[:_LINES]:
        yield f"{_INDENT}{line[0]} {line[1:]}"
    if len(shown) > _LINES:
        count = len(shown) - _LINES
        more = ngettext("(%(count)s more line)", "(%(count)s more lines)", count)
        yield f"{_INDENT}  {more % {'count': count}}"


def style_of(line: str) -> str:
    """Return the style of Django's in which a line of ``lines`` is shown."""
    sign = line.removeprefix(_INDENT)[:2]
    return {"- ": "ERROR", "+ ": "SUCCESS"}.get(sign, "")


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
