"""The site's session that a session on a pod's host came from: named, found again, told alive."""

from __future__ import annotations

import hashlib
import secrets
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.utils import timezone
from django.utils.crypto import constant_time_compare

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

#: Where a site's session holds a name that stays when its key or its data change.
_NAME = "_userpods_name"


def name_of(session: Any) -> str:  # noqa: ANN401 - any engine's
    """Return the digest of a session's name, "" where it has none yet."""
    name = session.get(_NAME)
    return _digest(name) if isinstance(name, str) and name else ""


def named(session: Any) -> str:  # noqa: ANN401 - any engine's
    """Return the digest of a session's name, which it gets if it has none."""
    if not name_of(session):
        session[_NAME] = secrets.token_urlsafe(16)
        # Now: signed cookies have their data for a key.
        session.save()
    return name_of(session)


def load(key: str) -> Any:  # noqa: ANN401 - any engine's
    """Return the session of a key; empty where there is none any more."""
    return import_module(settings.SESSION_ENGINE).SessionStore(session_key=key)


def is_of(session: Any, user: AbstractBaseUser) -> bool:  # noqa: ANN401 - any engine's
    """Tell whether a session is this user's, and of their present password."""
    if SESSION_KEY not in session:
        return False
    is_theirs = session[SESSION_KEY] == user._meta.pk.value_to_string(user)  # noqa: SLF001 - documented name
    is_known = session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    return is_theirs and is_known and is_good_hash(session.get(HASH_SESSION_KEY), user)


def end_all_of(user: AbstractBaseUser) -> bool:
    """End all of a user's sessions of the site; False where the engine keeps no list of them.

    Engines with a table (``db``, ``cached_db``) do; whose a session is stands inside of it, so each
    that has not expired is read.
    """
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        return False
    own = user._meta.pk.value_to_string(user)  # noqa: SLF001 - documented name
    reader = store()
    rows = store.get_model_class().objects.filter(expire_date__gt=timezone.now())
    found = rows.values_list("session_key", "session_data").iterator()
    for key in [key for key, data in found if reader.decode(data).get(SESSION_KEY) == own]:
        store(session_key=key).delete()
    return True


def is_good_hash(stored: str | None, user: AbstractBaseUser) -> bool:
    """Tell whether the session is of the user's present password, as Django's own check does."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    good = [user.get_session_auth_hash()]
    if hasattr(user, "get_session_auth_fallback_hash"):
        good += user.get_session_auth_fallback_hash()
    return bool(stored) and any(constant_time_compare(stored or "", value) for value in good)


def seal(key: str, secret: str) -> str:
    """Return a session's key, to be read with the secret alone.

    The secret is 256 random bits and seals one text, so a one-time pad drawn from it will do.
    """
    return _padded(key.encode(), secret).hex()


def unseal(sealed: str, secret: str) -> str:
    """Return the key that was sealed with this secret."""
    return _padded(bytes.fromhex(sealed), secret).decode("utf-8", "replace")


def _padded(data: bytes, secret: str) -> bytes:
    pad = hashlib.shake_256(b"userpods site session\0" + secret.encode()).digest(len(data))
    return bytes(one ^ other for one, other in zip(data, pad, strict=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
