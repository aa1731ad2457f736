"""Ask the routers when each pod was used last.

They are asked, and tell nobody by themselves: so nothing has to be believed that comes in from the
network, and nobody but who may reach a router's internal port learns of it.
"""

from __future__ import annotations

import datetime
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.utils import timezone

from django_userpods.conf import conf
from django_userpods.exceptions import NothingHeard

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that one router may take, and the most bytes of its answer.
_TIMEOUT, _LONGEST = 3.0, 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """What all routers say together."""

    #: When each pod was used last, by its name; those that were not lately are left out. In whole
    #: seconds, rounded up to no later than the answer: those of one second are noted together.
    used: dict[str, datetime.datetime]
    #: Since when all of them know: the start of the youngest.
    since: datetime.datetime


def ask(*, within: float) -> Heard:
    """Ask every router of ``USERPODS_ROUTERS`` for the pods used in the last ``within`` seconds.

    Raises NothingHeard where there is none, or one does not say: what it knows is missing then.
    """
    urls = conf.USERPODS_ROUTERS
    if not urls:
        message = "USERPODS_ROUTERS names none"
        raise NothingHeard(message)
    used: dict[str, datetime.datetime] = {}
    since: datetime.datetime | None = None
    for url in urls:
        for host, address, port, path in _routers(url):
            words = _answer(host, address, port, f"{path}?within={within:.0f}")
            now = timezone.now()
            try:
                begun = now - datetime.timedelta(seconds=float(words["since"]))
                for name, ago in words["pods"].items():
                    at = now - datetime.timedelta(seconds=max(0.0, float(ago)))
                    at = min(now, _whole_second(at))
                    used[name] = max(at, used.get(name, at))
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                message = f"router {host} at {address} gave no proper answer: {error!r}"
                raise NothingHeard(message) from error
            since = begun if since is None else max(since, begun)
    assert since is not None  # noqa: S101 - every URL has an address, or raises
    return Heard(used, since)


def _whole_second(at: datetime.datetime) -> datetime.datetime:
    """Return the first whole second from a time on, so that no use seems older than it is."""
    return at + datetime.timedelta(microseconds=-at.microsecond % 1_000_000)


def _routers(url: str) -> Iterator[tuple[str, str, int, str]]:
    """Yield host, address, port and path of each router behind a URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        message = f"router {url}: {error}"
        raise NothingHeard(message) from error
    for address in sorted({str(info[4][0]) for info in found}):
        yield host, address, port, f"{parts.path.rstrip('/')}/activity"


def _answer(host: str, address: str, port: int, path: str) -> dict[str, Any]:
    from urllib3.exceptions import HTTPError

    from django_userpods.clusters.kubernetes.bounded import pool_of

    with pool_of(address, port, seconds=_TIMEOUT) as pool:
        try:
            response = pool.request(
                "GET", path, headers={"Host": host}, retries=False, preload_content=False
            )
            body = response.read(_LONGEST)
        except (HTTPError, OSError) as error:
            message = f"router {host} at {address}: {error}"
            raise NothingHeard(message) from error
    try:
        words = json.loads(body) if response.status == 200 else None
    except ValueError:
        words = None
    if not isinstance(words, dict):
        message = f"router {host} at {address} answered {response.status} to /activity"
        raise NothingHeard(message)
    return words
