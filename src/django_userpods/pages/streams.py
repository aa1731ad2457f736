"""The streams of one process, and the thread that asks the database for all of them."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from django.db import close_old_connections, connections
from django.utils import translation

from django_userpods.models import UserPod
from django_userpods.pages.standing import standing_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django_userpods.access.authenticators import Visitor

logger = logging.getLogger("django_userpods")

#: Maximum number of streams of a process, and of one user there.
MOST, MOST_EACH = 100, 4
#: Seconds between two questions to the database.
_EVERY = 1.0


class Stream:
    """One open stream: what is known of its pod, and what has not been told yet."""

    def __init__(self, visitor: Visitor, pod: UserPod, language: str, ends: float) -> None:
        self.visitor, self.pod, self.language, self.ends = visitor, pod.pk, language, ends
        self.news = asyncio.Event()
        #: Whether there is nothing more to tell: the pod is gone, or nobody knows.
        self.is_over = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._known = _look_of(pod)
        self._said: dict[str, object] | None = None

    def listen(self) -> None:
        """Begin to take what is told, in the event loop that runs."""
        self._loop = asyncio.get_running_loop()

    def tell(self, pod: UserPod | None) -> None:
        """Say how the pod is, from the thread that asks; None where it is gone or nobody knows."""
        if self._loop is None or (pod is not None and _look_of(pod) == self._known):
            return
        said = None
        if pod is not None:
            self._known = _look_of(pod)
            with translation.override(self.language or None):
                said = standing_of(self.visitor, pod)
        with suppress(RuntimeError):  # the loop is closed: the process is about to end
            self._loop.call_soon_threadsafe(self._hear, said)

    def _hear(self, said: dict[str, object] | None) -> None:
        self._said, self.is_over = said, said is None
        self.news.set()

    def take(self) -> dict[str, object] | None:
        """Return what has not been told yet, None for nothing."""
        said, self._said = self._said, None
        self.news.clear()
        return said


class Streams:
    """The streams of this process: not more than may be, and asked for together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[Stream] = set()
        self._thread: threading.Thread | None = None

    def begin(self, visitor: Visitor, pod: UserPod, language: str, seconds: float) -> Stream | None:
        """Take a place for a stream of so many seconds; None where there is none left."""
        now = time.monotonic()
        with self._lock:
            # Nobody may ever have read one whose browser went at once.
            self._open = {one for one in self._open if one.ends > now}
            each = Counter(one.visitor.user.pk for one in self._open)
            if len(self._open) >= MOST or each[visitor.user.pk] >= MOST_EACH:
                return None
            found = Stream(visitor, pod, language, now + seconds)
            self._open.add(found)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._ask, name="userpods-streams", daemon=True
                )
                self._thread.start()
            return found

    def end(self, found: Stream) -> None:
        """Give a stream's place back."""
        with self._lock:
            self._open.discard(found)

    def _those_open(self) -> list[Stream]:
        """Return the streams to ask for; with none left the thread that asks is forgotten."""
        now = time.monotonic()
        with self._lock:
            found = [one for one in self._open if one.ends > now]
            if not found:
                self._thread = None
            return found

    def _ask(self) -> None:
        """Ask the database for all streams, once a second, as long as there are any."""
        try:
            while found := self._those_open():
                try:
                    close_old_connections()
                    _tell(found)
                except Exception:
                    # Their browsers come again, and are told that there is no stream.
                    logger.exception("the database could not tell how pods are doing")
                    for one in found:
                        one.tell(None)
                time.sleep(_EVERY)
        finally:
            connections.close_all()


def _tell(streams: Iterable[Stream]) -> None:
    """Tell streams how their pods are, and have the cluster looked at as a page that polls does."""
    from django_userpods import lifecycle

    rows = UserPod.objects.exclude(wanted=UserPod.Wanted.ABSENT)
    pods = rows.in_bulk({one.pod for one in streams})
    for one in streams:
        one.tell(pods.get(one.pod))
    lifecycle.look_at_all(list(pods.values()))


def _look_of(pod: UserPod) -> tuple[object, ...]:
    """Return what of a row a page shows."""
    return pod.state, pod.message, pod.wanted, pod.step_times
