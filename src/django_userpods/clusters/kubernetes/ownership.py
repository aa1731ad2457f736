"""Field ownership: what we created by POST has to be ours to remove by server-side apply.

A POST leaves an entry with operation ``Update`` in ``metadata.managedFields``; an apply removes
only fields of an ``Apply`` entry. So the former is turned into the latter before the first apply
(Kubernetes, "Server-Side Apply", upgrading from client-side apply).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_userpods.clusters.base import FIELD_MANAGER

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest

#: A JSON patch (RFC 6902).
Patch = list[dict[str, Any]]


def ownership_patch(live: Manifest) -> Patch | None:
    """Return the JSON patch that turns our ``Update`` entries into one of ``Apply``, or None.

    The patch writes back the resourceVersion that was read, so the API server answers 409 if
    anyone has changed the object since.
    """
    metadata = live["metadata"]
    entries: list[Manifest] = metadata.get("managedFields") or []
    ours = [entry for entry in entries if _is_ours(entry)]
    if all(entry["operation"] == "Apply" for entry in ours):
        return None
    merged = dict(ours[0], operation="Apply", fieldsV1={})
    for entry in ours:
        _unite(merged["fieldsV1"], entry.get("fieldsV1") or {})
    return [
        {
            "op": "replace",
            "path": "/metadata/managedFields",
            "value": [merged, *(entry for entry in entries if not _is_ours(entry))],
        },
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": metadata["resourceVersion"],
        },
    ]


def _is_ours(entry: Manifest) -> bool:
    return (
        entry.get("manager") == FIELD_MANAGER
        and entry.get("operation") in {"Apply", "Update"}
        and not entry.get("subresource")
    )


def _unite(target: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the fields of one FieldsV1 set to another: nested maps, the empty one is a leaf."""
    for key, inner in more.items():
        _unite(target.setdefault(key, {}), inner)
