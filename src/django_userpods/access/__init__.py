"""Who may reach which pod: authenticators, the cache of their answers, and telling routers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django_userpods.access.authenticators import (
    Authenticator,
    PodSessionAuthenticator,
    SessionAuthenticator,
    TokenAuthenticator,
)
from django_userpods.exceptions import InvalidCredentials
from django_userpods.joins import with_main_pod

if TYPE_CHECKING:
    from django_userpods.access.adapters import (
        JWTAuthenticator,
        RemoteUserAuthenticator,
        RestFrameworkAuthenticator,
    )

__all__ = [
    "Authenticator",
    "InvalidCredentials",
    "JWTAuthenticator",
    "PodSessionAuthenticator",
    "RemoteUserAuthenticator",
    "RestFrameworkAuthenticator",
    "SessionAuthenticator",
    "TokenAuthenticator",
    "with_main_pod",
]

#: What a project has to name before anything imports it.
_ADAPTERS = {"JWTAuthenticator", "RemoteUserAuthenticator", "RestFrameworkAuthenticator"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name in _ADAPTERS:
        return getattr(import_module(f"{__name__}.adapters"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
