"""The one code path that makes the cluster agree with the database, for one user or for all."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from django_userpods.conf import conf, get_cluster
from django_userpods.core.plan import Action, is_mass_deletion, plan
from django_userpods.core.states import UNSETTLED, State
from django_userpods.exceptions import (
    ClusterError,
    ClusterUnavailable,
    MassDeletionRefused,
    OutOfTime,
)
from django_userpods.models import UserPod
from django_userpods.reconcile import apply, outcomes
from django_userpods.reconcile.observe import Subject, observe, subject_of
from django_userpods.reconcile.pods import Entry, Scope, look, name_for, pods_in_use, store
from django_userpods.reconcile.report import Failure, Report
from django_userpods.reconcile.wanted import TemplateSource, this_installation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.naming import Installation
    from django_userpods.core.plan import Observed

    #: Told (phase, done, total) as a run goes on; total is 0 where it is not known.
    Progress = Callable[[str, int, int], None]

logger = logging.getLogger("django_userpods")

# After so many users in a row whom an unreachable cluster failed, the rest is left for later.
_GIVE_UP_AFTER = 8
# Users wait for a name; its holder's objects go; the name is given: three passes at the most.
_PASSES = 3
# Rows are written together: so many at once, or as many as came in so many seconds.
_FLUSH_COUNT, _FLUSH_SECONDS = 100, 0.5


@dataclass(slots=True)
class _Run:
    """One run's circumstances."""

    report: Report
    prune: bool
    allow_mass_delete: bool
    deadline: float | None
    progress: Progress
    #: Users who want another pass, and whether this pass freed a name or a row.
    again: set[str] = field(default_factory=set)
    freed: bool = False

    def remaining(self) -> float | None:
        """Return the seconds left; raise OutOfTime where there are none."""
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            message = "no time left in this request; the next sync goes on"
            raise OutOfTime(message)
        return left


