"""Parsing JSON: by orjson, which is five times faster, or by the standard library without it."""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson
except ImportError:  # a platform that it has no wheels for
    orjson = None  # type: ignore[assignment]


def loads(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text in UTF-8; ValueError where it is none."""
    return json.loads(body) if orjson is None else orjson.loads(body)
