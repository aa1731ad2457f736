"""Which cluster is meant: the one context of a kubeconfig that the settings name.

The current context of whoever runs a command is not an answer: it is whatever that person looked
at last, and a sync deletes. Nothing here connects or imports the official client, so that a
system check can ask, too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from django_userpods.clusters.kubernetes import errors
from django_userpods.exceptions import ClusterConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Where ``kubectl`` looks when nothing says otherwise.
DEFAULT = "~/.kube/config"
#: Values that are paths, and relative to the file that they are in.
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_PROXY_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})
#: RFC 9110, 5.6.2: what a header's name may hold, without the "%" of the escapes.
_HEADER_NAME = "!#$&'*+-.^_`|~"
#: Maximum number of contexts listed in an error's text.
_LISTED = 20


class Context(NamedTuple):
    """One context of a kubeconfig, with its cluster and its user; paths are absolute.

    ``file`` is the kubeconfig (or several, as in ``KUBECONFIG``) for an error's text; ``folder``
    is that of the file which has the user: where an exec plugin's relative path begins.
    """

    name: str
    file: str
    cluster: dict[str, Any]
    user: dict[str, Any]
    folder: Path

    @property
    def server(self) -> str:
        """The URL of the API server, without credentials that may be in it."""
        return errors.public_url(str(self.cluster.get("server") or ""))

    @property
    def proxy(self) -> str:
        """``proxy-url``, or empty; ClusterConfigurationError for what is no proxy's URL."""
        url = self.cluster.get("proxy-url") or ""
        parts = urlsplit(str(url))
        if url and (parts.scheme not in _PROXY_SCHEMES or not parts.hostname):
            raise ClusterConfigurationError(
                f"the kubeconfig {self.file}, context {self.name}: proxy-url is "
                f"{errors.public_url(str(url))!r}, which is not the URL of a proxy; "
                f"it begins with {', '.join(sorted(_PROXY_SCHEMES))}"
            )
        return str(url)

    @property
    def impersonation(self) -> tuple[tuple[str, str], ...]:
        """The headers for ``as``, ``as-uid``, ``as-groups`` and ``as-user-extra``.

        See Kubernetes, "User impersonation". Raises ClusterConfigurationError.
        """
        try:
            headers = list(_impersonation(self.user))
        except (TypeError, AttributeError):
            headers = []
            broken = True
        else:
            broken = bool(headers) and headers[0][0] != "Impersonate-User"
        if broken:
            raise ClusterConfigurationError(
                f"the kubeconfig {self.file}, context {self.name}: 'as' has to be a user's name, "
                "'as-uid' text, 'as-groups' a list, 'as-user-extra' lists by name; and none of "
                "them goes without 'as'"
            )
        return tuple(headers)

    def as_dict(self, user: dict[str, Any]) -> dict[str, Any]:
        """Return a kubeconfig of this context alone, with another user's data."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "one",
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
            "clusters": [{"name": "one", "cluster": self.cluster}],
            "users": [{"name": "one", "user": user}],
        }


def mentions(context: str, *, kubeconfig: str | None) -> bool:
    """Tell whether something of a context's name is in the files, at a glance at their lines.

    For a system check: reading YAML takes longer than all else that we do when Django starts. A
    kubeconfig that does not have the name as ``kubectl`` writes it has to be read to know.
    """
    line = re.compile(rf"^[ -]*name: ([\"']?){re.escape(context)}\1 *$", re.MULTILINE)
    try:
        return any(
            line.search(file.read_text(encoding="utf-8"))
            for file in _files(kubeconfig)
            if file.exists()
        )
    except (OSError, ValueError):
        return False


def _files(kubeconfig: str | None) -> list[Path]:
    text = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT
    return [Path(part).expanduser() for part in text.split(os.pathsep) if part]


def find(*, kubeconfig: str | None, context: str | None) -> Context:
    """Return the context that is named; ClusterConfigurationError where none or no one is.

    ``context`` is looked for in ``kubeconfig``, else where ``KUBECONFIG`` points, else in
    ``~/.kube/config``. A ``kubeconfig`` with a single context needs no more.
    """
    text = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT
    files = _files(kubeconfig)
    missing = [file for file in files if not file.exists()]
    files = [file for file in files if file not in missing]
    if missing and files and kubeconfig is not None and context is None:
        # The single context of those that are there need not be the one that is meant.
        raise ClusterConfigurationError(
            f"no cluster is named: of the kubeconfig {text} the file {missing[0]} is not there; "
            'say which context is meant, as "context" beside "kubeconfig" in OPTIONS of '
            "USERPODS_CLUSTER"
        )
    if not files:
        named = "" if kubeconfig or context else "no cluster is named, and "
        raise ClusterConfigurationError(
            f"no cluster to speak to: {named}there is no kubeconfig at {text}. Name one in "
            "OPTIONS of USERPODS_CLUSTER, as 'kubeconfig' or as a 'context' of yours, or run in "
            "a pod whose service account token is mounted"
        )
    try:
        return _find(_read(files), text, named=kubeconfig is not None, context=context)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ClusterConfigurationError(
            f"the kubeconfig {text} is malformed ({type(error).__name__})"
        ) from error


def _find(
    found: dict[str, dict[str, tuple[Any, Path]]], text: str, *, named: bool, context: str | None
) -> Context:
    contexts = found["contexts"]
    if not contexts:
        raise ClusterConfigurationError(f"the kubeconfig {text} cannot be used: it has no context")
    there = f"{text} has {_listed(contexts)}"
    if context is None:
        if not named:
            raise ClusterConfigurationError(
                "no cluster is named: outside of a pod, say which one is meant, as "
                '"OPTIONS": {"context": "..."} in USERPODS_CLUSTER; '
                f"{there}. The current context of whoever runs this is not taken for an answer"
            )
        if len(contexts) > 1:
            raise ClusterConfigurationError(
                "no cluster is named: the kubeconfig has several contexts; say which one is "
                f'meant, as "context" beside "kubeconfig" in OPTIONS of USERPODS_CLUSTER; {there}'
            )
        context = next(iter(contexts))
    elif context not in contexts:
        raise ClusterConfigurationError(f"there is no context {context!r}: {there}")
    names = contexts[context][0]["context"]
    cluster, user = names.get("cluster"), names.get("user")
    if cluster not in found["clusters"] or (user and user not in found["users"]):
        missing = f"user {user!r}" if cluster in found["clusters"] else f"cluster {cluster!r}"
        raise ClusterConfigurationError(
            f"the kubeconfig {text} cannot be used: context {context} names the {missing}, "
            "which is not there"
        )
    cluster_item, cluster_file = found["clusters"][cluster]
    user_item, user_file = found["users"][user] if user else ({}, cluster_file)
    return Context(
        name=context,
        file=text,
        cluster=_with_paths(cluster_item.get("cluster") or {}, cluster_file.parent),
        user=_with_paths(user_item.get("user") or {}, user_file.parent),
        folder=user_file.parent.absolute(),
    )


def _read(files: list[Path]) -> dict[str, dict[str, tuple[Any, Path]]]:
    """Return contexts, clusters and users by name, each with its file; the first file wins."""
    import yaml
    from yaml import MarkedYAMLError, YAMLError

    # In C where PyYAML was built with it: a kubeconfig may be long.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    found: dict[str, dict[str, tuple[Any, Path]]] = {"contexts": {}, "clusters": {}, "users": {}}
    for file in files:
        try:
            content = yaml.load(file.read_text(encoding="utf-8"), loader)  # noqa: S506 - a safe one
        except YAMLError as error:
            # Its text quotes the file, and that may be a token.
            mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
            line = f" (line {mark.line + 1})" if mark is not None else ""
            raise ClusterConfigurationError(f"the kubeconfig {file} is not YAML{line}") from error
        except OSError as error:
            raise ClusterConfigurationError(
                f"the kubeconfig {file} cannot be read: {error.strerror or error}"
            ) from error
        for section, entries in found.items():
            here: set[str] = set()
            for item in (content or {}).get(section) or []:
                if item["name"] in here:
                    # kubectl refuses it as well: nobody knows which of the two is meant.
                    raise ClusterConfigurationError(
                        f"the kubeconfig {file} cannot be used: it has several {section} called "
                        f"{item['name']!r}; leave one, or rename them"
                    )
                here.add(item["name"])
                entries.setdefault(item["name"], (item, file))
    return found


def _with_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a cluster or a user with its paths made absolute."""
    absolute = {name: str(folder.absolute() / values[name]) for name in _PATHS if values.get(name)}
    return {**values, **absolute}


def _impersonation(user: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if user.get("as"):
        yield "Impersonate-User", _value(user["as"])
    if user.get("as-uid"):
        yield "Impersonate-Uid", _value(user["as-uid"])
    for group in _list(user.get("as-groups")):
        yield "Impersonate-Group", _value(group)
    for name, values in (user.get("as-user-extra") or {}).items():
        for value in _list(values):
            yield f"Impersonate-Extra-{quote(name, safe=_HEADER_NAME)}", _value(value)


def _list(values: object) -> list[Any]:
    if values is not None and not isinstance(values, list):
        raise TypeError
    return values or []


def _value(text: object) -> str:
    if not isinstance(text, str) or not text.isprintable():
        raise TypeError
    # The official client sends headers as Latin-1, and the API server reads UTF-8.
    return text.encode().decode("latin-1")


def _listed(names: Iterable[str]) -> str:
    every = sorted(str(name) for name in names)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    word = "context" if len(every) == 1 else "contexts"
    return f"the {word} {', '.join(every[:_LISTED])}{more}"
