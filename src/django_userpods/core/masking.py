"""What is shown of objects to people and scripts: of a Secret its keys, never its values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django_userpods.core.shape import MISSING

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest
    from django_userpods.core.shape import Difference

MASK = "********"
_FIELDS = ("data", "stringData")


def masked(manifest: Manifest) -> dict[str, Any]:
    """Return a copy of a manifest in which a Secret's values cannot be read."""
    # Through JSON, since parts of manifests may be shared, which YAML would show as references.
    plain: dict[str, Any] = json.loads(json.dumps(manifest, default=str))
    if plain.get("kind") == "Secret":
        for field in _FIELDS:
            if isinstance(plain.get(field), dict):
                plain[field] = dict.fromkeys(plain[field], MASK)
    return plain


def masked_difference(difference: Difference, kind: str) -> Difference:
    """Return a difference in an object of a kind, a Secret's values masked on both sides."""
    if kind != "Secret" or not difference.path.startswith(tuple(f".{name}" for name in _FIELDS)):
        return difference
    return difference._replace(wanted=_mask(difference.wanted), found=_mask(difference.found))


def _mask(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if value is MISSING or value is None:
        return value
    return dict.fromkeys(value, MASK) if isinstance(value, dict) else MASK
