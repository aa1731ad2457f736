"""A token bucket: how fast calls may follow each other, shared by all threads of a cluster."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: A server that has enough halves the rate, but at most once in so many seconds (answers to
#: what was under way already say the same again), nor below this part of what was asked for.
_APART, _LEAST = 1.0, 1 / 16
#: Seconds in which a rate of nothing would grow to all of it again.
_RECOVERY = 30.0


class RateLimiter:
    """Lets ``burst`` calls through at once and ``qps`` a second in the long run; 0 is no limit.

    ``slow_down`` halves that for a while. ``clock`` gives seconds that never go back.
    """

    def __init__(
        self, *, qps: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._qps = self._rate = qps
        self._burst = float(burst)
        self._tokens = float(burst)
        self._clock = clock
        self._then = clock()
        self._slowed = float("-inf")
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """Calls a second in the long run, as of now; 0: no limit."""
        with self._lock:
            self._pass()
            return self._rate

    def wait(self, longest: float) -> bool:
        """Sleep until it is this call's turn; False, at once, if that is over ``longest`` seconds.

        Turns are given in the order in which they are asked for.
        """
        if not self._qps:
            return True
        with self._lock:
            self._pass()
            pause = max(0.0, (1.0 - self._tokens) / self._rate)
            if pause > longest:
                return False
            self._tokens -= 1.0
        if pause:
            time.sleep(pause)
        return True

    def slow_down(self) -> None:
        """Take the server's word that it has enough (429): no burst, and half of the rate."""
        if not self._qps:
            return
        with self._lock:
            self._pass()
            if self._then - self._slowed < _APART:
                return
            self._slowed = self._then
            self._rate = max(self._qps * _LEAST, self._rate / 2)
            self._tokens = min(self._tokens, 0.0)

    def _pass(self) -> None:
        """Take in the time that has passed."""
        now = self._clock()
        passed = now - self._then
        self._then = now
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        self._rate = min(self._qps, self._rate + passed * self._qps / _RECOVERY)
