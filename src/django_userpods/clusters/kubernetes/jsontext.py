"""Parsing JSON by msgspec, or by the standard library's ``json`` where that is not installed.

msgspec is several times faster, and can leave the items of a list unparsed until each is looked
at: a page of 500 parsed as a whole is some hundred thousand objects at once, through which the
garbage collector walks again and again.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def has_msgspec() -> bool:
    """Tell whether msgspec is installed; it has no wheels for some platforms."""
    # Not asked on import: to look through all that is installed takes milliseconds.
    return find_spec("msgspec") is not None


def loads(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text in UTF-8; ValueError where it is none."""
    if not has_msgspec():
        return json.loads(body)
    import msgspec

    return msgspec.json.decode(body)


def split_list(body: bytes) -> tuple[dict[str, Any], Iterator[Any]]:
    """Return a JSON object without its ``items``, and these, each parsed when it is asked for.

    ValueError where the text is no object with ``items`` that are a list or null; what is wrong
    further inside may come with the item.
    """
    fast = has_msgspec()
    if fast:
        import msgspec
    whole = msgspec.json.decode(body, type=dict[str, msgspec.Raw]) if fast else json.loads(body)
    if not isinstance(whole, dict) or "items" not in whole:
        message = "is not an object with items"
        raise ValueError(message)
    items = whole.pop("items")
    if not fast:
        if not isinstance(items, list | None):
            message = "has items that are not a list"
            raise ValueError(message)
        return whole, iter(items or ())
    items = msgspec.json.decode(items, type=list[msgspec.Raw] | None)
    rest = {name: msgspec.json.decode(raw) for name, raw in whole.items()}
    return rest, (msgspec.json.decode(item) for item in items or ())
