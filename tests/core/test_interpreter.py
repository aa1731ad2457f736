"""The interpreter is as it was, whatever was done meanwhile."""

from __future__ import annotations

import gc
import sys
import threading

from django_userpods.core.interpreter import long_look, survivors_set_aside


def state() -> tuple[bool, float]:
    return gc.isenabled(), sys.getswitchinterval()


def test_a_look_within_a_look_puts_back_what_was_before() -> None:
    before = state()
    with long_look(), long_look():
        assert not gc.isenabled()
        assert sys.getswitchinterval() < before[1]
    assert state() == before


def test_the_last_of_two_threads_puts_it_back() -> None:
    before = state()
    begun, end = threading.Event(), threading.Event()

    def look() -> None:
        with long_look():
            begun.set()
            end.wait(10)

    other = threading.Thread(target=look)
    with long_look():
        other.start()
        begun.wait(10)
    assert not gc.isenabled()
    end.set()
    other.join()
    assert state() == before


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with long_look():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_survivors_come_back() -> None:
    with survivors_set_aside():
        assert gc.get_freeze_count()
    assert not gc.get_freeze_count()


def test_what_was_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        with survivors_set_aside():
            pass
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
