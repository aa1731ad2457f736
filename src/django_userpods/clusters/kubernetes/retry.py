"""When a call is worth another try, and after which pause."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from django_userpods.exceptions import ClusterError, ClusterUnavailable, Conflict

#: How often one call is sent at most. With the pauses below that is about two seconds of trying:
#: long enough for a dropped connection or a server that changes place, and the next sync is the
#: one who has patience.
ATTEMPTS = 5
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
#: 501 and 505 would be said again, so they are no reason to wait.
_TRY_AGAIN = frozenset({0, 429, 500, 502, 503, 504})


def pause_before_retry(
    error: ClusterError, *, attempt: int, retry_after: float | None
) -> float | None:
    """Return the seconds to wait before the next try; None where none is worth it.

    ``attempt`` counts from 1. ``retry_after`` is what the server asked for; it gets a little more
    than that, so that a crowd told the same does not come back in the same instant.
    """
    again = isinstance(error, ClusterUnavailable) and error.status in _TRY_AGAIN
    if attempt >= ATTEMPTS or not (again or isinstance(error, Conflict)):
        return None
    if retry_after is not None:
        return retry_after + random.uniform(0, min(0.5, retry_after / 10))  # noqa: S311 - no secret
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


def parse_retry_after(value: str | None) -> float | None:
    """Read a ``Retry-After`` header: seconds or a date (RFC 9110, 10.2.3); None for nonsense."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


class Deadline:
    """The moment by which a call has to be over."""

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._end - time.monotonic()
