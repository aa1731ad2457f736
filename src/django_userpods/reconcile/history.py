"""Each pod's history: what was asked for and by whom, which states followed, what came of it.

Written with the rows, in their transaction and only where they change. However many pods there
are, it takes the same few statements.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import F, Max, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from django_userpods.core.operations import Operation
from django_userpods.core.reasons import reason_of
from django_userpods.core.states import State
from django_userpods.models import BulkRun, Transition
from django_userpods.reconcile.rows import alias, batches

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from django.db.models import QuerySet

    from django_userpods.models import UserPod

#: Maximum number of characters of a message, and of a name.
_LONGEST, _LONGEST_NAME = 2000, 255
#: Pods of one request beyond which nothing is looked up for them.
_MANY = 100
#: A pod that fails so soon after it came up did not come up: it crashes.
_SOON = datetime.timedelta(minutes=2)
_OUTCOMES = {
    State.RUNNING: Transition.Outcome.DONE,
    State.STOPPED: Transition.Outcome.DONE,
    State.FAILED: Transition.Outcome.FAILED,
}


@dataclass(frozen=True, slots=True)
class Line:
    """What there is to write of one pod (the id of its row); without an operation, a state."""

    pod: str
    before: str
    after: str
    message: str = ""
    operation: str = ""
    actor: str = ""
    #: The bulk run that it is part of.
    run: int | None = None


def is_news(before: str, after: str, *, said: str, message: str) -> bool:
    """Tell whether a row that comes to be like this has a line in the history.

    A message that changes (a count, a time) is none, as long as it comes down to the same.
    """
    return before != after or (after == State.FAILED and reason_of(said) is not reason_of(message))


def add(lines: Sequence[Line]) -> None:
    """Write some lines, say what came of what had been asked for, and drop the oldest.

    To be called in the transaction that writes the rows, after them.
    """
    now = timezone.now()
    for batch in batches(lines):
        asked = [line.pod for line in batch if line.operation]
        # A sync asks for what was asked for before.
        others = [line.pod for line in batch if line.operation not in {"", Operation.SYNC}]
        _set_outcome(others, Transition.Outcome.REPLACED, now)
        for outcome in (Transition.Outcome.DONE, Transition.Outcome.FAILED):
            _set_outcome(
                [
                    line.pod
                    for line in batch
                    if not line.operation and _OUTCOMES.get(State(line.after)) is outcome
                ],
                outcome,
                now,
            )
        _take_back([line.pod for line in batch if _came_to_fail(line)], now)
        _lines().bulk_create(
            Transition(
                pod_id=line.pod,
                at=now,
                operation=line.operation,
                actor=line.actor[:_LONGEST_NAME],
                before=line.before,
                after=line.after,
                message=line.message[:_LONGEST],
                run_id=line.run,
            )
            for line in batch
        )
        # What is asked of very many at once is dropped with the states that follow.
        if len(asked) <= _MANY:
            _forget_oldest([line.pod for line in batch])


def begin_run(operation: Operation, actor: str, number: int) -> BulkRun:
    """Note that something is asked of several pods at once, and drop the oldest such notes."""
    runs = BulkRun.objects.using(alias())
    run = runs.create(operation=operation.value, actor=actor[:_LONGEST_NAME], number=number)
    old = list(runs.order_by("-pk").values_list("pk", flat=True)[BulkRun.KEPT :])
    if old:
        _lines().filter(run__in=old).update(run=None)
        runs.filter(pk__in=old).delete()
    return run


def settle(pods: Collection[str], state: str) -> None:
    """Say what came of what had been asked for, of pods whose state may be what it was before."""
    outcome = _OUTCOMES.get(State(state))
    if outcome is not None:
        for batch in batches(list(pods)):
            _set_outcome(batch, outcome, timezone.now())


def forget(pods: QuerySet[UserPod]) -> None:
    """Drop the history of pods whose rows are about to go."""
    _lines().filter(pod__in=pods.values("pk")).delete()


def _lines() -> QuerySet[Transition]:
    return Transition.objects.using(alias())


def _set_outcome(
    pods: Collection[str], outcome: Transition.Outcome, now: datetime.datetime
) -> None:
    if pods:
        waiting = _lines().filter(pod__in=pods, outcome="").exclude(operation="")
        waiting.update(outcome=outcome, settled_at=now)


def _came_to_fail(line: Line) -> bool:
    return not line.operation and line.after == State.FAILED


def _take_back(pods: Collection[str], now: datetime.datetime) -> None:
    """Say that what had just been done has failed, of pods that failed right after it."""
    if not pods:
        return
    asked = _lines().filter(pod__in=pods).exclude(operation__in=["", Operation.SYNC])
    last = asked.order_by().values("pod").annotate(last=Max("pk")).values_list("last", flat=True)
    done = _lines().filter(pk__in=list(last), outcome=Transition.Outcome.DONE)
    lately = done.filter(settled_at__gt=now - _SOON).exclude(operation=Operation.STOP)
    lately.update(outcome=Transition.Outcome.FAILED, settled_at=now)


def _forget_oldest(pods: Sequence[str]) -> None:
    number = Window(RowNumber(), partition_by=F("pod"), order_by=F("pk").desc())
    kept = _lines().filter(pod__in=pods).annotate(number=number)
    old = list(kept.filter(number__gt=Transition.KEPT).values_list("pk", flat=True))
    for batch in batches(old):
        _lines().filter(pk__in=batch).delete()
