"""Until when a pod runs, by how long it may be idle and how old it may get."""

from __future__ import annotations

import datetime
from typing import NamedTuple


class Lifetime(NamedTuple):
    """What is known of one pod, and what its settings allow it: seconds, or None for no limit."""

    started_at: datetime.datetime
    last_activity: datetime.datetime | None
    idle_timeout: float | None
    max_age: float | None
    #: Since when it is known without a gap who was used; None where nobody tells.
    known_since: datetime.datetime | None

    @property
    def idle_since(self) -> datetime.datetime:
        """When it was used last; what is not known counts as use."""
        return max(
            time
            for time in (self.started_at, self.last_activity, self.known_since)
            if time is not None
        )

    @property
    def idle_at(self) -> datetime.datetime | None:
        """When it is to be stopped because nobody uses it."""
        if self.idle_timeout is None or self.known_since is None:
            return None
        return self.idle_since + datetime.timedelta(seconds=self.idle_timeout)

    @property
    def too_old_at(self) -> datetime.datetime | None:
        """When it is to be stopped because of its age."""
        if self.max_age is None:
            return None
        return self.started_at + datetime.timedelta(seconds=self.max_age)

    @property
    def stops_at(self) -> datetime.datetime | None:
        """When it is to be stopped as things are, None for never."""
        return min((time for time in (self.idle_at, self.too_old_at) if time), default=None)
