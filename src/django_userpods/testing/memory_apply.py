"""Server-side apply in miniature: which fields a manifest declares, and how they are merged.

The rules are those of Kubernetes' "Server-Side Apply", "Merge strategy": maps merge, lists that
have keys merge by their keys, all other lists and the maps marked atomic are replaced whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.core.objects import Manifest

#: One step of a path: a field's name, or the keys of a list's item.
Step = str | tuple[tuple[str, Any], ...]
Path = tuple[Step, ...]

#: ``x-kubernetes-list-map-keys`` of the lists people put into templates, by the field's name.
_LIST_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
#: ``x-kubernetes-map-type: atomic``.
_ATOMIC_MAPS = frozenset(
    {"configMapKeyRef", "fieldRef", "nodeSelector", "resourceFieldRef", "secretKeyRef", "selector"}
)
_ATOMIC_MAPS |= {"labelSelector", "podSelector", "namespaceSelector"}


def list_keys(name: str, items: list[Any]) -> tuple[str, ...]:
    """Return the keys by which the items of the list field ``name`` merge; () where atomic."""
    if name == "ports":
        keys: tuple[str, ...] = ("port", "protocol")
        if any(isinstance(item, dict) and "containerPort" in item for item in items):
            keys = ("containerPort", "protocol")
    else:
        keys = _LIST_KEYS.get(name, ())
    first = keys[:1]
    if not all(isinstance(item, dict) and set(first) <= item.keys() for item in items):
        return ()
    return keys


def _key_of(item: Manifest, keys: tuple[str, ...]) -> Step:
    return tuple((key, item.get(key, "TCP" if key == "protocol" else "")) for key in keys)


def declared(manifest: Manifest) -> set[Path]:
    """Return the paths of all fields that a manifest declares, without those of its identity."""
    return {
        path
        for path in _walk(manifest, ())
        if path[0] not in {"apiVersion", "kind", "status"}
        and path[:2] not in {("metadata", "name"), ("metadata", "namespace")}
    }


def _walk(value: Any, path: Path) -> Iterator[Path]:  # noqa: ANN401 - any JSON value
    name = path[-1] if path else ""
    if isinstance(value, dict) and value and name not in _ATOMIC_MAPS:
        for key, item in value.items():
            if item is not None:
                yield from _walk(item, (*path, key))
        return
    if isinstance(value, list) and value and isinstance(name, str):
        keys = list_keys(name, value)
        if keys:
            for item in value:
                inner = (*path, _key_of(item, keys))
                yield inner
                yield from _walk(item, inner)
            return
    if path:
        yield path


def merge(live: Manifest, manifest: Manifest) -> None:
    """Put the declared fields of ``manifest`` into ``live``, in place."""
    for key, value in manifest.items():
        if value is None:
            live.pop(key, None)
        elif isinstance(value, dict) and isinstance(live.get(key), dict):
            if key in _ATOMIC_MAPS:
                live[key] = copied(value)
            else:
                merge(live[key], value)
        elif isinstance(value, list) and isinstance(live.get(key), list):
            live[key] = _merge_list(key, live[key], value)
        else:
            live[key] = copied(value)


def _merge_list(name: str, live: list[Any], wanted: list[Any]) -> list[Any]:
    keys = list_keys(name, [*live, *wanted])
    if not keys:
        return copied(wanted)  # type: ignore[no-any-return] # a list in, a list out
    merged = {_key_of(item, keys): item for item in live}
    for item in wanted:
        key = _key_of(item, keys)
        if key in merged:
            merge(merged[key], item)
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
