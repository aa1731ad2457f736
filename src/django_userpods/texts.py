"""Texts in English that can be said in another language later, by whoever speaks to people.

Nothing here imports Django, so that rules may use it: ``sentences.in_readers_language`` translates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Said(str):
    """An English text that keeps what it was made of: a template, and the values in it."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, object]


def said(template: str, **values: object) -> Said:
    """Return a template with its values in place, as ``%`` puts them there.

    The template is gathered for translation, so it is written out where this is called. A value may
    be such a text, too.
    """
    text = Said(template % values if values else template)
    text.template, text.values = template, values
    return text
