"""Tell the routers that what they remember of a user, or of a pod's guests, is void.

That is at logout, deactivation and deletion, when a pod's address is another than before, and when
it is shared with others than before.

In the background and at most once: a router that was not reached forgets by itself when its
cached answer expires. Each router has a *lane*, a thread that lives as long as there is something
to tell it, so one that is dead or slow delays no other. Looking up a router's name is a lane, too:
a headless Service's name has an address for each router. No proxy is ever used.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from django_userpods.cluster import is_inert
from django_userpods.conf import conf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger("django_userpods")

#: Seconds that one router may take to answer.
TIMEOUT = 2.0
#: Maximum number of purges waiting in a lane.
_MOST_WAITING = 10_000


class _Router(NamedTuple):
    """One router: an address, the name that it was found under, and where it takes purges."""

    address: str
    port: int
    host: str
    path: str


class _Whom(NamedTuple):
    """Who is to be forgotten, as a router is told: a user's key, or the name of a pod."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{'user' if self.key == 'user_id' else 'guests of'} {self.value}"


#: Who waits in each lane, by its URL or router. A lane is here while its thread lives.
_lanes: dict[str | _Router, dict[_Whom, None]] = {}
_changed = threading.Condition()


def purge(user_pk: str) -> None:
    """Ask every router of ``USERPODS_ROUTERS`` to forget the user; returns at once."""
    _purge(_Whom("user_id", user_pk))


def purge_guests(name: str) -> None:
    """Ask every router to forget whom the pod of this name is shared with; returns at once."""
    _purge(_Whom("guests_of", name))


def _purge(whom: _Whom) -> None:
    # The routers of the settings are the cluster's, and a test's user is none of theirs.
    for url in [] if is_inert() else conf.USERPODS_ROUTERS:
        _put(url, [whom], partial(_look_up, url))


def wait_idle(seconds: float | None = None) -> bool:
    """Wait until everything asked for has been tried, for at most ``seconds`` (None: for ever).

    Returns whether all was tried.
    """
    with _changed:
        return _changed.wait_for(lambda: not _lanes, seconds)


def _put(key: str | _Router, those: Iterable[_Whom], work: Callable[[list[_Whom]], None]) -> None:
    """Add purges to a lane, and start its thread if there is none."""
    with _changed:
        is_new = key not in _lanes
        waiting = _lanes.setdefault(key, {})
        for whom in those:
            if len(waiting) >= _MOST_WAITING:
                logger.warning("too many purges wait; %s is left to expire", whom)
            else:
                waiting[whom] = None
    if not is_new:
        return
    thread = threading.Thread(target=_serve, args=(key, work), name="userpods-purge", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # There are too many, or the interpreter is about to end.
        _serve(key, work)


def _serve(key: str | _Router, work: Callable[[list[_Whom]], None]) -> None:
    """Do a lane's work until there is none left."""
    while True:
        with _changed:
            those = list(_lanes[key])
            if not those:
                del _lanes[key]
                _changed.notify_all()
                return
            _lanes[key].clear()
        try:
            work(those)
        except Exception:
            logger.exception("router %s: %d purge(s) are left to expire", key, len(those))


def _look_up(url: str, those: list[_Whom]) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        logger.warning("router %s: %s", url, error)
        return
    path = f"{parts.path.rstrip('/')}/purge"
    for address in sorted({str(info[4][0]) for info in found}):
        router = _Router(address, port, host, path)
        _put(router, those, partial(_tell, router))


def _tell(router: _Router, those: list[_Whom]) -> None:
    """Tell one router of some purges; the first time that it cannot be reached is the last."""
    # Not at the start of every process.
    import urllib3

    headers = {"Content-Type": "application/json", "Host": router.host}
    timeout = urllib3.Timeout(total=TIMEOUT)
    with urllib3.HTTPConnectionPool(router.address, router.port, timeout=timeout) as pool:
        for number, whom in enumerate(those):
            body = json.dumps({whom.key: whom.value})
            try:
                response = pool.request(
                    "POST", router.path, body=body, headers=headers, retries=False
                )
            except (urllib3.exceptions.HTTPError, OSError) as error:
                logger.warning(
                    "router %s at %s: %s; %d purge(s) are left to expire",
                    router.host,
                    router.address,
                    error,
                    len(those) - number,
                )
                return
            if response.status >= 300:
                logger.warning(
                    "router %s at %s: answered %d to the purge of %s",
                    router.host,
                    router.address,
                    response.status,
                    whom,
                )


def _after_fork() -> None:
    """Begin anew: a child has none of its parent's threads, and the parent goes on telling."""
    global _changed
    _changed = threading.Condition()
    _lanes.clear()


os.register_at_fork(after_in_child=_after_fork)
# A command may end right after what it did to a user.
atexit.register(wait_idle, TIMEOUT + 1)
