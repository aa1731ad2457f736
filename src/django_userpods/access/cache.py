"""What ``whoami`` may remember for a few seconds, in the cache that ``USERPODS_CACHE`` names.

Two entries make one answer: what the credentials stand for, and who that user is. Both carry the
same random mark, so that forgetting the user makes every remembered credential void at once.
Only "yes" is ever remembered. Without the setting nothing is; a cache that is down is as good as
none.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from django.core.cache import caches
from django.utils import timezone

from django_userpods.conf import conf
from django_userpods.exceptions import SettingError

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from django.core.cache.backends.base import BaseCache
    from django.http import HttpRequest

logger = logging.getLogger("django_userpods")

#: Seconds after which a user whom no signal spoke of (SQL, ``QuerySet.update``) is out for sure.
TTL = 5
#: Where an authenticator puts the time until which the request's credentials are good.
VALID_UNTIL = "userpods_valid_until"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking, and where their pod is: all that ``whoami`` answers."""

    user_pk: str
    username: str
    name: str
    namespace: str
    address: str | None


def recall(request: HttpRequest) -> Identity | None:
    """Return who the request's credentials stood for a moment ago, or None where not known."""
    cache = _cache()
    if cache is None or not (key := _key_of(request)):
        return None
    try:
        mark, user_pk = cache.get(key) or ("", "")
        known_mark, known = (cache.get(_user_key(user_pk)) or ("", {})) if mark else ("", {})
        return Identity(**known) if mark and secrets.compare_digest(mark, known_mark) else None
    except Exception:
        logger.warning("USERPODS_CACHE could not be read", exc_info=True)
        return None


def remember(request: HttpRequest, identity: Identity) -> None:
    """Remember who the request's credentials stand for, as the database has just said."""
    cache = _cache()
    if cache is None or not (key := _key_of(request)):
        return
    until: datetime.datetime | None = getattr(request, VALID_UNTIL, None)
    left = TTL if until is None else min(TTL, int((until - timezone.now()).total_seconds()))
    if left < 1:
        return
    try:
        mark, known = cache.get(_user_key(identity.user_pk)) or ("", {})
        if known != asdict(identity):
            mark = secrets.token_hex(8)
            cache.set(_user_key(identity.user_pk), [mark, asdict(identity)], TTL)
        cache.set(key, [mark, identity.user_pk], left)
    except Exception:
        logger.warning("USERPODS_CACHE could not be written", exc_info=True)


def forget(user_pks: Iterable[str]) -> None:
    """Forget these users, and with them all their credentials."""
    cache = _cache()
    if cache is None:
        return
    try:
        cache.delete_many([_user_key(str(user_pk)) for user_pk in user_pks])
    except Exception:
        logger.warning("USERPODS_CACHE could not be written", exc_info=True)


def _cache() -> BaseCache | None:
    try:
        alias = conf.cache
    except SettingError:
        # The system check says so; a request is not the place.
        return None
    return None if alias is None else caches[alias]


def _key_of(request: HttpRequest) -> str:
    """Return the key of the request's credentials; nothing where they cannot be remembered."""
    for authenticator in conf.authenticators:
        fingerprint: Any = getattr(authenticator, "fingerprint", lambda _request: None)(request)
        if fingerprint is None:
            # It may know somebody in this request, so nobody after it is to be asked.
            return ""
        if fingerprint:
            return _key("who", f"{type(authenticator).__qualname__}\0{fingerprint}")
    return ""


def _user_key(user_pk: str) -> str:
    return _key("user", user_pk)


def _key(what: str, text: str) -> str:
    digest = hashlib.sha256(f"{conf.instance}\0{text}".encode("utf-8", "surrogatepass"))
    return f"userpods:{what}:{digest.hexdigest()}"
