"""Volume claims that are larger than declared: somebody enlarged them, and none can shrink.

Source: Kubernetes, "Expanding Persistent Volumes Claims".
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from django_userpods.core import quantity
from django_userpods.core.objects import CLAIM, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.core.objects import Manifest

_STORAGE = ".spec.resources.requests.storage"


def is_larger(path: str, found: Manifest, declared: Callable[[], Manifest]) -> bool:
    """Tell whether a difference at this path is that a claim is larger than declared."""
    if path != _STORAGE or Kind.of(found) != CLAIM:
        return False
    there, wanted = _size(found), _size(declared())
    return there is not None and wanted is not None and there > wanted


def as_large(manifest: Manifest, found: Manifest) -> Manifest:
    """Return the claim's manifest with the size that the claim has where that is larger."""
    if not is_larger(_STORAGE, found, lambda: manifest):
        return manifest
    enlarged = copy.deepcopy(manifest)
    enlarged["spec"]["resources"]["requests"]["storage"] = _storage(found)
    return enlarged


def _size(claim: Manifest) -> Any:  # noqa: ANN401 - a number or None
    text = _storage(claim)
    return None if text is None else quantity.parse(text)


def _storage(claim: Manifest) -> Any:  # noqa: ANN401 - text or a number
    value: Any = claim
    for step in _STORAGE.strip(".").split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
