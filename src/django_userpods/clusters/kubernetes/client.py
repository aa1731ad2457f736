"""The official client: whether one that will do is installed, and importing it.

It is an extra of ours, since its newest versions want others of packages that projects pin. The
only module that imports ``kubernetes``.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django_userpods.exceptions import ClusterConfigurationError

_REMEDY = "pip install 'django-userpods[kubernetes]'"
#: Before it, NO_PROXY does not count.
_OLDEST = (19, 15)
#: They sent unauthenticated requests in clusters.
_UNAUTHENTICATED = ((36, 0, 0), (36, 0, 1), (36, 0, 2))


def problem() -> str:
    """Return why there is no client that can be used, and what to do; "" where there is one.

    Imports nothing, so it costs a start next to nothing: the version is read from the package's own
    file, a fifth of a millisecond, where ``importlib.metadata`` takes ten.
    """
    try:
        spec = find_spec("kubernetes")
    except ValueError:
        return ""  # a module that somebody put in its place
    # A folder of this name without a package in it, as of manifests, has no origin.
    if spec is None or spec.origin is None:
        return f"no Kubernetes client is installed: {_REMEDY}"
    version = _version(Path(spec.origin))
    if version[:2] < _OLDEST:
        why = "is older than 19.15"
    elif version in _UNAUTHENTICATED:
        why = "sends requests without credentials in clusters"
    else:
        return ""
    number = ".".join(map(str, version))
    return f"the Kubernetes client that is installed, {number}, {why}: {_REMEDY}"


def _version(file: Path) -> tuple[int, ...]:
    """Return the version that a package's file states, as (36, 0, 3); a high one if it does not."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""  # in an archive
    found = re.search(r"^__version__ = ['\"](\d+)\.(\d+)(?:\.(\d+))?", text, re.MULTILINE)
    return tuple(int(part or 0) for part in found.groups()) if found else (1000,)


@cache
def modules() -> tuple[Any, Any]:
    """Import the client, which takes a second: its ``client`` and its ``config``.

    Raises ClusterConfigurationError where there is none that can be used.
    """
    if said := problem():
        raise ClusterConfigurationError(said)
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise ClusterConfigurationError(
            f"the Kubernetes client that is installed cannot be imported ({error}): {_REMEDY}"
        ) from error
    return client, config


def is_loaded() -> bool:
    """Tell whether it has been imported in this process."""
    return modules.cache_info().currsize > 0
