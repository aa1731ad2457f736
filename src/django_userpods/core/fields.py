"""What is known of a field of the Kubernetes API, and how its types are written down.

The words are those of its OpenAPI: ``x-kubernetes-list-map-keys`` (a list merged by key),
``x-kubernetes-list-type: set``, ``x-kubernetes-map-type: atomic`` (replaced as a whole), and
``Quantity``. What the server does with a zero or empty value stands in no document: it is what a
real one answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A default that depends on more than the field.
ANY: Any = object()
#: There is no default.
NOTHING: Any = object()


@dataclass(frozen=True, slots=True)
class Field:
    """A field: the type of its value or of its items by name, and what holds for it."""

    type: str = ""
    #: The names that identify an item of a list that is merged item by item.
    keys: tuple[str, ...] = ()
    #: A list without order or duplicates, to which others may add.
    is_set: bool = False
    #: An amount (``1Gi``), or a mapping of amounts.
    is_quantity: bool = False
    #: Base64, or a mapping of such values.
    is_bytes: bool = False
    #: Replaced as a whole by an apply.
    is_whole: bool = False
    #: Zero, false or empty is a value of its own; otherwise it is the same as leaving the field
    #: out, and is not answered.
    counts: bool = False
    #: What the server puts in place of a zero or empty value.
    default: Any = NOTHING


UNKNOWN = Field()


@dataclass(frozen=True, slots=True)
class Type:
    """A type of the API: its fields of which there is something to know."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    #: ``x-kubernetes-map-type: atomic``.
    is_atomic: bool = False
    #: Fields that exclude each other: of the values that a server or a person has set beside the
    #: declared ones none may stay. ``*`` stands for all but ``name``.
    one_of: frozenset[str] = frozenset()


def type_of(
    *,
    of: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    sets: str = "",
    quantities: str = "",
    bytes: str = "",  # noqa: A002 - what the API calls it
    whole: str = "",
    counts: str = "",
    default: Mapping[str, Any] | None = None,
    atomic: bool = False,
    one_of: str = "",
) -> Type:
    """Write a type down: names of fields, with a space between, by what holds for them.

    ``of`` gives the types of fields (of a list's items), ``keys`` the keys by which a list is
    merged; for the others see :class:`Field`.
    """
    fields: dict[str, Field] = {name: Field(kind) for name, kind in (of or {}).items()}

    def note(names: str, **facts: Any) -> None:  # noqa: ANN401
        for name in names.split():
            fields[name] = replace(fields.get(name, UNKNOWN), **facts)

    for name, parts in (keys or {}).items():
        note(name, keys=tuple(parts.split()))
    note(sets, is_set=True)
    note(quantities, is_quantity=True)
    note(bytes, is_bytes=True)
    note(whole, is_whole=True)
    note(counts, counts=True)
    for name, value in (default or {}).items():
        note(name, default=value)
    return Type(fields, atomic, frozenset(one_of.split()))
