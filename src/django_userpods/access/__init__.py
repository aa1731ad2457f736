"""Who may reach which pod: authenticators, the cache of their answers, and telling routers."""

from __future__ import annotations

from django_userpods.access.adapters import (
    JWTAuthenticator,
    RemoteUserAuthenticator,
    RestFrameworkAuthenticator,
)
from django_userpods.access.authenticators import (
    Authenticator,
    PodSessionAuthenticator,
    SessionAuthenticator,
    TokenAuthenticator,
)
from django_userpods.exceptions import InvalidCredentials
from django_userpods.joins import with_main_pod

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
