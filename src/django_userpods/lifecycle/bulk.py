"""What was asked of several pods at once: how far it has come, what failed, and that again.

Progress is read from the pods' histories, so it is the same whoever does the work: a controller,
workers of a task queue, syncs, or a page that asks for the next few.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction
from django.db.models import Aggregate, Count, F, Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from django_userpods import tasks
from django_userpods.conf import conf
from django_userpods.core.operations import Operation
from django_userpods.lifecycle.operations import OPERATIONS, OperationResult
from django_userpods.models import BulkRun, Transition, UserPod
from django_userpods.reconcile.rows import alias, rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Outcome, State = Transition.Outcome, UserPod.State

#: Maximum number of pods that a page has looked at, and how often it has each of them.
_LOOKED_AT, _LOOK_EVERY = 50, datetime.timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk run has come, in numbers of pods."""

    number: int
    done: int
    failed: int
    #: Something else was asked of them before it was known what came of this.
    replaced: int
    waiting: int
    #: Those of the failed that have failed still, so that it may be asked for again.
    to_retry: int
    #: When the last of those that are settled was.
    settled_at: datetime.datetime | None = None

    @property
    def settled(self) -> int:
        """How many there is nothing more to come of."""
        return self.number - self.waiting

    @property
    def unknown(self) -> int:
        """How many are not known of any more: the pod is gone, or what it was long ago."""
        return max(0, self.settled - self.done - self.failed - self.replaced)


class Failure(NamedTuple):
    """One pod for which it failed; why is what the cluster said, for staff."""

    pod: UserPod
    message: str


def progress_of(run: BulkRun) -> Progress:
    """Return how far a run has come. One query, however many pods there are."""
    return Progress(number=run.number, **_lines(run).aggregate(**_counted()))


def lately(operations: Collection[str]) -> list[tuple[BulkRun, Progress]]:
    """Return the runs that are kept of some operations, the newest first. Two queries."""
    kept = BulkRun.objects.using(alias()).filter(operation__in=operations)
    runs = list(kept.order_by("-pk")[: BulkRun.KEPT])
    lines = Transition.objects.using(alias()).filter(run__in=[run.pk for run in runs])
    names = tuple(_counted())
    found = lines.order_by().values("run").annotate(**_counted()).values_list("run", *names)
    counts: dict[int, dict[str, Any]] = {
        run: dict(zip(names, counts, strict=True)) for run, *counts in found
    }
    none: dict[str, Any] = {"done": 0, "failed": 0, "replaced": 0, "waiting": 0, "to_retry": 0}
    return [(run, Progress(number=run.number, **counts.get(run.pk, none))) for run in runs]


def failures_of(run: BulkRun, *, limit: int) -> list[Failure]:
    """Return the first pods, by name, for which it failed. One query."""
    seen = Transition.objects.using(alias()).filter(
        pod=OuterRef("pod"), operation="", after=State.FAILED, at=OuterRef("settled_at")
    )
    failed = _lines(run).filter(outcome=Outcome.FAILED)
    said = failed.annotate(said=Subquery(seen.values("message")[:1]))
    return [
        Failure(line.pod, line.said or line.pod.message)
        for line in said.select_related("pod__owner").order_by("pod__name", "pk")[:limit]
    ]


def waiting_of(run: BulkRun, *, limit: int) -> list[UserPod]:
    """Return the first pods, by name, of which it is not known yet what came of it. One query."""
    waiting = (
        _lines(run).filter(outcome="").order_by("pod__name", "pk").select_related("pod__owner")
    )
    return [line.pod for line in waiting[:limit]]


def retry(run: BulkRun, *, actor: str) -> OperationResult:
    """Ask for the same again of those pods for which it failed, and which have failed still."""
    failed = _lines(run).filter(outcome=Outcome.FAILED).values("pod")
    again = rows().filter(_failed_still(), pk__in=failed)
    return OPERATIONS[Operation(run.operation)](again, actor=actor, followed=True)


def go_on(run: BulkRun) -> None:
    """Ask for a look at the next few of whom it is not known yet what came of it.

    For whoever waits for a run where no controller looks anyway. It comes after the commit; each
    pod is asked for no more often than helps, whoever waits.
    """
    if conf.USERPODS_CONTROLLER:
        return
    waiting = _lines(run).filter(outcome="")
    if tasks.has_task_backend():
        # Those that are pending are in the queue.
        waiting = waiting.exclude(pod__state=State.PENDING)
    now = timezone.now()
    long_ago = Q(pod__looked_at=None) | Q(pod__looked_at__lt=now - _LOOK_EVERY)
    # Those first that nobody has looked at for longest, so that all have their turn.
    due = waiting.filter(long_ago).order_by(F("pod__looked_at").asc(nulls_first=True), "pk")
    pods = sorted(due.values_list("pod", flat=True)[:_LOOKED_AT])
    if pods and _take(pods, now):
        transaction.on_commit(partial(tasks.ask_for_pods, pods), using=alias(), robust=True)


def _take(pods: Sequence[str], now: datetime.datetime) -> int:
    """Note that they are looked at; return of how many nobody else has noted it meanwhile."""
    long_ago = Q(looked_at=None) | Q(looked_at__lt=now - _LOOK_EVERY)
    return rows().filter(long_ago, pk__in=pods).update(looked_at=now)


def _counted() -> dict[str, Aggregate]:
    """Return what counts the lines of a run by what came of them."""
    failed = Q(outcome=Outcome.FAILED)
    return {
        "done": Count("pk", filter=Q(outcome=Outcome.DONE)),
        "failed": Count("pk", filter=failed),
        "replaced": Count("pk", filter=Q(outcome=Outcome.REPLACED)),
        "waiting": Count("pk", filter=Q(outcome="")),
        "to_retry": Count("pk", filter=failed & _failed_still("pod__")),
        "settled_at": Max("settled_at"),
    }


def _lines(run: BulkRun) -> QuerySet[Transition]:
    return Transition.objects.using(alias()).filter(run=run)


def _failed_still(prefix: str = "") -> Q:
    absent = Q(**{f"{prefix}wanted": UserPod.Wanted.ABSENT})
    return Q(**{f"{prefix}state": State.FAILED}) & ~absent
