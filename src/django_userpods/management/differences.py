"""What of an object is not as declared, as a command prints it: "-" is there, "+" should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import ngettext

from django_userpods.core.differences import marked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.core.shape import Difference

_INDENT = "    "


def lines(difference: Difference) -> Iterator[str]:
    """Yield the lines of one field's difference, its path first. Values are shown as YAML."""
    yield f"{_INDENT}{difference.path}"
    shown, count = marked(difference)
    for sign, text in shown:
        yield f"{_INDENT}{sign} {text}"
    if count:
        more = ngettext("(%(count)s more line)", "(%(count)s more lines)", count)
        yield f"{_INDENT}  {more % {'count': count}}"


def style_of(line: str) -> str:
    """Return the style of Django's in which a line of ``lines`` is shown."""
    sign = line.removeprefix(_INDENT)[:2]
    return {"- ": "ERROR", "+ ": "SUCCESS"}.get(sign, "")
