"""What people may ask of pods."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """What can be asked for."""

    SYNC = "sync"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RECREATE = "recreate"
