"""A token bucket: how fast calls may follow each other, shared by all threads of a cluster."""

from __future__ import annotations

import threading
import time


class RateLimiter:
    """Lets ``burst`` calls through at once and ``qps`` a second in the long run; 0 is no limit."""

    def __init__(self, *, qps: float, burst: int) -> None:
        self._qps = qps
        self._burst = float(burst)
        self._tokens = float(burst)
        self._then = time.monotonic()
        self._lock = threading.Lock()

    def wait(self, longest: float) -> bool:
        """Sleep until it is this call's turn; False, at once, if that is over ``longest`` seconds.

        Turns are given in the order in which they are asked for.
        """
        if not self._qps:
            return True
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._then) * self._qps)
            self._then = now
            pause = max(0.0, (1.0 - self._tokens) / self._qps)
            if pause > longest:
                return False
            self._tokens -= 1.0
        if pause:
            time.sleep(pause)
        return True
