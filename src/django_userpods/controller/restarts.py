"""Pods whose containers may have been started again since they were last looked at."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Restarts:
    """Their ids. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pods: set[str] = set()
        self._is_all = False

    def note(self, pods: Iterable[str]) -> None:
        """Note that these may have been."""
        with self._lock:
            self._pods.update(pods)

    def note_all(self) -> None:
        """Note that any may have been: nobody knows what was missed."""
        with self._lock:
            self._is_all = True

    def take(self, pods: Iterable[str]) -> set[str]:
        """Return which of these may have been, and forget it; ``note`` them where it fails."""
        with self._lock:
            found = self._pods.intersection(pods)
            self._pods -= found
            return found

    def take_all(self) -> bool:
        """Return whether any may have been, and forget it."""
        with self._lock:
            found, self._is_all = self._is_all, False
            return found
