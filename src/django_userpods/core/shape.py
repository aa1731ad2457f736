"""A manifest with blanks: filled in for one user, or held against an observed object.

``compile_shape`` turns parsed YAML into a tree once; ``Shape.fill`` and ``Shape.differences`` then
run for every user. Comparing looks at *declared* fields only, so what the API server defaulted,
what others added and the status never count as a difference. What holds for a field
(``core.kinds``) says how: lists that Kubernetes merges by a key are compared item by item under
that key, all others as a whole; amounts and base64 by what they stand for; and a zero or empty
value that is the same as none at all is one with what the server puts in its place.
"""

from __future__ import annotations

import base64
import binascii
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from django_userpods.core import kinds, quantity
from django_userpods.core.fields import ANY, NOTHING, UNKNOWN, Field
from django_userpods.exceptions import TemplateError
from django_userpods.texts import said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What stands for one user: ``{"name": "user-alice", ...}``.
Values = dict[str, Any]

#: The placeholders that a template may use.
PLACEHOLDERS = frozenset({"name", "namespace", "user_id", "username", "slot", "url", "path"})

MISSING: Any = object()
_NOT_YET: Any = object()

# "{name}" is a placeholder; "{{name}}" is how to write a literal "{name}".
_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")

# Where the kubelet expands "$(NAME)": ExpandContainerCommandAndArgs and its neighbours in
# pkg/kubelet/container/helpers.go, and makeEnvironment in kubelet_pods.go.
_EXPANDED = re.compile(
    r"\.(?:containers|initContainers|ephemeralContainers)\[\d+\]\."
    r"(?:env\[\d+\]\.value|(?:command|args)\[\d+\]|volumeMounts\[\d+\]\.subPathExpr"
    r"|(?:liveness|readiness|startup)Probe\.exec\.command\[\d+\])$"
)

_LINE_BREAKS = {ord("\r"): None, ord("\n"): None}


class Difference(NamedTuple):
    """A declared field that is not as declared."""

    #: As in ``.spec.replicas``.
    path: str
    wanted: Any
    #: MISSING where there is nothing.
    found: Any

    def under(self, path: str) -> Difference:
        """Return the same as seen from above."""
        return self._replace(path=path + self.path)


class Shape(ABC):
    """One node of a manifest with blanks."""

    #: No blank below: an observed value that was found equal once is equal for every user.
    constant = True
    #: Such an observed value, for ``constant`` shapes.
    known_good: Any = _NOT_YET

    @abstractmethod
    def fill(self, values: Values) -> Any:  # noqa: ANN401 - any JSON value
        """Return the plain value for one user; parts may be shared, so do not change them."""

    @abstractmethod
    def differences(self, observed: Any, values: Values) -> Iterator[Difference]:  # noqa: ANN401
        """Yield the places at which the observed value is not as declared."""

    def matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401
        """Tell whether the observed value is as declared: ``differences`` is empty, but faster."""
        if not self.constant:
            return next(self.differences(observed, values), None) is None
        # Most of a manifest is alike for all users: one comparison in C settles it.
        if observed == self.known_good:
            return True
        if next(self.differences(observed, values), None) is not None:
            return False
        self.known_good = observed
        return True


class Scalar(Shape):
    """A number, a boolean, null, or a string without placeholders."""

    def __init__(self, value: Any, field: Field = UNKNOWN) -> None:  # noqa: ANN401
        self.value = value
        self._field = field

    def fill(self, values: Values) -> Any:  # noqa: ANN401, ARG002
        return self.value

    def differences(self, observed: Any, values: Values) -> Iterator[Difference]:  # noqa: ANN401
        # null means "unset": the API server may put its default there.
        if self.value is None or _is_nothing(self.value, observed, self._field):
            return
        if self._field.is_quantity:
            if not quantity.same(self.value, observed):
                yield Difference("", self.fill(values), observed)
        elif self._field.is_bytes:
            if _decoded(observed) != _decoded(self.value):
                yield Difference("", self.fill(values), observed)
        elif observed != self.value:
            yield Difference("", self.fill(values), observed)


def _is_nothing(value: Any, observed: Any, field: Field) -> bool:  # noqa: ANN401
    """Tell whether a value is as good as none, and nothing or the server's default is there."""
    if value or field.counts:
        return False
    if observed is MISSING or observed is None:
        return True
    return field.default is ANY or (field.default is not NOTHING and observed == field.default)


