"""Server-side apply in miniature: which fields a manifest declares, and how they are merged.

The rules are those of Kubernetes' "Server-Side Apply", "Merge strategy": maps merge, lists that
have keys merge by their keys, all other lists and the maps marked atomic are replaced whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_userpods.core import kinds
from django_userpods.core.fields import Field
from django_userpods.core.objects import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.core.objects import Manifest

#: One step of a path: a field's name, or the keys of a list's item.
Step = str | tuple[tuple[str, Any], ...]
Path = tuple[Step, ...]


def _list_keys(field: Field, items: list[Any]) -> tuple[str, ...]:
    """Return the keys by which a list's items merge; () where it is replaced as a whole."""
    first = field.keys[:1]
    if not all(isinstance(item, dict) and set(first) <= item.keys() for item in items):
        return ()
    return field.keys


def _key_of(item: Manifest, keys: tuple[str, ...]) -> Step:
    return tuple((key, item.get(key) or ("TCP" if key == "protocol" else "")) for key in keys)


def declared(manifest: Manifest) -> set[Path]:
    """Return the paths of all fields that a manifest declares, without those of its identity."""
    return {
        path
        for path in _walk(manifest, (), kinds.field_of(Kind.of(manifest)))
        if path[0] not in {"apiVersion", "kind", "status"}
        and path[:2] not in {("metadata", "name"), ("metadata", "namespace")}
    }


def _walk(value: Any, path: Path, field: Field) -> Iterator[Path]:  # noqa: ANN401 - JSON
    if isinstance(value, dict) and value and not kinds.is_atomic(field):
        for key, item in value.items():
            if item is not None:
                yield from _walk(item, (*path, key), kinds.field_in(field, key))
        return
    if isinstance(value, list) and value and (keys := _list_keys(field, value)):
        for item in value:
            inner = (*path, _key_of(item, keys))
            yield inner
            yield from _walk(item, inner, Field(field.type))
        return
    if path:
        yield path


def merge(live: Manifest, manifest: Manifest) -> None:
    """Put the declared fields of ``manifest`` into ``live``, in place."""
    _merge(live, manifest, kinds.field_of(Kind.of(manifest)))


def _merge(live: Manifest, manifest: Manifest, outer: Field) -> None:
    # Of fields that exclude each other, the declared ones stay; a rolling update's go together.
    members = kinds.union_in(outer, {*live, *manifest})
    if manifest.get("type") != "RollingUpdate" and any(
        manifest.get(name) is not None for name in members
    ):
        for name in members - manifest.keys():
            del live[name]
    for key, value in manifest.items():
        field = kinds.field_in(outer, key)
        if value is None:
            live.pop(key, None)
        elif isinstance(value, dict) and isinstance(live.get(key), dict):
            if kinds.is_atomic(field):
                live[key] = copied(value)
            else:
                _merge(live[key], value, field)
        elif isinstance(value, list) and isinstance(live.get(key), list):
            live[key] = _merge_list(live[key], value, field)
        else:
            live[key] = copied(value)


def _merge_list(live: list[Any], wanted: list[Any], field: Field) -> list[Any]:
    if field.is_set:
        return [*live, *(item for item in wanted if item not in live)]
    keys = _list_keys(field, [*live, *wanted])
    if not keys:
        return copied(wanted)  # type: ignore[no-any-return] # a list in, a list out
    merged = {_key_of(item, keys): item for item in live}
    for item in wanted:
        key = _key_of(item, keys)
        if key in merged:
            _merge(merged[key], item, Field(field.type))
        else:
            merged[key] = copied(item)
    return list(merged.values())


def remove(live: Manifest, *, owned: set[Path], wanted: set[Path]) -> None:
    """Take out of ``live`` what we owned and no longer declare."""
    kept = {path[:length] for path in wanted for length in range(1, len(path) + 1)}
    for path in sorted(owned - kept, key=len):
        _remove_path(live, path)


def _remove_path(value: Any, path: Path) -> None:  # noqa: ANN401 - any JSON value
    """Remove one path, and the maps that became empty by it."""
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        if not isinstance(value, dict) or step not in value:
            return
        if rest:
            _remove_path(value[step], rest)
        if not rest or value[step] in ({}, []):
            del value[step]
        return
    if not isinstance(value, list):
        return
    keys = tuple(key for key, _ in step)
    for index, item in enumerate(value):
        if isinstance(item, dict) and _key_of(item, keys) == step:
            if rest:
                _remove_path(item, rest)
            else:
                del value[index]
            return


def copied(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a deep copy of a JSON value, without the nulls, which the API does not store."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
