"""The garbage collector is as it was, whatever was done meanwhile."""

from __future__ import annotations

import gc

from django_userpods.core.collector import collector_paused, survivors_set_aside


def test_the_collector_is_as_it_was() -> None:
    assert gc.isenabled()
    with collector_paused(), collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with collector_paused():
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
