"""Credentials that another library of the project validates.

None of these libraries is a dependency: each is imported where its adapter is named in
``USERPODS_AUTHENTICATORS``, whose check says so if it is missing. docs/authenticators.md says which
is for what.
"""

from __future__ import annotations

import datetime
import functools
import json
import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib.auth import authenticate as by_backends
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils.module_loading import import_string

from django_userpods import setting
from django_userpods.access.addresses import asked_pod
from django_userpods.access.authenticators import Authenticator
from django_userpods.access.credentials import VALID_UNTIL, bearer
from django_userpods.exceptions import InvalidCredentials, Undecided
from django_userpods.joins import with_main_pod
from django_userpods.models import AccessToken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.contrib.auth.models import AbstractBaseUser
    from django.http import HttpRequest

logger = logging.getLogger("django_userpods")

_SETTING = "USERPODS_AUTHENTICATORS"
#: Seconds that fetching an issuer's keys may take, that they are kept, and after which one that is
#: not among them has them fetched again: else anybody could have that done with each request.
_FETCH, _KEPT, _FETCH_EVERY = 5, 3600, 30


class RestFrameworkAuthenticator(Authenticator):
    """Whom the authentication classes of Django REST framework know: tokens, JWT, OAuth, OIDC.

    Without ``authentication_classes`` they are the project's own
    (``DEFAULT_AUTHENTICATION_CLASSES``), but for those by session, which need no adapter.
    """

    reads_authorization = True
    #: Dotted paths, or the classes themselves.
    authentication_classes: ClassVar[Sequence[Any]] = ()
    #: All headers that these classes read, where that is known: answers may then be remembered.
    headers: ClassVar[Sequence[str]] = ()

    def __init__(self) -> None:
        try:
            from rest_framework import exceptions
            from rest_framework.authentication import SessionAuthentication
            from rest_framework.request import Request
            from rest_framework.settings import api_settings
        except ImportError as error:
            raise _missing(self, "djangorestframework", error) from error
        self._errors, self._request = exceptions, Request
        given = self.authentication_classes or api_settings.DEFAULT_AUTHENTICATION_CLASSES
        try:
            classes = [import_string(one) if isinstance(one, str) else one for one in given]
        except ImportError as error:
            message = f"has {type(self).__name__}, whose authentication_classes: {error}"
            raise setting.invalid(_SETTING, message, "Correct the path.") from error
        self._classes = [one for one in classes if not issubclass(one, SessionAuthentication)]
        if not self._classes:
            message = f"has {type(self).__name__}, which has no authentication_classes"
            hint = "Give it some, or set REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES']."
            raise setting.invalid(_SETTING, message, hint)

    def authenticate(self, request: HttpRequest) -> AbstractBaseUser | None:
        if bearer(request).startswith(AccessToken.PREFIX):
            return None
        wrapped = self._request(request)
        for one in self._classes:
            try:
                found = one().authenticate(wrapped)
            except self._errors.APIException as error:
                if error.status_code >= 500:
                    raise Undecided(str(error)) from error
                raise InvalidCredentials(str(error)) from error
            except OSError as error:
                # Of whom the class asks over the network; exceptions of requests are such, too.
                raise Undecided(f"{type(error).__name__}: {error}") from error
            if found is not None and found[0] is not None and found[0].is_authenticated:
                _note_expiry(request, found[1])
                return found[0]  # type: ignore[no-any-return]
        return None

    def fingerprint(self, request: HttpRequest) -> str | None:
        if not self.headers:
            return None
        found = [request.headers.get(name, "") for name in self.headers]
        return json.dumps(found) if any(found) else ""