def _decoded(value: Any) -> Any:  # noqa: ANN401
    """Return what a text in base64 stands for; line breaks are none of it. Others as they are."""
    try:
        return base64.b64decode(value.translate(_LINE_BREAKS), validate=True)
    except (AttributeError, binascii.Error, ValueError):
        return value


class Text(Shape):
    """A string with placeholders, as literal pieces and names in turn."""

    constant = False

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self._names = pieces[1::2]
        self._format = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
        #: The placeholder, where there is nothing else: by far the most usual.
        self.only = pieces[1] if pieces[::2] == ("", "") else ""

    def fill(self, values: Values) -> str:
        if self.only:
            return str(values[self.only])
        return self._format % tuple([values[name] for name in self._names])

    def differences(self, observed: Any, values: Values) -> Iterator[Difference]:  # noqa: ANN401
        if not self.matches(observed, values):
            yield Difference("", self.fill(values), observed)

    def matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401
        wanted = self.fill(values)
        return bool(observed == wanted) or (observed is MISSING and not wanted)


class Expanded(Text):
    """A text in which Kubernetes expands ``$(NAME)``; a user's value is taken as it is.

    ``$$`` is how to write a ``$`` there. One of the template's own right before a placeholder is
    doubled, too: it would make a reference of a value that begins with a bracket.
    """

    def __init__(self, *pieces: str) -> None:
        super().__init__(*pieces)
        before = [
            piece + "$" if (len(piece) - len(piece.rstrip("$"))) % 2 else piece
            for piece in pieces[:-1:2]
        ]
        self._format = "%s".join(piece.replace("%", "%%") for piece in (*before, pieces[-1]))
        # Not the value itself.
        self.only = ""

    def fill(self, values: Values) -> str:
        return self._format % tuple([str(values[name]).replace("$", "$$") for name in self._names])


class Value(Shape):
    """A whole value of the user's by name; a value of None leaves the field out."""

    constant = False

    def __init__(self, name: str) -> None:
        self.name = name

    def fill(self, values: Values) -> Any:  # noqa: ANN401
        value = values[self.name]
        return MISSING if value is None else value

    def differences(self, observed: Any, values: Values) -> Iterator[Difference]:  # noqa: ANN401
        if not self.matches(observed, values):
            yield Difference("", self.fill(values), observed)

    def matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401
        wanted = values[self.name]
        return wanted is None or bool(observed == wanted)


class Map(Shape):
    """A mapping."""

    def __init__(self, items: Mapping[str, Shape], field: Field = UNKNOWN) -> None:
        self.items = dict(items)
        self._field = field
        self._fixed = [(key, item) for key, item in self.items.items() if item.constant]
        self._varying = [(key, item) for key, item in self.items.items() if not item.constant]
        self.constant = not self._varying

    def fill(self, values: Values) -> dict[str, Any]:
        filled = {}
        for key, item in self.items.items():
            value = item.fill(values)
            if value is not MISSING:
                filled[key] = value
        return filled

    def differences(self, observed: Any, values: Values) -> Iterator[Difference]:  # noqa: ANN401
        if observed is MISSING or observed is None:
            # As good as declared where nothing in it has to be there.
            items = self.items.values()
            if self._field.counts or not all(item.matches(MISSING, values) for item in items):
                yield Difference("", self.fill(values), observed)
            return
        if not isinstance(observed, dict):
            yield Difference("", self.fill(values), observed)
            return
        for key, item in self.items.items():
            for found in item.differences(observed.get(key, MISSING), values):
                yield found.under(f".{key}")

    def matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401
        if self.constant or not isinstance(observed, dict):
            return super().matches(observed, values)
        get = observed.get
        for key, item in self._fixed:
            seen = get(key, MISSING)
            if seen != item.known_good and not item.matches(seen, values):
                return False
        for key, item in self._varying:  # noqa: SIM110 - a generator costs a third more here
            if not item.matches(get(key, MISSING), values):
                return False
        return True


