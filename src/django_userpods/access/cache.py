"""What ``whoami`` may remember for a few seconds, in the cache that ``USERPODS_CACHE`` names.

An answer is stored under the pod that it is about and the request's credentials: those of the
authenticator that decided and of all before it, which had to know nobody. It carries its user's
*generation*, a random text in the cache. Forgetting a user is writing another generation: all their
answers are void from then on. One about a pod that is shared with its user also carries that of the
pod's guests, who are forgotten all at once.

An answer read from the database before a user is forgotten may come to be written after it. So
forgetting begins with another generation of *everybody*, which a question notes before its first
query. Where that has changed by the time the answer and its user's generation are at hand, the
answer is not stored. Where it has not, the user's generation is the one from before the query, and
does not match any more when the forgetting goes on. This needs no clock and no atomic increment; it
needs a cache that is shared by all processes and reads what was written last (no lagging replica).

Only "yes" is remembered. Without the setting nothing is; a cache that is down is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.cache import caches
from django.utils import timezone

from django_userpods import times
from django_userpods.access.addresses import asked_pod
from django_userpods.access.credentials import VALID_UNTIL
from django_userpods.conf import conf
from django_userpods.exceptions import SettingError

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator

    from django.core.cache.backends.base import BaseCache
    from django.http import HttpRequest

logger = logging.getLogger("django_userpods")

#: Seconds after which a user whom no signal spoke of (SQL, ``QuerySet.update``) is out for sure.
TTL = 5
#: Seconds for which a generation is kept. One that is lost costs a query, nothing else.
_GENERATION_TTL = 3600


class WhoamiAnswer(NamedTuple):
    """Who is asking, and where their pod is: all that ``whoami`` answers."""

    user_pk: str
    username: str
    name: str
    namespace: str
    address: str | None
    #: The pod's ``standing``, and its rules on what counts as use.
    state: str
    activity: str
    #: Whose it is, where that is somebody else who shares it, and until when (seconds since 1970).
    owner_pk: str = ""
    until: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """For how long it is true at most; None where nothing ends it."""
        return None if self.until is None else self.until - timezone.now().timestamp()


class CachedAnswer:
    """The place in the cache for the answer to one request."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._cache = _cache()
        self._keys = [] if self._cache is None else _keys_of(request)
        self._before: str | None = None

    def get(self) -> WhoamiAnswer | None:
        """Return what the request's credentials stood for a moment ago; None where not known.

        To be called before the database is asked, or :meth:`set` stores nothing.
        """
        keys = [key for key in self._keys if key]
        if self._cache is None or not keys:
            return None
        everybody = _everybody()
        with _tolerant("read"):
            found = self._cache.get_many([everybody, *keys])
            self._before = found.get(everybody) or _generation(self._cache, everybody)
            for key in keys:
                if key in found:
                    generation, fields = found[key]
                    answer = WhoamiAnswer(**fields)
                    now = _generations_now(self._cache, answer)
                    is_valid = now is not None and secrets.compare_digest(now, generation)
                    left = answer.seconds_left
                    return answer if is_valid and (left is None or left > 0) else None
        return None

    def set(self, answer: WhoamiAnswer, *, decided: int) -> None:
        """Remember an answer that the authenticator at this index has just given."""
        key = self._keys[decided] if decided < len(self._keys) else ""
        if self._cache is None or not key or self._before is None:
            return
        until: datetime.datetime | None = getattr(self._request, VALID_UNTIL, None)
        left = TTL
        if until is not None:
            left = min(TTL, int((times.stored(until) - timezone.now()).total_seconds()))
        if answer.seconds_left is not None:
            left = min(left, int(answer.seconds_left))
        if left < 1:
            return
        with _tolerant("written"):
            # In this order: see above.
            generation = _generations(self._cache, answer)
            if generation and self._cache.get(_everybody()) == self._before:
                self._cache.set(key, [generation, answer._asdict()], left)


def forget(user_pks: Iterable[str] = (), *, guests_of: Iterable[str] = ()) -> None:
    """Forget what was answered of some users, after the commit of what changed.

    ``guests_of`` are the names of pods: of those, what was answered to whom they are shared with.
    """
    cache = _cache()
    if cache is None:
        return
    with _tolerant("written"):
        # In this order: see above.
        cache.set(_everybody(), _new(), _GENERATION_TTL)
        new = {_of_user(str(user_pk)): _new() for user_pk in user_pks}
        new |= {_of_guests(name): _new() for name in guests_of}
        cache.set_many(new, _GENERATION_TTL)


def _cache() -> BaseCache | None:
    try:
        alias = conf.USERPODS_CACHE
    except SettingError:
        # The system check says so; a request is not the place.
        return None
    return None if alias is None else caches[alias]


@contextmanager
def _tolerant(done: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.warning("USERPODS_CACHE could not be %s", done, exc_info=True)


def _generation(cache: BaseCache, key: str) -> str | None:
    """Return a generation, a new one where there is none; None where the cache keeps nothing."""
    found = cache.get(key)
    if found is None:
        # Somebody else may be quicker: what is there counts.
        cache.add(key, _new(), _GENERATION_TTL)
        found = cache.get(key)
    return found if isinstance(found, str) else None


def _owners(answer: WhoamiAnswer) -> list[str]:
    """Return the keys of all generations that an answer carries."""
    user = _of_user(answer.user_pk)
    return [user, _of_guests(answer.name)] if answer.owner_pk else [user]


def _generations(cache: BaseCache, answer: WhoamiAnswer) -> str | None:
    """Return an answer's generations, new ones where there are none; None as ``_generation``."""
    found = [_generation(cache, key) for key in _owners(answer)]
    return None if None in found else " ".join(map(str, found))


def _generations_now(cache: BaseCache, answer: WhoamiAnswer) -> str | None:
    """Return an answer's generations as they are; None where there is not each of them."""
    found = [cache.get(key) for key in _owners(answer)]
    return " ".join(found) if all(isinstance(one, str) for one in found) else None


def _new() -> str:
    return secrets.token_hex(8)


def _keys_of(request: HttpRequest) -> list[str]:
    """Return, for each authenticator, the key under which its answers to this request are stored.

    They hold the pod that is asked about. An empty one where the request holds nothing for it. The
    list ends before an authenticator without a fingerprint: it may know somebody in the request
    whom only it can tell.
    """
    keys: list[str] = []
    seen: list[tuple[str, str]] = []
    asked = asked_pod(request)
    for authenticator in conf.USERPODS_AUTHENTICATORS:
        fingerprint: Any = getattr(authenticator, "fingerprint", lambda _request: None)(request)
        if fingerprint is None:
            break
        kind = type(authenticator)
        seen.append((f"{kind.__module__}.{kind.__qualname__}", str(fingerprint)))
        keys.append(_key("who", json.dumps([asked, *seen])) if fingerprint else "")
    return keys


def _of_user(user_pk: str) -> str:
    return _key("user", user_pk)


def _of_guests(name: str) -> str:
    return _key("guests", name)


def _everybody() -> str:
    return _key("everybody", "")


def _key(what: str, text: str) -> str:
    digest = hashlib.sha256(f"{conf.USERPODS_INSTANCE}\0{text}".encode("utf-8", "surrogatepass"))
    return f"userpods:{what}:{digest.hexdigest()}"
