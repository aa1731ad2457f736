"""Kubernetes quantities: ``1000m`` and ``1`` are the same amount of CPU.

Source: Kubernetes API, ``resource.Quantity``.
"""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException

_SUFFIX = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:(?P<exponent>[eE][+-]?[0-9]+)|(?P<suffix>[numkMGTPE]|[KMGTPE]i)?)\Z"
)


def parse(value: str | float) -> Decimal | None:
    """Return the amount in the base unit (cores, bytes), or None where it is no quantity."""
    match = _QUANTITY.match(str(value))
    if match is None:
        return None
    try:
        number = Decimal(match["number"] + (match["exponent"] or ""))
        return number * _SUFFIX[match["suffix"] or ""]
    except DecimalException:  # 1e9999999
        return None


def same(one: object, other: object) -> bool:
    """Tell whether two values are the same quantity, however they are written."""
    if one == other:
        return True
    if not isinstance(one, str | int | float) or not isinstance(other, str | int | float):
        return False
    parsed = parse(one)
    return parsed is not None and parsed == parse(other)
