"""From a kind to the path of its resource, and from a reference to a safe URL path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from django_userpods.clusters.kubernetes import errors
from django_userpods.clusters.kubernetes.request import ApiCall
from django_userpods.exceptions import Invalid, UnknownKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django_userpods.clusters.kubernetes.retry import Deadline
    from django_userpods.core.objects import Kind

_LABEL_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"


class Resource(NamedTuple):
    """What the API calls a kind in its URLs."""

    prefix: str
    plural: str
    namespaced: bool

    @classmethod
    def of(cls, kind: Kind, plural: str, *, namespaced: bool) -> Resource:
        """Make the resource of a kind from what discovery says about it."""
        return cls(group_path(kind), plural, namespaced)

    def collection(self, namespace: str | None) -> str:
        """Return the path of all objects, or of those of one namespace."""
        if namespace is None or not self.namespaced:
            return f"{self.prefix}/{self.plural}"
        return f"{self.prefix}/namespaces/{_segment(namespace, 'namespace')}/{self.plural}"

    def item(self, namespace: str, name: str) -> str:
        """Return the path of one object."""
        return f"{self.collection(namespace)}/{_segment(name, 'name')}"


def group_path(kind: Kind) -> str:
    """Return the path of a kind's API group and version, which is also where discovery asks."""
    prefix = "/apis" if "/" in kind.api_version else "/api"
    group = "/".join(_segment(part, "apiVersion") for part in kind.api_version.split("/"))
    return f"{prefix}/{group}"


def _segment(text: str, what: str) -> str:
    """Quote one segment of a path.

    Empty and dotted segments would change which resource is meant: ``DELETE .../services/`` is
    about all Services.
    """
    if not text or text in {".", ".."} or "/" in text:
        raise Invalid(f"{text!r} cannot be a {what}")
    return quote(text, safe="")


def label_selector(
    labels: Mapping[str, str | frozenset[str]], without: Mapping[str, str] | None = None
) -> str:
    """Return the selector for objects that carry all labels, and none of ``without``.

    Raises Invalid for a value that is no label value: with a comma in it the selector would mean
    something else, and such lists decide what is deleted. So would a set without any value.
    """
    parts = []
    for key, value in labels.items():
        values = [value] if isinstance(value, str) else sorted(value)
        _check_values(key, values)
        parts.append(
            f"{key}={value}" if isinstance(value, str) else f"{key} in ({','.join(values)})"
        )
    for key, value in (without or {}).items():
        _check_values(key, [value])
        parts.append(f"{key}!={value}")
    return ",".join(parts)


def _check_values(key: str, values: list[str]) -> None:
    if not values:
        raise Invalid(f"no value is given for the label {key}")
    for value in values:
        if not re.fullmatch(_LABEL_VALUE, value):
            raise Invalid(f"{value!r} cannot be the value of the label {key}")


def _built_in() -> dict[Kind, Resource]:
    """Return the kinds that every API server has, so that nobody has to ask for them."""
    # What is known of kinds takes time to import, which a start would feel.
    from django_userpods.core import kinds

    return {
        kind: Resource.of(kind, known.plural, namespaced=known.namespaced)
        for kind, known in kinds.built_in()
    }


class Resources:
    """What an API server calls the kinds, asked once for each that not every server has.

    ``call`` sends a request within a deadline and returns the body of its success; ``server``
    returns the server's URL, for an error's text.
    """

    def __init__(
        self, call: Callable[[ApiCall, Deadline], bytes], *, server: Callable[[], str]
    ) -> None:
        self._call, self._server = call, server
        self._known: dict[Kind, Resource] = {}

    def find(self, kind: Kind, deadline: Deadline) -> Resource:
        """Return the resource of a kind; UnknownKind where the server has none."""
        if not self._known:
            self._known = _built_in()
        resource = self._known.get(kind)
        if resource is None:
            resource = self._known[kind] = self._discover(kind, deadline)
        return resource

    def _discover(self, kind: Kind, deadline: Deadline) -> Resource:
        what = f"look up the kind {kind}"
        body = self._call(ApiCall("GET", group_path(kind), what), deadline)
        known = errors.decode(body, what=what, server=self._server())
        for item in known.get("resources") or []:
            if item.get("kind") == kind.kind and "/" not in item["name"]:
                return Resource.of(kind, item["name"], namespaced=bool(item["namespaced"]))
        raise UnknownKind(f"{what}: {self._server()} does not know this kind of object", status=404)
