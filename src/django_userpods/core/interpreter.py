"""What a long look at the cluster asks of the Python interpreter, and puts back after."""

from __future__ import annotations

import gc
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds, see ``sys.setswitchinterval``.
_QUICK = 0.0005
#: Python 3.12 begins with some hundreds of objects frozen; one who freezes has many thousands.
_FROZEN_AT_START = 1000

_lock = threading.Lock()
_inside = 0
_collecting = True
_interval = 0.0


@contextmanager
def long_look() -> Iterator[None]:
    """Read and compare much acyclic data while another thread fetches more of it.

    The garbage collector pauses: JSON, rows and plans have no cycles, so nothing piles up, and
    it would walk through the same objects again and again. Threads take turns quickly: the one
    that reads needs microseconds a turn and would wait 5 ms for each, the interpreter's usual.

    Threads may be in here side by side; the last one out puts both back. Not for the body of a
    generator: one that its caller leaves half-read might never come to its end.
    """
    global _inside, _collecting, _interval
    with _lock:
        if _inside == 0:
            _collecting, _interval = gc.isenabled(), sys.getswitchinterval()
            gc.disable()
            sys.setswitchinterval(min(_interval, _QUICK))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                sys.setswitchinterval(_interval)
                if _collecting:
                    gc.enable()


@contextmanager
def survivors_set_aside() -> Iterator[None]:
    """Let the collector look at new objects only, not at the thousands that stay anyway.

    See ``gc.freeze``. A process that has frozen objects of its own keeps them so.
    """
    frozen_before = gc.get_freeze_count() > _FROZEN_AT_START
    gc.freeze()
    try:
        yield
    finally:
        if not frozen_before:
            gc.unfreeze()
