"""The rights that Django, or the controller, needs in a cluster: from kinds to rules of a Role."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django_userpods.core.kinds import about
from django_userpods.core.objects import DEPLOYMENT, POD, SERVICE, Kind
from django_userpods.exceptions import ManifestError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_ALL = frozenset({"create", "delete", "get", "list", "patch", "watch"})


def rules_for(
    kinds: Iterable[Kind], *, former: Iterable[Kind] = (), retain: Collection[str] = ()
) -> dict[Kind, frozenset[str]]:
    """Return the verbs that Django needs for each kind.

    ``kinds`` are those of the pod template, ``former`` those that it once made (their objects have
    to be found and deleted), ``retain`` the kinds that are never deleted (by kind alone).
    """
    kinds = {*kinds, DEPLOYMENT, SERVICE}
    rules = {
        kind: frozenset({"delete", "get", "list", "watch"})
        for kind in former
        if kind.kind not in retain
    }
    rules |= {kind: _ALL - {"delete"} if kind.kind in retain else _ALL for kind in kinds}
    rules[POD] = rules.get(POD, frozenset()) | {"list", "watch"}
    return rules


def resource_of(kind: Kind) -> tuple[str, str, bool]:
    """Return (API group, resource, whether that is certain) of a kind.

    For a kind that not every API server has, the resource is what its name suggests, as
    ``kubectl`` itself guesses without asking.
    """
    group = kind.api_version.rpartition("/")[0]
    if (known := about(kind)) is not None:
        return group, known.plural, True
    name = kind.kind.lower()
    if name.endswith("y"):
        return group, name[:-1] + "ies", False
    return group, name + ("es" if name.endswith("s") else "s"), False


def with_rules(text: str, rules: Mapping[Kind, Collection[str]]) -> str:
    """Return a Role's text with these rules in place of those at its end."""
    if not rules:
        return text
    verbs: dict[tuple[str, str], set[str]] = {}
    order = sorted(rules, key=lambda kind: (kind == POD, kind not in (DEPLOYMENT, SERVICE), kind))
    comments: dict[tuple[str, str], list[str]] = {}
    for kind in order:
        group, resource, certain = resource_of(kind)
        key = (group, resource)
        verbs.setdefault(key, set()).update(rules[kind])
        if not certain:
            comments[key] = [
                f"# Guessed from the kind {kind.kind}: compare `kubectl api-resources`."
            ]
        if key == ("", "secrets"):
            comments[key] = ["# With list and get Django reads every Secret of the namespace."]
    lines = []
    for (group, resource), needed in verbs.items():
        lines += [
            f"- apiGroups: [{group or json.dumps('')}]",
            *(f"  {comment}" for comment in comments.get((group, resource), ())),
            f"  resources: [{resource}]",
            f"  verbs: [{', '.join(sorted(needed))}]",
        ]
    head, found, _ = text.rpartition("\nrules:\n")
    if not found:
        message = "rbac: the rules are not at the end of the file"
        raise ManifestError(message)
    return head + found + "\n".join(lines) + "\n"
