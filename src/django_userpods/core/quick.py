"""Telling fast that an object is as declared, which in a sync nearly all of them are.

A shape is a tree, and walking it costs a call for each node, times thousands of users. Here the
walk is written out once as one plain Python function (as ``dataclasses`` writes its methods),
which costs a third. It says "surely as declared" or "look closer": whatever takes thought (another
order, a default that was left out) is the shape's to find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_userpods.core.shape import MISSING, UNKNOWN, Items, Map, Shape, Text, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from django_userpods.core.shape import Values


class QuickCheck:
    """The written-out walk through one shape; knows nothing before ``learn`` was called."""

    def __init__(self, shape: Map) -> None:
        self._shape = shape
        self._used = False
        self._check: Callable[[Any, Values], bool] | None = None

    def surely_matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401 - JSON
        """Tell whether ``shape.matches(observed, values)`` is certain; False says nothing."""
        if self._check is None:
            return False
        try:
            return self._check(observed, values)
        except (AttributeError, IndexError, KeyError, TypeError):
            # Not even the containers are where they were declared.
            return False

    def learn(self) -> None:
        """Take over what the shape's parts that are alike for all users were found to equal.

        Not at the first call: a template of one user's own is used once, and writing costs more.
        """
        if not self._used:
            self._used = True
        elif self._check is None and all(
            item.known_good is not UNKNOWN for item in _constants(self._shape)
        ):
            self._check = _write(self._shape)


def _constants(shape: Map | Items) -> Iterator[Shape]:
    for item in shape.items.values() if isinstance(shape, Map) else shape.items:
        if item.constant:
            yield item
        elif isinstance(item, Map | Items) and not _may_be_absent(item):
            yield from _constants(item)


def _write(shape: Map) -> Callable[[Any, Values], bool]:
    """Write the function. Only keys get into its text, as literals; all else is referred to."""
    names: dict[str, Any] = {"MISSING": MISSING}
    lines = ["def check(node0, values):"]
    _write_node(shape, 0, lines, names)
    exec("\n".join([*lines, " return True"]), names)  # noqa: S102 - our own text, see above
    check: Callable[[Any, Values], bool] = names["check"]
    return check


def _write_node(shape: Map | Items, number: int, lines: list[str], names: dict[str, Any]) -> None:
    """Write the checks of what is in ``node<number>``, then those of the containers in it."""
    children: Iterable[tuple[Any, Shape]]
    if isinstance(shape, Map):
        children = shape.items.items()
    else:
        children = enumerate(shape.items)
        lines.append(f" if len(node{number}) != {len(shape.items)}: return False")
    containers: list[tuple[Any, Map | Items]] = []
    for key, item in children:
        there = f"node{number}[{key!r}]"
        maybe = f"node{number}.get({key!r}, MISSING)" if isinstance(shape, Map) else there
        known = f"known{len(names)}"
        if item.constant:
            names[known] = item.known_good
            lines.append(f" if {maybe} != {known}: return False")
        elif isinstance(item, Value):
            value = f"values[{item.name!r}]"
            lines.append(f" if {maybe} != {value} and {value} is not None: return False")
        elif isinstance(item, Text) and item.only:
            lines.append(f" if {there} != values[{item.only!r}]: return False")
        elif isinstance(item, Map | Items) and not _may_be_absent(item):
            containers.append((key, item))
        else:
            names[known] = item.matches
            lines.append(f" if not {known}({maybe}, values): return False")
    for key, item in containers:
        below = len(names)
        names[f"node{below}"] = None
        lines.append(f" node{below} = node{number}[{key!r}]")
        _write_node(item, below, lines, names)


def _may_be_absent(shape: Map | Items) -> bool:
    """Tell whether a mapping may be left out because none of its values is set."""
    return isinstance(shape, Map) and all(isinstance(item, Value) for item in shape.items.values())
