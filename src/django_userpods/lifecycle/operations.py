"""The operations on pods: recorded on their rows, then asked for."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from django_userpods import tasks
from django_userpods.conf import conf
from django_userpods.core.naming import readable
from django_userpods.core.operations import Operation
from django_userpods.exceptions import UserpodsError
from django_userpods.lifecycle import choosing
from django_userpods.models import BulkRun, Installation, UserPod
from django_userpods.reconcile import history
from django_userpods.reconcile.entries import Scope
from django_userpods.reconcile.rows import alias, lock, retried, rows
from django_userpods.reconcile.users import BATCH

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Iterator, Sequence

    from django_userpods.exceptions import ProfileNotAllowed

Wanted, State = UserPod.Wanted, UserPod.State

#: Maximum number of pods tried at once without a task backend: what ``tasks.ask`` tries.
_TRIED = 50


@dataclass(frozen=True, slots=True)
class PodRef:
    """A row as far as it matters to whoever reports on it."""

    pk: str
    owner_pk: str
    name: str | None
    #: The state that it was in.
    state: str = ""

    def __str__(self) -> str:
        return self.name or f"user {self.owner_pk}"


@dataclass(slots=True)
class OperationResult:
    """What became of a request, in numbers of pods.

    ``done + enqueued + later`` and those in ``failures`` make up ``pods`` once it is no longer
    ``deferred``.
    """

    operation: Operation
    #: The pods of which it was asked.
    pods: list[PodRef] = field(default_factory=list)
    #: Nothing to do: those were so already.
    already: int = 0
    #: Restart alone: those are stopped.
    stopped: int = 0
    #: Those users are to have no pod (inactive, not selected, gone).
    absent: int = 0
    #: Why some are not started, or not of the profile asked for, by the ids of their rows.
    refused: dict[str, ProfileNotAllowed] = field(default_factory=dict)
    #: The request is inside a transaction: it is on the rows, and tried after the commit.
    deferred: bool = False
    #: Where it is followed: what to read its progress by, ``bulk.progress_of``.
    run: BulkRun | None = None
    #: How many were done here and now, handed to a task backend, and left to the next sync.
    done: int = 0
    #: How many of those that were done have still to come to be what was asked for.
    under_way: int = 0
    enqueued: int = 0
    later: int = 0
    #: Why the last were not done here and now, where it is more than their number.
    reason: str = ""
    #: "name: what went wrong" of each that was tried and failed; with the user's name where that is
    #: not to be read in the pod's.
    failures: list[str] = field(default_factory=list)


def sync(rows: QuerySet[UserPod], *, actor: str = "", followed: bool = False) -> OperationResult:
    """Make the cluster agree with the database for some rows.

    ``actor`` says here and below who asks, for the pods' history: a username, say. With
    ``followed`` what is asked of several at once is a bulk run, whose progress can be read.
    """
    return _perform(Operation.SYNC, rows, actor, followed=followed)


def start(rows: QuerySet[UserPod], *, actor: str = "", followed: bool = False) -> OperationResult:
    """Have some rows' pods run. Counts as activity, so that idle pods are not stopped again."""
    return _perform(Operation.START, rows, actor, followed=followed)


def stop(
    rows: QuerySet[UserPod],
    *,
    actor: str = "",
    unless_used_since: datetime.datetime | None = None,
    unless_started_since: datetime.datetime | None = None,
    followed: bool = False,
) -> OperationResult:
    """Have some rows' pods stopped; what else the users have (a volume) stays.

    With ``unless_used_since`` not those that were used since then, with ``unless_started_since``
    not those that were started or restarted since.
    """
    where = Q()
    if unless_used_since is not None:
        where &= Q(last_activity=None) | Q(last_activity__lt=unless_used_since)
    if unless_started_since is not None:
        where &= Q(started_at__lt=unless_started_since)
    return _perform(Operation.STOP, rows, actor, where=where or None, followed=followed)


def restart(rows: QuerySet[UserPod], *, actor: str = "", followed: bool = False) -> OperationResult:
    """Have the pods of rows that are not stopped replaced by new ones, without a gap."""
    return _perform(Operation.RESTART, rows, actor, followed=followed)


def recreate(
    rows: QuerySet[UserPod], *, actor: str = "", followed: bool = False
) -> OperationResult:
    """Have all objects of some rows deleted and made again, but for what ``USERPODS_RETAIN`` keeps.

    A stopped pod is made again as a stopped one.
    """
    return _perform(Operation.RECREATE, rows, actor, followed=followed)


