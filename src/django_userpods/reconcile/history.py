"""Each pod's history: what was asked for and by whom, which states followed, what came of it.

Written with the rows, in their transaction and only where they change. However many pods there
are, it takes the same few statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from django_userpods.core.reasons import reason_of
from django_userpods.core.states import State
from django_userpods.models import Transition
from django_userpods.reconcile.rows import alias, batches

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Sequence

    from django.db.models import QuerySet

    from django_userpods.models import UserPod

#: Maximum number of characters of a message, and of a name.
_LONGEST, _LONGEST_NAME = 2000, 255
#: Pods of one request beyond which nothing is looked up for them.
_MANY = 100
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
        _set_outcome(asked, Transition.Outcome.REPLACED, now)
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
        _lines().bulk_create(
            Transition(
                pod_id=line.pod,
                at=now,
                operation=line.operation,
                actor=line.actor[:_LONGEST_NAME],
                before=line.before,
                after=line.after,
                message=line.message[:_LONGEST],
            )
            for line in batch
        )
        # What is asked of very many at once is dropped with the states that follow.
        if len(asked) <= _MANY:
            _forget_oldest([line.pod for line in batch])


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


def _forget_oldest(pods: Sequence[str]) -> None:
    number = Window(RowNumber(), partition_by=F("pod"), order_by=F("pk").desc())
    kept = _lines().filter(pod__in=pods).annotate(number=number)
    old = list(kept.filter(number__gt=Transition.KEPT).values_list("pk", flat=True))
    for batch in batches(old):
        _lines().filter(pk__in=batch).delete()