class JWTAuthenticator(Authenticator):
    """``Authorization: Bearer <JWT>`` of one issuer, validated by PyJWT: OIDC, or a key of yours.

    To be subclassed, with what is to be believed. A bearer that is no JWT, or another issuer's,
    counts as none.
    """

    reads_authorization = True
    #: Who signs (``iss``), and for whom (``aud``). Without the latter, tokens for any other
    #: application of the same issuer would do.
    issuer: ClassVar[str] = ""
    audience: ClassVar[str] = ""
    #: Where the issuer's keys are, or the key itself: a public one (PEM), or a secret for HS256.
    jwks_url: ClassVar[str] = ""
    key: ClassVar[str] = ""
    algorithms: ClassVar[Sequence[str]] = ("RS256", "ES256")
    #: The claim that names the user, and the field of the user model to find it in ("": the
    #: username's).
    claim: ClassVar[str] = "sub"
    field: ClassVar[str] = ""

    def __init__(self) -> None:
        try:
            import jwt
        except ImportError as error:
            raise _missing(self, "pyjwt[crypto]", error) from error
        self._jwt = jwt
        name = type(self).__name__
        for wanted in ("issuer", "audience"):
            if not getattr(self, wanted):
                message = f"has {name}, which says no {wanted}"
                raise setting.invalid(_SETTING, message, f"Give the class an {wanted}.")
        if bool(self.key) == bool(self.jwks_url):
            message = f"has {name}, which has {'both' if self.key else 'neither'} of key, jwks_url"
            raise setting.invalid(_SETTING, message, "Give the class one of them.")
        if self.jwks_url and any(one.upper().startswith("HS") for one in self.algorithms):
            message = f"has {name}, which takes public keys for secrets ({self.algorithms})"
            raise setting.invalid(_SETTING, message, "Leave HS256 and its like to a secret key.")

    def authenticate(self, request: HttpRequest) -> AbstractBaseUser | None:
        text = self.fingerprint(request)
        if not text:
            return None
        jwt = self._jwt
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                _keys_at(self.jwks_url).key_of(text) if self.jwks_url else self.key,
                algorithms=list(self.algorithms),
                issuer=self.issuer,
                audience=self.audience,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as error:
            raise InvalidCredentials(str(error)) from error
        if self.claim == "email" and claims.get("email_verified") is not True:
            message = "an address that the issuer has not verified"
            raise InvalidCredentials(message)
        user = self._user_of(request, claims.get(self.claim))
        _note_expiry(request, claims)
        return user

    def fingerprint(self, request: HttpRequest) -> str:
        text = bearer(request)
        if text.count(".") != 2:
            return ""
        try:
            claims = self._jwt.decode(text, options={"verify_signature": False})
        except self._jwt.InvalidTokenError:
            return ""
        return text if claims.get("iss") == self.issuer else ""

    def _user_of(self, request: HttpRequest, value: object) -> AbstractBaseUser:
        model: Any = get_user_model()
        field = self.field or model.USERNAME_FIELD
        users = model._default_manager.all()  # noqa: SLF001 - documented name
        try:
            rows = users.filter(**{field: value}) if value else users.none()
            found = list(with_main_pod(rows, asked_pod(request) or "")[:2])
        except (ValueError, TypeError, ValidationError):
            found = []
        if len(found) != 1:
            message = f"{len(found)} users of this {self.claim}"
            raise InvalidCredentials(message)
        return found[0]  # type: ignore[no-any-return]


class RemoteUserAuthenticator(Authenticator):
    """Whom the server in front of Django names in ``REMOTE_USER``, as ``RemoteUserBackend`` has it.

    Only where that server, and nobody else, can set it. The router's own question to ``whoami``
    does not come through such a server: see docs/authenticators.md.
    """

    #: The name in ``request.META``.
    variable: ClassVar[str] = "REMOTE_USER"

    def __init__(self) -> None:
        from django.contrib.auth.backends import RemoteUserBackend

        backends = map(import_string, settings.AUTHENTICATION_BACKENDS)
        if not any(issubclass(backend, RemoteUserBackend) for backend in backends):
            message = f"has {type(self).__name__}, and AUTHENTICATION_BACKENDS no RemoteUserBackend"
            hint = (
                "Add 'django.contrib.auth.backends.RemoteUserBackend' to AUTHENTICATION_BACKENDS."
            )
            raise setting.invalid(_SETTING, message, hint)

    def authenticate(self, request: HttpRequest) -> AbstractBaseUser | None:
        name = self.fingerprint(request)
        if not name:
            return None
        user = by_backends(request, remote_user=name)
        if user is None:
            message = "the server names a user whom no backend knows"
            raise InvalidCredentials(message)
        return user

    def fingerprint(self, request: HttpRequest) -> str:
        return str(request.META.get(self.variable, ""))


class _Keys:
    """An issuer's public keys, fetched when they are needed, and no more often than that."""

    def __init__(self, url: str) -> None:
        import jwt

        self._jwt = jwt
        self._client = jwt.PyJWKClient(url, lifespan=_KEPT, timeout=_FETCH)
        self._fetched = float("-inf")

    def key_of(self, text: str) -> Any:  # noqa: ANN401 - of whatever kind
        """Return the key that a token names.

        Raises InvalidTokenError where there is none, Undecided where the keys cannot be had.
        """
        kid = self._jwt.get_unverified_header(text).get("kid")
        try:
            found = self._match(self._client.get_signing_keys(), kid)
            if found is None and time.monotonic() - self._fetched > _FETCH_EVERY:
                self._fetched = time.monotonic()
                found = self._match(self._client.get_signing_keys(refresh=True), kid)
        except self._jwt.PyJWKClientConnectionError as error:
            logger.warning("the keys of an issuer cannot be had: %s", error)
            message = "the keys of an issuer cannot be had"
            raise Undecided(message) from error
        except self._jwt.PyJWTError as error:
            raise self._jwt.InvalidTokenError(str(error)) from error
        if found is None:
            message = "no such key"
            raise self._jwt.InvalidTokenError(message)
        return found.key

    def _match(self, keys: Sequence[Any], kid: str | None) -> Any:  # noqa: ANN401
        if kid is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.key_id == kid), None)


@functools.lru_cache(maxsize=16)
def _keys_at(url: str) -> _Keys:
    """Return the keys of an issuer, one object for all requests of this process."""
    return _Keys(url)


def _note_expiry(request: HttpRequest, claims: Any) -> None:  # noqa: ANN401 - of whatever library
    """Have no answer remembered beyond the time that a token says itself (RFC 7519, ``exp``)."""
    claims = getattr(claims, "payload", claims)
    exp = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(exp, int | float):
        setattr(request, VALID_UNTIL, datetime.datetime.fromtimestamp(exp, datetime.UTC))


def _missing(adapter: Authenticator, package: str, error: ImportError) -> Exception:
    message = f"has {type(adapter).__name__}, which needs {package}: {error}"
    return setting.invalid(_SETTING, message, f"Install it: pip install '{package}'.")