#: The functions by what they ask for.
OPERATIONS = {
    Operation.SYNC: sync,
    Operation.START: start,
    Operation.STOP: stop,
    Operation.RESTART: restart,
    Operation.RECREATE: recreate,
}


def applies(operation: Operation, pod: UserPod) -> bool:
    """Tell whether there is anything to do for a pod if an operation is asked for."""
    if pod.wanted == Wanted.ABSENT:
        return operation == Operation.SYNC
    is_stopped = operation == Operation.RESTART and pod.wanted == Wanted.STOPPED
    return not is_stopped and not _is_already(operation, pod.wanted, pod.state)


def rows_of(users: QuerySet[Any]) -> QuerySet[UserPod]:
    """Return the rows of some users, made first for those who are to have one and have none yet.

    Raises SettingError where ``USERPODS_SELECT`` or ``USERPODS_NAME_PREFIX`` is invalid.
    """
    main = UserPod.objects.filter(slot="").exclude(owner=None).values("owner")
    from django_userpods.reconcile.pods import update_rows

    without = [str(pk) for pk in users.exclude(pk__in=main).values_list("pk", flat=True)]
    for batch in _batches(without):
        update_rows(Scope.of(batch))
    # By key and not by a join: ``users`` may be ordered, distinct, or come from a search.
    return UserPod.objects.filter(owner__in=users.order_by().values("pk"))


def choose_profile(rows: QuerySet[UserPod], profile: str, *, actor: str = "") -> OperationResult:
    """Have some rows' pods be of a profile (its slug; "" for none), and sync them.

    Who runs gets another template by that, in turn if ``USERPODS_ROLLOUT`` says so. Who may not
    is in ``refused``: the profile is not for its user, or all its places are taken.
    """
    changed, refused = choosing.assign(rows, profile, actor=actor)
    result = sync(UserPod.objects.filter(pk__in=changed), actor=actor)
    result.refused = refused
    return result


def wake(pod: UserPod, *, actor: str = "") -> None:
    """Have a stopped pod run, for whoever comes to it, and read the row.

    What goes wrong after the commit does not fail the request that asks: it is on the row.
    """
    stopped = UserPod.objects.filter(pk=pod.pk, wanted=Wanted.STOPPED)
    _perform(Operation.START, stopped, actor, robust=True)
    with suppress(UserPod.DoesNotExist):
        pod.refresh_from_db()


def _perform(
    operation: Operation,
    selected: QuerySet[UserPod],
    actor: str,
    *,
    where: Q | None = None,
    robust: bool = False,
    followed: bool = False,
) -> OperationResult:
    result = OperationResult(operation)
    using = alias()
    # Read before anything is written: what is selected by its state has another one afterwards.
    columns = ("pk", "owner_pk", "name", "wanted", "state", "owner_id", "profile")
    found = {values[0]: values for values in selected.using(using).values_list(*columns)}
    for pk, owner_pk, name, wanted, state, _, _ in found.values():
        if wanted == Wanted.ABSENT and operation != Operation.SYNC:
            result.absent += 1
        elif operation == Operation.RESTART and wanted == Wanted.STOPPED:
            result.stopped += 1
        elif _is_already(operation, wanted, state):
            result.already += 1
        else:
            result.pods.append(PodRef(pk, owner_pk, name, state))

    asked = result.pods
    starts = [
        pk
        for pk, _, _, wanted, _, _, profile in found.values()
        if operation == Operation.START
        and wanted == Wanted.STOPPED
        and (profile or conf.has_profiles())
    ]

    def record() -> None:
        with transaction.atomic(using=using):
            if starts:
                Installation.objects.lock()
                # As they are now: another profile may have been chosen since they were read.
                result.refused = choosing.refusals(choosing.of_stopped(starts))
                choosing.note(result.refused)
            result.pods = [pod for pod in asked if pod.pk not in result.refused]
            if followed and len(result.pods) > 1:
                result.run = history.begin_run(operation, actor, len(result.pods))
            _record(result, actor, where)

    retried(record)
    result.deferred = True
    transaction.on_commit(partial(_ask, result), using=using, robust=robust)
    return result


