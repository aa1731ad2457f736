"""Keeping Python's garbage collector out of the way of large, acyclic data."""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()
_pauses = 0
_was_enabled = False


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking through the same objects again and again.

    JSON, rows and plans have no cycles, so nothing piles up meanwhile. Threads may be in here side
    by side; the last one out turns the collector on again, if it was on.
    """
    global _pauses, _was_enabled
    with _lock:
        if _pauses == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if _pauses == 0 and _was_enabled:
                gc.enable()


@contextmanager
def survivors_set_aside() -> Iterator[None]:
    """Let the collector look at new objects only, not at the thousands that stay anyway.

    See ``gc.freeze``. A process that has frozen objects of its own keeps them so.
    """
    frozen_before = gc.get_freeze_count()
    gc.freeze()
    try:
        yield
    finally:
        if not frozen_before:
            gc.unfreeze()
