"""A Kubernetes home for every Django user.

What a project may import is in the ``__all__`` of the modules that docs/api.md names; the most
used of it is here, imported when it is first asked for, since models cannot be before Django is
ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django_userpods.version import __version__

if TYPE_CHECKING:
    from django_userpods.access import Authenticator
    from django_userpods.exceptions import UserpodsError
    from django_userpods.lifecycle import add_pod, remove_pod, share, unshare
    from django_userpods.models import AccessToken, UserPod

__all__ = [
    "AccessToken",
    "Authenticator",
    "UserPod",
    "UserpodsError",
    "__version__",
    "add_pod",
    "remove_pod",
    "share",
    "unshare",
]

_WHERE = {
    "AccessToken": "models",
    "Authenticator": "access",
    "UserPod": "models",
    "UserpodsError": "exceptions",
    "add_pod": "lifecycle",
    "remove_pod": "lifecycle",
    "share": "lifecycle",
    "unshare": "lifecycle",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name in _WHERE:
        return getattr(import_module(f"django_userpods.{_WHERE[name]}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
