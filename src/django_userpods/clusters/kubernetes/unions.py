"""Fields of which only one may be set: put ours in place of another that somebody set.

Server-side apply adds our member of a union (a probe's ``httpGet``) to the one that is there
(``tcpSocket``, set by hand or by the server itself), and the API server refuses the two. An apply
cannot remove what is not ours, so both steps are one patch, and then the apply goes through.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django_userpods.core import kinds
from django_userpods.core.fields import Field
from django_userpods.core.objects import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django_userpods.core.objects import Manifest

Operation = dict[str, Any]
_INDEX = r"\[[^\]]*\]"


def union_patch(
    live: Manifest, manifest: Manifest, refused: Iterable[str]
) -> list[Operation] | None:
    """Return the JSON patch that leaves, of each union, the members that ``manifest`` declares.

    ``refused`` are the paths that the server named (``spec.containers[0].env[1].valueFrom``);
    unions elsewhere are left alone. None where there is nothing to do, or where the object is
    another than the one that the manifest is for (its ``metadata.uid``).
    """
    wanted_uid = manifest["metadata"].get("uid")
    if wanted_uid not in (None, live["metadata"]["uid"]):
        return None
    named = {re.sub(_INDEX, "", path) for path in refused}
    field = kinds.field_of(Kind.of(manifest))
    operations = [
        operation
        for path, operations in _conflicts(live, manifest, field, ())
        if any(name.startswith(_dotted(path)) for name in named)
        for operation in operations
    ]
    if not operations:
        return None
    version = live["metadata"]["resourceVersion"]
    return [*operations, {"op": "replace", "path": "/metadata/resourceVersion", "value": version}]


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(step for step in path if isinstance(step, str)) + "."


def _conflicts(
    live: Any,  # noqa: ANN401 - any JSON value
    declared: Any,  # noqa: ANN401
    field: Field,
    path: tuple[str | int, ...],
) -> Iterator[tuple[tuple[str | int, ...], list[Operation]]]:
    """Yield where both have members of a union that are not the same, and how to settle it."""
    if isinstance(live, dict) and isinstance(declared, dict):
        members = kinds.union_in(field, {*live, *declared})
        ours = sorted(name for name in members if declared.get(name) is not None)
        others = sorted(name for name in members if name in live and name not in ours)
        if ours and others:
            remove = [{"op": "remove", "path": _pointer((*path, name))} for name in others]
            add = [
                {"op": "add", "path": _pointer((*path, name)), "value": declared[name]}
                for name in ours
            ]
            yield path, [*remove, *add]
        for name in declared.keys() & live.keys():
            inner = kinds.field_in(field, name)
            yield from _conflicts(live[name], declared[name], inner, (*path, name))
    elif isinstance(live, list) and isinstance(declared, list) and field.keys:
        of_item = Field(field.type)
        places = {kinds.key_of(item, field): index for index, item in enumerate(live)}
        for item in declared:
            index = places.get(kinds.key_of(item, field))
            if index is not None:
                yield from _conflicts(live[index], item, of_item, (*path, index))


def _pointer(path: tuple[str | int, ...]) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
