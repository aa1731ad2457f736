"""Declared fields that a cluster sets otherwise in what we send: a mutating policy or webhook.

Writing such a field again changes nothing, so it is written once and said on the row. A digest of
what was declared and what came of it is kept there: as long as both are the same, the object is as
good as it gets. Once the template or the object is another, it is written again.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from django_userpods.core.shape import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from django_userpods.core.objects import Manifest, Ref
    from django_userpods.core.shape import Difference

#: Maximum number of fields of an object that are named, and of characters of a value.
_FIELDS, _CHARACTERS = 3, 80


class Overruled(NamedTuple):
    """What the cluster has made of one object's declared fields."""

    digest: str
    #: For people: which fields, and what they are instead.
    text: str


def overruled(manifest: Manifest, ref: Ref, differences: Sequence[Difference]) -> Overruled:
    """Return what to remember and to say of an object that is not as it was sent."""
    found = [(item.path, _plain(item.found)) for item in differences]
    whole = json.dumps([manifest, found], sort_keys=True, default=str)
    said = [_said(item, secret=ref.kind.kind == "Secret") for item in differences[:_FIELDS]]
    more = [f"{len(differences) - _FIELDS} more fields"] if len(differences) > _FIELDS else []
    text = f"The cluster changes {ref.kind.kind} {ref.name} as declared: {', '.join(said + more)}."
    return Overruled(hashlib.sha256(whole.encode()).hexdigest()[:16], text)


def read(column: str) -> dict[str, str]:
    """Return the digests on a row, by object."""
    found: dict[str, str] = json.loads(column) if column else {}
    return found


def column_of(items: Mapping[Ref, Overruled]) -> str:
    """Return what a row is to say, for ``read``; empty where everything is as declared."""
    if not items:
        return ""
    return json.dumps({str(ref): item.digest for ref, item in sorted(items.items())})


def message(items: Iterable[Overruled]) -> str:
    """Return what a row's message is to say."""
    return " ".join(sorted(item.text for item in items))


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return None if value is MISSING else value


def _said(item: Difference, *, secret: bool) -> str:
    path = item.path.removeprefix(".")
    if item.found is MISSING:
        return f"{path} is left out"
    if secret or isinstance(item.found, dict | list):
        return f"{path} is another"
    return f"{path} is {_short(item.found)} instead of {_short(item.wanted)}"


def _short(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is MISSING:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value)
    return repr(text) if len(text) <= _CHARACTERS else repr(text[: _CHARACTERS - 1] + "…")