class Items(Shape):
    """A list; ``merge_key`` names the fields that identify an item where Kubernetes merges it."""

    def __init__(
        self,
        items: list[Shape],
        field: Field = UNKNOWN,
        *,
        merge_key: tuple[str, ...] | None = None,
    ) -> None:
        self.items = items
        self.merge_key = merge_key
        self._field = field
        self.constant = all(item.constant for item in items)

    def fill(self, values: Values) -> list[Any]:
        filled = (item.fill(values) for item in self.items)
        return [value for value in filled if value is not MISSING]

    def differences(self, observed: Any, values: Values) -> Iterator[Difference]:  # noqa: ANN401
        if _is_nothing(self.items, observed, self._field):
            return
        if not isinstance(observed, list):
            yield Difference("", self.fill(values), observed)
        elif self.merge_key is not None:
            by_key = {
                kinds.key_of(seen, self._field): seen for seen in observed if isinstance(seen, dict)
            }
            for item in self.items:
                key = kinds.key_of(item.fill(values), self._field)
                for found in item.differences(by_key.get(key, MISSING), values):
                    yield found.under(f"[{'/'.join(map(str, key))}]")
        elif self._field.is_set:
            if any(item not in observed for item in self.fill(values)):
                yield Difference("", self.fill(values), observed)
        elif len(observed) != len(self.items):
            yield Difference("", self.fill(values), observed)
        else:
            for index, (item, seen) in enumerate(zip(self.items, observed, strict=True)):
                for found in item.differences(seen, values):
                    yield found.under(f"[{index}]")

    def matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401
        # Nothing added by others and the order kept is by far the most usual case.
        if not self.constant and isinstance(observed, list) and len(observed) == len(self.items):
            for item, seen in zip(self.items, observed, strict=True):
                if not item.matches(seen, values):
                    break
            else:
                return True
        return super().matches(observed, values)


def compile_shape(
    value: Any,  # noqa: ANN401
    *,
    where: str,
    field: Field = UNKNOWN,
    literal: bool = False,
) -> Shape:
    """Turn parsed YAML or JSON into a shape.

    ``where`` is the place for error messages, kind first; ``field`` what is known of it. Raises
    TemplateError for an unknown placeholder (``literal`` takes text as it is) or a value that
    JSON cannot say (a date that YAML made of ``2026-01-01``).
    """
    if isinstance(value, Shape):
        return value
    if isinstance(value, dict):
        return Map(
            {
                _checked_key(key, where=where): compile_shape(
                    item,
                    where=f"{where}.{key}",
                    field=kinds.field_in(field, str(key)),
                    literal=literal,
                )
                for key, item in value.items()
            },
            field,
        )
    if isinstance(value, list | tuple):
        return Items(
            [
                compile_shape(
                    item, where=f"{where}[{index}]", field=Field(field.type), literal=literal
                )
                for index, item in enumerate(value)
            ],
            field,
            merge_key=_merge_key(field, value),
        )
    if isinstance(value, str):
        pieces = [value] if literal else _pieces(value, where=where)
        if len(pieces) == 1:
            return Scalar(pieces[0], field)
        return Expanded(*pieces) if _EXPANDED.search(where) else Text(*pieces)
    if value is None or isinstance(value, bool | int | float):
        return Scalar(value, field)
    message = said(
        "a value of type %(type)s cannot be sent to Kubernetes; put it in quotes",
        type=type(value).__name__,
    )
    raise TemplateError(message, where=where)


def _checked_key(key: object, *, where: str) -> str:
    if not isinstance(key, str):
        message = said("the key %(key)s is not text; put it in quotes", key=repr(key))
        raise TemplateError(message, where=where)
    return key


def _pieces(text: str, *, where: str) -> list[str]:
    pieces = [""]
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        pieces[-1] += text[end : match.start()]
        end = match.end()
        literal, name = match.groups()
        if literal:
            pieces[-1] += f"{{{literal}}}"
        elif name in PLACEHOLDERS:
            pieces += [name, ""]
        else:
            message = said(
                "unknown placeholder {%(name)s}; known are %(known)s. For the literal text write "
                "{{%(name)s}}",
                name=name,
                known=", ".join(f"{{{known}}}" for known in sorted(PLACEHOLDERS)),
            )
            raise TemplateError(message, where=where)
    pieces[-1] += text[end:]
    return pieces


def _merge_key(field: Field, items: list[Any] | tuple[Any, ...]) -> tuple[str, ...] | None:
    """Return the keys of a list that is merged by them, if all items have the first."""
    if field.keys and all(isinstance(item, dict) and field.keys[0] in item for item in items):
        return field.keys
    return None
