"""What a row's message comes down to, for people who may not read the message itself.

Messages are Kubernetes' own and our errors': they hold addresses, paths of logs and lines of
tracebacks. A pod's user is told the reason alone, in words of ours.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache


class Reason(Enum):
    """Why a pod is not up, as far as it is worth telling its user."""

    CRASHES = "crashes"
    MEMORY = "memory"
    IMAGE = "image"
    SETTINGS = "settings"
    VOLUME = "volume"
    ROOM = "room"
    QUOTA = "quota"
    EVICTED = "evicted"
    NODE = "node"
    SLOW = "slow"
    PREVIOUS = "previous"
    PROFILE = "profile"
    PLACES = "places"
    #: Nothing is known, or nothing that means anything to its user.
    OTHER = "other"


#: In this order: a container that is out of memory crashes, too, and a pod whose volume is still
#: being made is unschedulable until then. The names are Kubernetes' own ("Pod Lifecycle",
#: "Deployments", "Resource Quotas", "Disruptions") and the local cluster's.
_SIGNS = (
    (Reason.MEMORY, ("OOMKilled",)),
    (
        Reason.IMAGE,
        (
            "ErrImageNeverPull",
            "ErrImagePull",
            "ImageInspectError",
            "ImagePullBackOff",
            "InvalidImageName",
        ),
    ),
    (Reason.CRASHES, ("CrashLoopBackOff", "RunContainerError", "NotListening")),
    (
        Reason.SETTINGS,
        (
            "CreateContainerConfigError",
            "CreateContainerError",
            "CannotStart",
            "CommandNotFound",
            "NoCommand",
            "PortInUse",
        ),
    ),
    (Reason.QUOTA, ("exceeded quota",)),
    (
        Reason.VOLUME,
        (
            "pod has unbound",
            "unbound immediate PersistentVolumeClaims",
            "waiting for first consumer",
            "binding volumes",
        ),
    ),
    (Reason.ROOM, ("Unschedulable",)),
    (
        Reason.EVICTED,
        ("Evicted", "EvictionByEvictionAPI", "PreemptionByScheduler", "TerminationByKubelet"),
    ),
    (Reason.NODE, ("NodeLost", "NodeNotReady", "DeletionByTaintManager", "DeletionByPodGC")),
    (Reason.SLOW, ("ProgressDeadlineExceeded",)),
    (Reason.PREVIOUS, ("Waiting until the objects of the previous",)),
    (Reason.PROFILE, ("ProfileNotOffered",)),
    (Reason.PLACES, ("ProfileFull",)),
)


@cache
def _patterns() -> tuple[tuple[Reason, re.Pattern[str]], ...]:
    """Compile what the signs are found by: at the first message, for no start needs them."""
    return tuple(
        (reason, re.compile(rf"\b(?:{'|'.join(map(re.escape, signs))})\b"))
        for reason, signs in _SIGNS
    )


def reason_of(message: str) -> Reason:
    """Return what a message comes down to; OTHER where nothing in it is known."""
    return next((reason for reason, sign in _patterns() if sign.search(message)), Reason.OTHER)