def reconcile(
    user_pks: Collection[str] | None = None,
    *,
    pods: Collection[str] | None = None,
    prune: bool = True,
    allow_mass_delete: bool = False,
    dry_run: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Report:
    """Make the cluster agree with the database, and the rows with the cluster.

    ``user_pks`` are primary keys as text, for all pods of some users; ``pods`` are ids of rows,
    for some pods alone. Neither means all users, and then (with ``prune``) objects of nobody known
    are deleted too. ``timeout`` bounds the whole in seconds; what it leaves undone
    is reported, not lost. With ``dry_run`` nothing is written anywhere.

    What fails for one user is in the report and on the row. Raises SettingError or TemplateError
    where the settings make no sense, ClusterError where the cluster cannot be observed (the rows
    then say so), and database errors as they are.
    """
    run = _Run(
        report=Report(dry_run=dry_run),
        prune=prune,
        allow_mass_delete=allow_mass_delete,
        deadline=None if timeout is None else time.monotonic() + timeout,
        progress=progress or _silent,
    )
    todo = Scope.of(user_pks, pods)
    for number in range(_PASSES):
        run.again, run.freed = set(), False
        _one_pass(run, todo, first=number == 0)
        if not run.again or dry_run or (number > 0 and not run.freed):
            break
        todo = Scope.of(run.again)
    run.report.not_done.extend(sorted(run.again))
    return run.report


def _silent(_phase: str, _done: int, _total: int) -> None:
    """Show no progress."""


def _one_pass(run: _Run, scope: Scope, *, first: bool) -> None:
    desired = TemplateSource(this_installation(write=not run.report.dry_run))
    cluster = get_cluster()
    cluster.prepare()
    subjects, plans = _look(run, cluster, desired, scope, first=first)
    if run.report.dry_run:
        run.report.done.extend(action for actions in plans.values() for action in actions)
        return
    _carry_out(run, cluster, subjects, plans, installation=desired.installation)


def _look(
    run: _Run,
    cluster: Cluster,
    desired: TemplateSource,
    scope: Scope,
    *,
    first: bool,
) -> tuple[dict[str, Subject], dict[str, list[Action]]]:
    """Return the pods that take part, by id, and what to do for those that need something."""
    report = run.report
    run.progress("users", 0, 0)
    settled = look(scope, keep_users=desired.per_user)
    subjects = {entry.pk: subject_of(entry, desired) for entry in settled.entries}
    if first:
        report.users = len(subjects) + len(settled.waiting)
        report.failed.extend(Failure(*failure) for failure in settled.failed)
    try:
        strangers = observe(
            cluster,
            subjects,
            installation=desired.installation.id,
            only=not scope.everybody,
            remaining=run.remaining,
            progress=lambda count: run.progress("objects", count, 0),
        )
    except ClusterError as error:
        if not report.dry_run:
            # Who is new is written down all the same; who is gone, only by name or by the guard.
            store(settled, but_for_absent=scope.everybody)
            _note_unobserved(scope, str(error))
        raise
    if run.prune and scope.everybody:
        _add_strangers(subjects, strangers)
    plans = _plans(run, subjects, everyone=scope.everybody, first=first)
    if not report.dry_run:
        # Only now: nothing is written before the guard has answered.
        planned = {entry.user_pk: entry.pk for entry in settled.new + settled.nameless}
        for entry in store(settled, but_for_absent=report.refused is not None):
            plans.pop(planned[entry.user_pk], None)
            subjects.pop(planned[entry.user_pk], None)
            run.again.add(entry.user_pk)
            run.freed = True
    if settled.waiting:
        run.again |= {entry.user_pk for entry in settled.waiting}
        run.again |= _holders(settled.waiting)
    return subjects, plans


def _holders(waiting: list[Entry]) -> set[str]:
    """Return the gone users whose names others wait for."""
    names = [name_for(entry) for entry in waiting]
    rows = UserPod.objects.filter(name__in=names, owner=None)
    return set(rows.values_list("owner_pk", flat=True))


def _note_unobserved(scope: Scope, message: str) -> None:
    """Say on the rows that wait for something why nothing happens."""
    rows = UserPod.objects.filter(state__in=UNSETTLED)
    if not scope.everybody:
        rows = UserPod.objects.filter(scope.where)
    rows.exclude(message=message).update(message=message)


def _add_strangers(subjects: dict[str, Subject], strangers: dict[str, list[Observed]]) -> None:
    """Take objects of nobody known into the run, unless a row of that id came meanwhile."""
    known = pods_in_use() if strangers else set()
    retain = conf.retain
    for pod, observed in strangers.items():
        # What was kept when its user went is nobody's business any more.
        leftovers = [item for item in observed if item.ref.kind.kind not in retain]
        if pod in known or not leftovers:
            continue
        ref = leftovers[0].ref
        entry = Entry(
            pk=pod,
            user_pk=pod,
            user_id=None,
            slot="",
            name=ref.name,
            namespace=ref.namespace,
            wanted=UserPod.Wanted.ABSENT,
            state=State.DELETING,
            stored=False,
            found_out=True,
        )
        subjects[pod] = Subject(entry, observed=observed)


def _plans(
    run: _Run, subjects: dict[str, Subject], *, everyone: bool, first: bool
) -> dict[str, list[Action]]:
    """Return what to do for each user who needs something, deletions first."""
    report = run.report
    plans: dict[str, list[Action]] = {}
    retain = conf.retain
    deletions = pods = 0
    for pod, subject in subjects.items():
        entry = subject.entry
        pods += bool(subject.observed)
        if subject.error is not None or (subject.is_right() and not entry.recreate):
            continue
        wanted = [] if entry.recreate else subject.wanted()
        actions = plan(wanted, subject.observed, retain=retain)
        deletions += bool(entry.absent and entry.found_out and actions)
        if actions or (entry.absent and not _is_settled(entry)) or entry.recreate:
            plans[pod] = actions
    if everyone and not run.allow_mass_delete and is_mass_deletion(deletions=deletions, total=pods):
        report.refused = MassDeletionRefused(deletions=deletions, total=pods)
        logger.error("%s", report.refused)
    if first:
        report.unchanged = (
            len(subjects)
            - len(plans)
            - sum(subject.error is not None for subject in subjects.values())
        )
    if report.refused:
        for pod, subject in list(subjects.items()):
            if subject.entry.absent and subject.entry.found_out:
                plans.pop(pod, None)
                del subjects[pod]
    return dict(sorted(plans.items(), key=lambda item: not subjects[item[0]].entry.absent))


def _is_settled(entry: Entry) -> bool:
    """Tell whether an absent user's objects were found gone before, and the row stays."""
    return entry.exists and entry.user_id is not None and entry.state == State.STOPPED


def _carry_out(
    run: _Run,
    cluster: Cluster,
    subjects: dict[str, Subject],
    plans: dict[str, list[Action]],
    *,
    installation: Installation,
) -> None:
    """Act, and write the rows as the outcomes come in."""
    outcomes.kinds_to_come([subjects[pod] for pod in plans])
    quiet = (subject for pod, subject in subjects.items() if pod not in plans)
    _write(run, [(subject, apply.Outcome()) for subject in quiet if outcomes.is_news(subject)])
    pending: list[tuple[Subject, apply.Outcome]] = []
    left = dict.fromkeys(plans)
    flushed, down = time.monotonic(), 0
    go_on = True
    coming = _outcomes(
        run, cluster, subjects, plans, installation=installation, go_on=lambda: go_on
    )
    try:
        for number, (pod, outcome) in enumerate(coming, start=1):
            if isinstance(outcome.error, OutOfTime):
                # Nothing is wrong with this user: it is just not done.
                run.report.done.extend(outcome.done)
                go_on = False
                continue
            del left[pod]
            pending.append((subjects[pod], outcome))
            if len(pending) >= _FLUSH_COUNT or time.monotonic() - flushed > _FLUSH_SECONDS:
                _write(run, pending)
                pending, flushed = [], time.monotonic()
            run.progress("apply", number, len(plans))
            down = down + 1 if isinstance(outcome.error, ClusterUnavailable) else 0
            if down >= _GIVE_UP_AFTER and go_on:
                logger.error("the cluster does not answer: %d users left for later", len(left))
                go_on = False
    finally:
        # Also when interrupted: what was done is on the rows.
        coming.close()
        _write(run, pending)
    run.report.not_done.extend(str(subjects[pod].entry) for pod in left)


def _outcomes(
    run: _Run,
    cluster: Cluster,
    subjects: dict[str, Subject],
    plans: dict[str, list[Action]],
    *,
    installation: Installation,
    go_on: Callable[[], bool],
) -> Generator[tuple[str, apply.Outcome]]:
    """Yield each user's outcome as it comes, with as many at once as the cluster takes.

    Once ``go_on`` says no, what has begun is seen to its end and nothing else is begun.
    """

    def perform(pod: str) -> apply.Outcome:
        return apply.perform(
            cluster,
            subjects[pod],
            plans[pod],
            installation=installation,
            remaining=run.remaining,
        )

    if len(plans) < 2 or cluster.concurrency < 2:
        for pod in plans:
            if go_on():
                yield pod, perform(pod)
        return
    done: SimpleQueue[tuple[str, apply.Outcome | BaseException]] = SimpleQueue()

    def work(pod: str) -> None:
        try:
            done.put((pod, perform(pod)))
        except BaseException as error:  # noqa: BLE001 - raised again below
            done.put((pod, error))

    with ThreadPoolExecutor(cluster.concurrency, thread_name_prefix="userpods") as pool:
        running: dict[str, Future[None]] = {}
        waiting = iter(plans)
        try:
            while True:
                # No more than a few ahead, so that giving up leaves nothing queued.
                while (
                    go_on()
                    and len(running) < 2 * cluster.concurrency
                    and (pod := next(waiting, ""))
                ):
                    running[pod] = pool.submit(work, pod)
                if not go_on():
                    for pod in [pod for pod, future in running.items() if future.cancel()]:
                        del running[pod]
                if not running:
                    return
                pod, outcome = done.get()
                del running[pod]
                if isinstance(outcome, BaseException):
                    raise outcome
                yield pod, outcome
        finally:
            pool.shutdown(cancel_futures=True)


def _write(run: _Run, items: list[tuple[Subject, apply.Outcome]]) -> None:
    """Write rows, send signals, and add to the report."""
    for written in outcomes.write(items):
        run.report.done.extend(written.outcome.done)
        if isinstance(written.outcome.error, ClusterUnavailable):
            run.report.unavailable = True
        if written.message:
            entry = written.subject.entry
            run.report.failed.append(Failure(entry.user_pk, str(entry), written.message))
        run.again |= written.again
        run.freed = run.freed or written.freed
