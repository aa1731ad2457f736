"""The keyed queue: which pods are to be looked at, and when. Knows neither Django nor clusters.

A key that is there already is not added again, and one that is being worked on is worked on again
afterwards, so that each is in one pair of hands at a time (*single flight*) and nothing said about
it meanwhile is lost. A key that failed comes back later each time; the others do not wait for it.
What failed for a reason that may be over at any moment comes back within seconds.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Seconds that a key waits after its first failure, and at the most.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 300.0
#: The most seconds after a failure that may be over at any moment, and how many keys that failed
#: are tried again a second: where they are so many that it would be more, each waits longer.
SOON_PAUSE, SOON_RATE = 5.0, 40
#: What is noticed of a key that failed is heeded after this part of its pause, and this many
#: seconds: a try may change something itself before it fails, which is noticed in turn.
_HEED_PART, _HEED_PAUSE = 10, 1.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits: keys that are due, keys that come later, keys that are being worked on.

    ``lag`` is how many seconds the key that has been due the longest has waited.
    """

    due: int
    later: int
    running: int
    lag: float


class KeyedQueue:
    """Keys, each once. All methods may be called from any thread.

    ``clock`` gives seconds that never go back, ``chance`` a number from 0 up to 1.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self._clock, self._chance = clock, chance
        self._first, self._longest = first_pause, longest_pause
        self._changed = threading.Condition()
        #: When each key was, or will be, due. A heap's entry of another time is void.
        self._when: dict[str, float] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        #: Of the keys that wait, those that were only noticed.
        self._noticed: set[str] = set()
        self._running: set[str] = set()
        self._failures: dict[str, int] = {}
        #: Of those that failed, the first moment at which what is noticed of them is heeded.
        self._heeded: dict[str, float] = {}

    def add(self, *keys: str, after: float = 0.0) -> None:
        """Have keys worked on as soon as somebody takes them, or ``after`` seconds.

        A key that is due before that anyway stays so. One that failed need not wait any longer.
        """
        with self._changed:
            when = self._clock() + after
            for key in keys:
                self._noticed.discard(key)
                self._put(key, when)
            self._changed.notify_all()

    def notice(self, key: str, *, after: float = 0.0) -> None:
        """Have a key worked on as ``add`` does, but of one that fails not at each word.

        For what happens by itself: a pod that keeps failing is talked about all the time. It is
        heeded a second after the last try, and a tenth of its pause.
        """
        with self._changed:
            if key in self._running and key not in self._when:
                self._noticed.add(key)
            when = self._clock() + after
            if key not in self._running:
                when = max(when, self._heeded.get(key, when))
            self._put(key, when)
            self._changed.notify_all()

    def take(self, most: int) -> list[str]:
        """Return up to ``most`` keys that are due, those first that have waited the longest.

        Whoever takes a key says ``done`` or ``failed`` of it in the end.
        """
        taken: list[str] = []
        held: list[tuple[float, int, str]] = []
        with self._changed:
            now = self._clock()
            while self._heap and len(taken) < most and self._heap[0][0] <= now:
                item = heapq.heappop(self._heap)
                when, _, key = item
                if self._when.get(key) != when:
                    continue
                if key in self._running:
                    held.append(item)
                    continue
                self._drop(key)
                self._running.add(key)
                taken.append(key)
            for item in held:
                heapq.heappush(self._heap, item)
        return taken

    def wait(self, seconds: float) -> None:
        """Return once a key may be due, something was added or finished, or time is up."""
        with self._changed:
            now = self._clock()
            due = self._due_next()
            if due is not None:
                seconds = min(seconds, due - now)
            if seconds > 0:
                self._changed.wait(seconds)

    def wake(self) -> None:
        """Let go everybody who waits."""
        with self._changed:
            self._changed.notify_all()

    def done(self, *keys: str) -> None:
        """Say that keys were worked on, and that all is well: their failures are forgotten."""
        with self._changed:
            for key in keys:
                self._running.discard(key)
                self._forget_failures(key)
            self._changed.notify_all()

    def failed(self, key: str, *, may_be_over: bool = False) -> float:
        """Say that work on a key failed; it comes back by itself, in the seconds returned.

        They double with each failure in a row, less up to half of them by chance. Where its reason
        ``may_be_over`` at any moment, they stay few. Where the key was added meanwhile, it is due
        as that said.
        """
        with self._changed:
            times = self._failures.get(key, 0)
            self._failures[key] = times + 1
            longest = self._longest
            if may_be_over:
                longest = min(longest, max(SOON_PAUSE, len(self._failures) / SOON_RATE))
            # (A power that is too large is no number.)
            whole = min(longest, self._first * 2.0 ** min(times, 60))
            pause = whole * (1 - self._chance() / 2)
            heeded = min(pause, max(_HEED_PAUSE, pause / _HEED_PART))
            now = self._clock()
            self._heeded[key] = now + heeded
            self._running.discard(key)
            if key in self._noticed:
                self._drop(key)
                self._put(key, now + heeded)
            self._put(key, now + pause)
            self._changed.notify_all()
        return pause

    def put_back(self, keys: Iterable[str], seconds: float) -> None:
        """Have keys that were taken worked on in ``seconds``, as if nobody had tried."""
        with self._changed:
            for key in keys:
                self._running.discard(key)
                self._put(key, self._clock() + seconds)
            self._changed.notify_all()

    def forget(self, key: str) -> None:
        """Drop a key that waits, and its failures; one that is being worked on ends as it will."""
        with self._changed:
            self._drop(key)
            self._forget_failures(key)

    def failures(self, key: str) -> int:
        """Return how often work on a key failed in a row."""
        return self._failures.get(key, 0)

    def running(self) -> frozenset[str]:
        """Return the keys that are being worked on."""
        with self._changed:
            return frozenset(self._running)

    def is_at_hand(self, key: str) -> bool:
        """Tell whether a key is being worked on, or is due."""
        with self._changed:
            return key in self._running or self._when.get(key, math.inf) <= self._clock()

    def backlog(self) -> Backlog:
        """Return how much waits."""
        with self._changed:
            now = self._clock()
            waiting = [now - when for when in self._when.values() if when <= now]
            return Backlog(
                due=len(waiting),
                later=len(self._when) - len(waiting),
                running=len(self._running),
                lag=max(waiting, default=0.0),
            )

    def _put(self, key: str, when: float) -> None:
        before = self._when.get(key)
        if before is not None and before <= when:
            return
        self._when[key] = when
        heapq.heappush(self._heap, (when, next(self._numbers), key))

    def _forget_failures(self, key: str) -> None:
        self._failures.pop(key, None)
        self._heeded.pop(key, None)

    def _drop(self, key: str) -> None:
        self._when.pop(key, None)
        self._noticed.discard(key)

    def _due_next(self) -> float | None:
        """Return when the next key that nobody works on is due, None where there is none."""
        while self._heap and self._when.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._heap and self._heap[0][2] not in self._running:
            return self._heap[0][0]
        return min(
            (when for key, when in self._when.items() if key not in self._running), default=None
        )
