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


#: What users may ask of their own pods, in the order of buttons; all else is for staff.
FOR_USERS = (Operation.START, Operation.STOP, Operation.RESTART)
