"""As much of JSON Schema as our document uses, to hold requests and answers against it."""

from __future__ import annotations

import datetime
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
#: What a schema of ours may say; anything else would go unchecked.
_KNOWN = {
    *("$ref", "type", "enum", "properties", "required", "additionalProperties", "items"),
    *("description", "default", "format", "minimum", "maximum", "minLength", "maxLength"),
}


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = document
    for step in schema["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def check(document: dict[str, Any], schema: dict[str, Any], value: Any, where: str = "") -> None:
    """Fail where the value is not as the schema says."""
    schema = resolved(document, schema)
    assert set(schema) <= _KNOWN, (where, set(schema) - _KNOWN)
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kinds = tuple(kind for name in types for kind in _TYPES[name])
    assert isinstance(value, kinds), (where, value)
    if isinstance(value, bool):
        assert "boolean" in types, (where, value)
    if "enum" in schema:
        assert value in schema["enum"], (where, value)
    if schema.get("format") == "date-time" and value is not None:
        assert datetime.datetime.fromisoformat(str(value)).tzinfo is not None, where
    if isinstance(value, int):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value), where
    if isinstance(value, str):
        size = len(value)
        assert schema.get("minLength", size) <= size <= schema.get("maxLength", size), where
    if isinstance(value, dict):
        assert set(value) >= set(schema["required"]), (where, value)
        assert set(value) <= set(schema["properties"]), (where, value)
        for key, item in value.items():
            check(document, schema["properties"][key], item, f"{where}.{key}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            check(document, schema["items"], item, f"{where}[{number}]")
