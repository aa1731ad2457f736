"""Work that knows no deadline, done by a thread of its own and waited for only so long.

A resolver, an exec plugin and a proxy's handshake cannot be told when to stop. Whoever waits can.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Errand(Generic[_T]):
    """Work on its way; any number of callers may wait for it, each as long as it has."""

    def __init__(self, work: Callable[[], _T], *, name: str) -> None:
        self._work = work
        self._done = threading.Event()
        self._results: list[_T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=f"userpods-{name}", daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether it has ended, well or badly."""
        return self._done.is_set()

    def wait(self, seconds: float) -> _T:
        """Return what came of it, or raise what it raised; TimeoutError where that takes longer."""
        if not self._done.wait(max(0.0, seconds)):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again by those who wait
            self._error = error
        finally:
            self._done.set()


class OneErrand(Generic[_T]):
    """One errand at a time: whoever comes while it is on its way waits for the same one.

    So a plugin that hangs is run once, not once for each call that gave up on it, and one that is
    merely slow is there for the next call.
    """

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._current: Errand[_T] | None = None

    def run(self, work: Callable[[], _T], seconds: float) -> _T:
        """Wait for the errand that is on its way, or for this work where there is none."""
        with self._lock:
            if self._current is None or self._current.is_done:
                self._current = Errand(work, name=self._name)
            current = self._current
        return current.wait(seconds)
