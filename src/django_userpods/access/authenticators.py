"""Who is asking: authenticators, tried in order. They ask the database (or its cache) at most once.

docs/authenticators.md says how to write another one.
"""

from __future__ import annotations

import datetime
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.core.exceptions import ValidationError
from django.db import Error, router, transaction
from django.utils import timezone

from django_userpods.access import site_sessions
from django_userpods.access.addresses import SESSION_COOKIE, asked_pod, cookie_name
from django_userpods.access.credentials import VALID_UNTIL, bearer, cookie_values
from django_userpods.conf import conf
from django_userpods.core.addresses import Way
from django_userpods.exceptions import InvalidCredentials, NotLetIn
from django_userpods.joins import with_main_pod
from django_userpods.models import AccessToken, PodSession

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from django.http import HttpRequest

logger = logging.getLogger("django_userpods")

#: ``last_used_at`` of a token is kept no more exactly than this.
_LAST_USED_EVERY = datetime.timedelta(seconds=60)


class Authenticator(ABC):
    """Base of all authenticators."""

    #: Whether it reads an ``Authorization`` that does not hold one of our own tokens. The router
    #: sends those to ``whoami`` only where its ``token_prefix`` is "".
    reads_authorization = False

    @abstractmethod
    def authenticate(self, request: HttpRequest) -> AbstractBaseUser | None:
        """Return the user, or None where the request holds no credentials of this kind.

        ``joins.with_main_pod`` saves a query. Raises InvalidCredentials where the request holds
        credentials of this kind that are not valid: it is refused, unless a later authenticator
        knows who is asking.
        """

    def fingerprint(self, request: HttpRequest) -> str | None:  # noqa: ARG002 - for subclasses
        """Return a text that stands for the request's credentials, found without a query.

        All of what ``authenticate`` reads of the request has to be in it. An empty one says that
        the request holds no credentials of this kind; None that there is no such text, so
        ``USERPODS_CACHE`` is not used for what this authenticator or a later one decides.
        """
        return None


class SessionAuthenticator(Authenticator):
    """Django's session cookie. A session that is stale counts as none."""

    def authenticate(self, request: HttpRequest) -> AbstractBaseUser | None:
        session: Any = getattr(request, "session", None)
        if session is None or SESSION_KEY not in session:
            return None
        if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
            return None
        model: Any = get_user_model()
        try:
            pk = model._meta.pk.to_python(session[SESSION_KEY])  # noqa: SLF001 - documented name
        except ValidationError:
            return None
        users = model._default_manager.filter(pk=pk)  # noqa: SLF001
        # Not `first`, which puts them in order: a third of what Django does here.
        user = next(iter(with_main_pod(users, asked_pod(request) or "").order_by()), None)
        if user is None or not site_sessions.is_good_hash(session.get(HASH_SESSION_KEY), user):
            return None
        return user  # type: ignore[no-any-return]

    def fingerprint(self, request: HttpRequest) -> str | None:
        session: Any = getattr(request, "session", None)
        if session is None or SESSION_KEY not in session:
            return ""
        parts = (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)
        return "\0".join(str(session.get(part, "")) for part in parts)


class PodSessionAuthenticator(Authenticator):
    """The cookie of a pod's host, good for that pod alone.

    One whose site session is over counts as none, as the site's own cookie does.
    """

    def authenticate(self, request: HttpRequest) -> AbstractBaseUser | None:
        secrets = self._secrets(request)
        if not secrets:
            return None
        from django_userpods.access import reach, tickets

        asked = asked_pod(request)
        strangers = []
        for session in PodSession.objects.find_all(secrets, asked or ""):
            user = session.user
            found = None if asked is None else reach.find(user, asked)
            if found is None:
                strangers.append(session)
            elif found.pod.pk == session.pod and tickets.is_alive(session, secrets):
                return self._user_of(request, session)
        # Of a pod that is not theirs, or of none, they are told that it is not, unless another one
        # of these is of this pod.
        for session in strangers:
            if tickets.is_alive(session, secrets):
                return self._user_of(request, session)
        return None

    def _user_of(self, request: HttpRequest, session: PodSession) -> AbstractBaseUser:
        setattr(request, VALID_UNTIL, session.expires_at)
        return session.user

    def fingerprint(self, request: HttpRequest) -> str | None:
        return "\0".join(map(AccessToken.digest_of, self._secrets(request)))

    def _secrets(self, request: HttpRequest) -> list[str]:
        where = conf.USERPODS_URL
        if where is None or where.way is Way.PATHS:
            return []
        return cookie_values(request, cookie_name(SESSION_COOKIE))


class TokenAuthenticator(Authenticator):
    """``Authorization: Bearer <token>`` (RFC 6750), and tokens in the token cookie.

    What does not begin as our tokens do is an application's own, and no credential. One that is
    valid is enough.
    """

    def authenticate(self, request: HttpRequest) -> AbstractBaseUser | None:
        texts = self._texts(request)
        if not texts:
            return None
        tokens = AccessToken.objects.find_all(texts, asked_pod(request) or "")
        valid = [token for token in tokens if token.is_valid]
        if not valid:
            message = "unknown, expired or revoked"
            raise InvalidCredentials(message)
        token = next((token for token in valid if token.user.is_active), valid[0])
        _note_use(token)
        setattr(request, VALID_UNTIL, token.expires_at)
        return token.user

    def fingerprint(self, request: HttpRequest) -> str | None:
        return "\0".join(map(AccessToken.digest_of, self._texts(request)))

    def _texts(self, request: HttpRequest) -> list[str]:
        texts = [bearer(request), *cookie_values(request, conf.USERPODS_TOKEN_COOKIE)]
        return [text for text in texts if text.startswith(AccessToken.PREFIX)]


class Visitor(NamedTuple):
    """Who is asking, and the index in ``USERPODS_AUTHENTICATORS`` of the one that said so."""

    user: AbstractBaseUser
    decided: int
    #: Whether they ask about a pod that another shares with them, and until when.
    is_guest: bool = False
    until: datetime.datetime | None = None

    @property
    def is_staff(self) -> bool:
        """Whether they may read what is meant for administrators."""
        return bool(getattr(self.user, "is_staff", False))


def authenticate(request: HttpRequest) -> Visitor | None:
    """Return who is asking, None for nobody; raise InvalidCredentials for bad credentials.

    One credential that is good is enough, whatever others are beside it. A user who is inactive or
    not selected is nobody to let in: NotLetIn. Where ``USERPODS_SELECT`` cannot tell:
    Undecided.
    """
    from django_userpods.access import reach

    refused: InvalidCredentials | None = None
    for index, authenticator in enumerate(conf.USERPODS_AUTHENTICATORS):
        try:
            user: AbstractBaseUser | None = authenticator.authenticate(request)
            if user is not None:
                if reach.is_let_in(user):
                    return Visitor(user, index)
                message = "inactive or not selected"
                raise NotLetIn(message)
        except InvalidCredentials as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return None


def _note_use(token: AccessToken) -> None:
    """Note when a token was used; a database that cannot be written to keeps nobody out."""
    now = timezone.now()
    if token.last_used_at is not None and now - token.last_used_at <= _LAST_USED_EVERY:
        return
    alias = router.db_for_write(AccessToken, instance=token)
    try:
        # A savepoint where the request has a transaction (ATOMIC_REQUESTS), which goes on.
        with transaction.atomic(using=alias):
            AccessToken.objects.using(alias).filter(pk=token.pk).update(last_used_at=now)
    except Error:
        logger.warning("token %s: when it was used could not be noted", token.pk, exc_info=True)
