"""What people may ask of pods: sync, start, stop, restart, delete and recreate; one or 10,000.

What is asked for is on the rows before anything is tried, so that nothing of it is lost when
this process dies or the cluster is down: then the next sync does it.
"""

from __future__ import annotations

from django_userpods.core.operations import Operation
from django_userpods.lifecycle.further import add_pod, remove_pod
from django_userpods.lifecycle.looks import look
from django_userpods.lifecycle.looks import look_at_all as look_at_all
from django_userpods.lifecycle.operations import OPERATIONS as OPERATIONS
from django_userpods.lifecycle.operations import (
    OperationResult,
    PodRef,
    applies,
    choose_profile,
    recreate,
    restart,
    rows_of,
    start,
    stop,
    sync,
    wake,
)
from django_userpods.lifecycle.rollouts import resume_rollout
from django_userpods.sharing import share, unshare

__all__ = [
    "Operation",
    "OperationResult",
    "PodRef",
    "add_pod",
    "applies",
    "choose_profile",
    "look",
    "recreate",
    "remove_pod",
    "restart",
    "resume_rollout",
    "rows_of",
    "share",
    "start",
    "stop",
    "sync",
    "unshare",
    "wake",
]