def _is_already(operation: Operation, wanted: str, state: str) -> bool:
    if operation == Operation.START:
        return wanted == Wanted.RUNNING and State(state).is_up
    return operation == Operation.STOP and wanted == state == Wanted.STOPPED


def _record(result: OperationResult, actor: str, where_else: Q | None) -> None:
    """Record what is asked for: one UPDATE for each batch, as long as a database takes lists."""
    now = timezone.now()
    operation, run = result.operation, result.run.pk if result.run else None
    # Who was told to go meanwhile stays told so.
    where = ~Q(wanted=Wanted.ABSENT) & (where_else or Q())
    what: dict[str, Any] = {"state": State.PENDING, "message": "", "step_times": ""}
    what["updated_at"] = now
    if operation == Operation.SYNC:
        # Whatever it is wanted to be, and how it is doing, stays.
        where, what = Q(), {"to_sync": True}
    elif operation == Operation.START:
        what |= {"wanted": Wanted.RUNNING, "last_activity": now, "started_at": now}
    elif operation == Operation.STOP:
        what |= {"wanted": Wanted.STOPPED}
    elif operation == Operation.RESTART:
        what |= {"restarted_at": now, "started_at": now}
        where = Q(wanted=Wanted.RUNNING)
    else:
        what |= {"recreate": True, "started_at": now}
    # In the order of their keys, as everywhere.
    for batch in _batches(sorted(result.pods, key=lambda pod: pod.pk)):
        found = rows().filter(where, pk__in=[pod.pk for pod in batch])
        lock(found)
        # What is asked only of those that are so still is the history of no others.
        met = set(found.values_list("pk", flat=True)) if where_else else None
        found.update(**what)
        history.add(
            [
                history.Line(
                    pod.pk,
                    pod.state,
                    what.get("state", pod.state),
                    operation=operation.value,
                    actor=actor,
                    run=run,
                )
                for pod in batch
                if met is None or pod.pk in met
            ]
        )


def _ask(result: OperationResult) -> None:
    """Ask for a reconcile of what is now recorded, and note what became of it."""
    result.deferred = False
    pks = [pod.pk for pod in result.pods]
    # Without a task backend no more than the first few are tried: what is recorded for the rest
    # is the next sync's, and looking at 10,000 users first would only keep people waiting.
    batches = _batches(pks) if tasks.has_task_backend() else iter([pks[:_TRIED]])
    asked_for, known = 0, set[str]()
    for batch in batches:
        if not batch or result.later:
            # The queue did not take the last one; do not wait for it again.
            break
        asked_for += len(batch)
        try:
            asked = tasks.ask_for_pods(batch)
        except UserpodsError as error:
            # Invalid settings, for everybody: what is recorded stays to be done.
            result.later, result.reason = len(batch), str(error)
            break
        failures = _failures(asked)
        known |= {failure.name for failure in asked.report.failed} if asked.report else set()
        left = max(0, len(batch) - asked.enqueued - len(failures))
        later = min(asked.later, left)
        result.enqueued += asked.enqueued
        result.failures += failures
        result.later += later
        result.reason = asked.reason
        result.done += left - later
    if result.done:
        _see(result, pks[:asked_for], known)
    result.later += len(pks) - asked_for


def _see(result: OperationResult, tried: Sequence[str], known: Collection[str]) -> None:
    """Tell those that only were set going, or fail all the same, from those that are as asked.

    ``known`` are the names of those that are known to have failed.
    """
    others = rows().filter(pk__in=tried).exclude(state__in=[State.RUNNING, State.STOPPED])
    open_ones = 0
    for pod in others.select_related("owner"):
        if str(pod) in known:
            continue
        if pod.state == State.FAILED and result.done:
            username = pod.owner.get_username() if pod.owner else ""
            result.failures.append(f"{readable(str(pod), str(username))}: {pod.message}")
            result.done -= 1
        else:
            open_ones += 1
    result.under_way = min(result.done, max(0, open_ones - result.later))


def _failures(asked: tasks.Asked) -> list[str]:
    """Return what failed, each user once: both ways of asking find unusable settings."""
    failed = list(asked.report.failed) if asked.report else []
    named = [f"{failure.label}: {failure.message}" for failure in failed]
    rest = Counter(asked.failed)
    rest.subtract(named)
    rest.subtract(failure.message for failure in failed)
    return named + list((+rest).elements())


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), BATCH):
        yield items[first : first + BATCH]
