"""Ask applications in pods when they were used last, where their template names an address for it.

What a pod answers is its user's word: it can keep that user's own pod running and do nothing else.
"""

from __future__ import annotations

import json
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from django_userpods import times
from django_userpods.core import activity

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from django_userpods.models import UserPod

logger = logging.getLogger("django_userpods")

#: Seconds that one answer may take, its most bytes, and how many are asked at once.
_TIMEOUT, _LONGEST, _AT_ONCE = 3.0, 256 * 1024, 8
#: Seconds after which no more are asked. They are asked in any order, so that those who hang keep
#: nobody else from being asked the next time.
_ALL = 10.0


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    """An application that should say when it was used does not."""


def last_uses(
    pods: Iterable[UserPod], *, now: datetime.datetime
) -> dict[str, datetime.datetime | None]:
    """Return when each of these pods was used by its application's own words, by the rows' ids.

    None for one that says nothing of use. One that cannot be asked is left out, and logged; one
    for which there is no time is left out as well.
    """
    asked = list(pods)
    random.shuffle(asked)
    until = time.monotonic() + _ALL
    found: dict[str, datetime.datetime | None] = {}
    if not asked:
        return found

    def ask(pod: UserPod) -> None:
        if time.monotonic() >= until:
            return
        try:
            said = [_last_use(pod, path, now) for path in activity.addresses(pod.activity)]
        except _Unreadable as error:
            logger.warning("%s: %s; it is not stopped for being idle", pod, error)
        else:
            found[pod.pk] = max((time for time in said if time), default=None)

    with ThreadPoolExecutor(min(_AT_ONCE, len(asked))) as pool:
        list(pool.map(ask, asked))
    return found


def _last_use(pod: UserPod, path: str, now: datetime.datetime) -> datetime.datetime | None:
    # Not in a web process, which imports what is beside this.
    from urllib3.exceptions import HTTPError

    from django_userpods.clusters.kubernetes.bounded import pool_of

    headers = {
        "Host": urlsplit(pod.url).netloc or str(pod.name),
        "Accept": "application/json",
        "X-Userpods-User": quote(pod.owner.get_username(), safe="@+") if pod.owner else "",
    }
    host, _, port = str(pod.address).rpartition(":")
    try:
        with pool_of(host.strip("[]"), int(port), seconds=_TIMEOUT) as pool:
            response = pool.request(
                "GET", path, headers=headers, retries=False, redirect=False, preload_content=False
            )
            body = response.read(_LONGEST + 1)
        if response.status != 200:
            message = f"its application answered {response.status} at {path}"
            raise _Unreadable(message)
        if len(body) > _LONGEST:
            message = f"its application says more at {path} than the {_LONGEST >> 10} KiB it may"
            raise _Unreadable(message)
        found = activity.last_use(json.loads(body), now=times.aware(now))
    except (HTTPError, OSError, ValueError, RecursionError) as error:
        message = f"its application cannot be asked at {path}: {error}"
        raise _Unreadable(message) from error
    return times.stored(found) if found is not None else None
