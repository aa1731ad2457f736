"""How the whole is doing, in numbers: what ``userpods_status`` and the admin's first page say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import router
from django.db.models import Count
from django.utils import timezone

from django_userpods import sentences
from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.core.naming import readable
from django_userpods.core.objects import SERVICE
from django_userpods.core.rollout import Turn
from django_userpods.core.states import State
from django_userpods.exceptions import ClusterError, SettingError
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import rollout

if TYPE_CHECKING:
    import datetime

#: Seconds that the cluster has to answer whether it is there.
TIMEOUT = 3.0
#: Seconds for which what a sync saw of the cluster is taken for what is: three of a controller's
#: looks at everything, unless it was told to look more rarely.
FRESH = 900.0
#: How many reasons of failure are told, the most frequent first.
_REASONS = 5
#: A label's value that no object has: asking for it costs the API server nothing.
_NOBODY = {"django-userpods/pod": "none"}


@dataclass(frozen=True, slots=True)
class FailureReason:
    """Why some pods fail: in a sentence for people, with one of them and what is said of it."""

    reason: str
    pods: int
    example: str
    message: str
    #: Whose pod that is, as they write their name.
    username: str = ""

    @property
    def label(self) -> str:
        """The example's name, with its user's where that is not to be read in it."""
        return readable(self.example, self.username)


@dataclass(slots=True)
class Status:
    """How the whole is doing."""

    #: Pods by state, in the order of the states; every state is there.
    states: dict[str, int]
    #: When a sync, or the controller's look at everything, last came to its end; None for never.
    synced_at: datetime.datetime | None
    #: Of that, in seconds.
    age: float | None
    #: For how many users it could not do what is to be done.
    sync_failures: int
    #: How many pods wait for a controller to look at them.
    waiting: int
    #: What was in the way of the last sync, "" for nothing, and since when.
    sync_trouble: str = ""
    sync_trouble_since: datetime.datetime | None = None
    #: How many pods wait for their turn in a rollout, are being updated, failed, and were refused;
    #: and whether it was stopped: after how many failures, and what the last was.
    rollout: dict[str, int] = field(default_factory=dict)
    rollout_stopped: tuple[int, str] | None = None
    #: Which cluster; "" where none is named.
    cluster: str = ""
    #: Why it does not answer; "" where it does.
    trouble: str = ""
    reasons: list[FailureReason] = field(default_factory=list)

    @property
    def reachable(self) -> bool:
        """Whether the cluster answers."""
        return not self.trouble

    @property
    def is_fresh(self) -> bool:
        """Whether the last sync is recent enough to say how the cluster is now."""
        return self.age is not None and self.age < FRESH

    @property
    def total(self) -> int:
        """How many pods there are."""
        return sum(self.states.values())

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "ok": self.reachable,
            "pods": self.total,
            "states": self.states,
            "synced_at": self.synced_at.isoformat() if self.synced_at else None,
            "age_seconds": round(self.age, 1) if self.age is not None else None,
            "sync_failures": self.sync_failures,
            "sync_trouble": self.sync_trouble or None,
            "waiting": self.waiting,
            "rollout": {
                **self.rollout,
                "stopped": self.rollout_stopped[1] if self.rollout_stopped else None,
            },
            "cluster": {
                "where": self.cluster,
                "reachable": self.reachable,
                "trouble": self.trouble or None,
            },
            "reasons": [
                {
                    "reason": item.reason,
                    "pods": item.pods,
                    "example": item.example,
                    "username": item.username,
                    "message": item.message,
                }
                for item in self.reasons
            ],
        }


def status(*, timeout: float = TIMEOUT, ask_cluster: bool = True) -> Status:
    """Return how everything is doing: four queries, and one call to the cluster within ``timeout``.

    Without ``ask_cluster`` nothing is said of that. Raises database errors as they are.
    """
    rows = UserPod.objects.using(router.db_for_write(UserPod))
    states: Counter[str] = Counter()
    turns: Counter[str] = Counter()
    for state, turn, count in rows.order_by().values_list("state", "turn").annotate(Count("pk")):
        states[state] += count
        turns[turn] += count
    installation = Installation.objects.current(write=False)
    synced_at = installation.synced_at
    told = Status(
        states={state.value: states[state.value] for state in State},
        synced_at=synced_at,
        age=(timezone.now() - synced_at).total_seconds() if synced_at else None,
        sync_failures=installation.sync_failures,
        waiting=rows.exclude(asked_at=None).count(),
        sync_trouble=installation.trouble,
        sync_trouble_since=installation.trouble_since,
        rollout={turn.value: turns[turn.value] for turn in Turn if turn},
        rollout_stopped=rollout.stopped_of(installation) if any(turns) else None,
        reasons=_reasons(),
    )
    if ask_cluster:
        told.cluster, told.trouble = cluster_trouble(timeout)
    return told


def _reasons() -> list[FailureReason]:
    rows = UserPod.objects.using(router.db_for_write(UserPod))
    username = f"owner__{get_user_model().USERNAME_FIELD}"
    failed = rows.filter(state=State.FAILED).order_by("pk")
    counted: Counter[str] = Counter()
    examples: dict[str, tuple[str, str, str]] = {}
    for name, message, user in failed.values_list("name", "message", username).iterator():
        reason = sentences.of(State.FAILED, message)
        counted[reason] += 1
        examples.setdefault(reason, (name or "", message, str(user or "")))
    return [
        FailureReason(reason, count, *examples[reason])
        for reason, count in counted.most_common(_REASONS)
    ]


def cluster_trouble(timeout: float) -> tuple[str, str]:
    """Return which cluster the settings name, and why it does not answer ("" where it does)."""
    try:
        cluster = get_cluster()
        where = cluster.whereabouts()
    except (ClusterError, SettingError) as error:
        return "", str(error)
    try:
        namespace = conf.USERPODS_NAMESPACE
        found = cluster.list(
            SERVICE,
            namespace=None if callable(namespace) else namespace,
            labels=_NOBODY,
            timeout=timeout,
        )
        next(iter(found), None)
    except (ClusterError, SettingError) as error:
        return where, str(error)
    return where, ""
