"""The one code path that makes the cluster agree with the database, for one user or for all."""

from __future__ import annotations

import dataclasses
import logging
from functools import partial
from typing import TYPE_CHECKING

from django.db.models import Q

from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.core.objects import DEPLOYMENT, SERVICE
from django_userpods.core.plan import Action, is_mass_deletion, plan
from django_userpods.core.states import UNSETTLED, State
from django_userpods.exceptions import ClusterError, MassDeletionRefused, OutOfTime
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import rollout
from django_userpods.reconcile.carry_out import carry_out, note_under_way
from django_userpods.reconcile.entries import Entry, RowChanges, Scope
from django_userpods.reconcile.explain import explain
from django_userpods.reconcile.observe import Reader, Subject, observe, subject_of
from django_userpods.reconcile.pods import look, name_for, pods_in_use
from django_userpods.reconcile.rehearsal import Rehearsal, differences
from django_userpods.reconcile.report import Failure, Report
from django_userpods.reconcile.request import Request, Run
from django_userpods.reconcile.rows import retried, rows, store, update
from django_userpods.reconcile.wanted import TemplateSource, this_installation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.plan import Observed
    from django_userpods.reconcile.request import Progress

logger = logging.getLogger("django_userpods")

# Users wait for a name; its holder's objects go; the name is given: three passes at the most.
_PASSES = 3


def reconcile(
    user_pks: Collection[str] | None = None,
    *,
    pods: Collection[str] | None = None,
    prune: bool = True,
    allow_mass_delete: bool = False,
    dry_run: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
    asked_deletions: bool = False,
    is_made_elsewhere: Callable[[str], bool] | None = None,
    may_have_restarted: Callable[[str], bool] | None = None,
    cluster: Cluster | None = None,
) -> Report:
    """Make the cluster agree with the database, and the rows with the cluster.

    ``user_pks`` are primary keys as text, for all pods of some users; ``pods`` are ids of rows,
    for some pods alone. Neither means all users, and then (with ``prune``) objects of
    unknown owners are deleted too. ``timeout`` bounds the whole in seconds; what it leaves undone
    is reported, not lost. With ``dry_run`` nothing is written anywhere. With ``asked_deletions``
    pods whose users are only now found to be gone, or not selected any more, are left alone and
    reported: for who names pods for another reason, and so asks no guard. Pods of which
    ``is_made_elsewhere`` says so, just before their turn, are left to whoever is making what they
    lack, if that is all there is to do: both would do the same work, and one in vain. Of pods that
    run restarts are counted where ``may_have_restarted`` says so, and where they came up just now
    or a sync was asked for. ``cluster`` is asked and written to instead of that of the settings:
    for who writes under a guard of its own.

    What fails for one user is in the report and on the row. Raises SettingError or TemplateError
    where the settings are invalid, ClusterError where the cluster cannot be observed (the rows
    then say so), and database errors as they are.
    """
    run = Run.of(
        Request(
            Scope.of(user_pks, pods),
            prune=prune,
            allow_mass_delete=allow_mass_delete,
            dry_run=dry_run,
            timeout=timeout,
            progress=progress or _silent,
            asked_deletions=asked_deletions,
            is_made_elsewhere=is_made_elsewhere,
            may_have_restarted=may_have_restarted,
        )
    )
    run.cluster = cluster
    scope = run.request.scope
    for number in range(_PASSES):
        run.again, run.crossed, run.freed = set(), set(), False
        try:
            _one_pass(run, scope, first=number == 0)
        except ClusterError as error:
            _note_trouble(run, str(error) if not isinstance(error, OutOfTime) else "")
            raise
        todo = run.again | run.crossed
        if not todo or dry_run or (number > 0 and not run.freed):
            break
        scope = Scope.of(todo)
    run.report.not_done.extend(sorted(run.again))
    run.report.crossed.extend(sorted(run.crossed))
    _note_waiting(run)
    if run.request.scope.everybody and not (dry_run or run.report.unavailable):
        failures = len(run.report.failed) + len(run.report.not_done)
        retried(partial(Installation.objects.note_sync, failures))
    elif run.report.unavailable:
        _note_trouble(run, "the cluster stopped answering on the way")
    return run.report


def _note_trouble(run: Run, message: str) -> None:
    """Note what is in the way of a run that was to look at everything, for staff to read."""
    if message and run.request.scope.everybody and not run.request.dry_run:
        retried(partial(Installation.objects.note_trouble, message))


def _note_waiting(run: Run) -> None:
    """Say in the report who waits for their turn, and whether nobody is given one any more."""
    run.report.waiting = sorted(run.waiting.values())
    if run.waiting:
        run.report.stopped = rollout.stopped()


def _unlikely(_pod: str) -> bool:
    return False


def _silent(_phase: str, _done: int, _total: int) -> None:
    """Show no progress."""


def _one_pass(run: Run, scope: Scope, *, first: bool) -> None:
    desired = TemplateSource(this_installation(write=not run.request.dry_run))
    cluster = run.cluster = run.cluster or get_cluster()
    cluster.prepare()
    subjects, plans = _look(run, cluster, desired, scope, first=first)
    note_under_way(run, subjects, plans)
    plans = rollout.give_turns(run, subjects, plans, desired)
    if run.request.dry_run:
        cluster = Rehearsal(cluster, subjects, plans, remaining=run.remaining)
    carry_out(run, cluster, subjects, plans, installation=desired.installation)
    if run.request.dry_run:
        run.report.differences = differences(run)


def _look(
    run: Run,
    cluster: Cluster,
    desired: TemplateSource,
    scope: Scope,
    *,
    first: bool,
) -> tuple[dict[str, Subject], dict[str, list[Action]]]:
    """Return the pods that take part, by id, and what to do for those that need something."""
    run.request.progress("users", 0, 0)
    changes = look(scope, keep_users=desired.per_user)
    if run.request.asked_deletions:
        _leave_alone(run, changes)
    subjects = {entry.pk: subject_of(entry, desired) for entry in changes.entries}
    _add_orphans(run, subjects)
    if first:
        run.report.users = len(subjects) + len(changes.waiting)
        run.report.failed.extend(Failure(*failure) for failure in changes.failed)
    reader = Reader(
        cluster,
        installation=desired.installation.id,
        everybody=scope.everybody,
        shared=frozenset({DEPLOYMENT, SERVICE}) | desired.kinds,
        remaining=run.remaining,
        progress=lambda count: run.request.progress("objects", count, 0),
        differences=run.differences if run.request.dry_run else None,
        may_have_restarted=run.request.may_have_restarted or _unlikely,
    )
    try:
        strangers = observe(reader, subjects)
        explain(reader, subjects)
    except ClusterError as error:
        if not run.request.dry_run:
            # Who is new is written down all the same; who is gone, only by name or by the guard.
            store(changes, but_for_absent=scope.everybody)
            _note_unobserved(scope, str(error))
        raise
    if run.request.prune and scope.everybody:
        run.report.strangers |= _add_strangers(subjects, strangers)
    _leave_recreated(run, subjects)
    plans = _plans(run, subjects, everyone=scope.everybody, first=first)
    if not run.request.dry_run:
        # Only now: nothing is written before the guard has answered.
        _store(run, changes, subjects, plans)
    if changes.waiting:
        run.again |= {entry.user_pk for entry in changes.waiting}
        run.again |= _holders(changes.waiting)
    return subjects, plans


def _leave_alone(run: Run, changes: RowChanges) -> None:
    """Take those out of the run whose deletion nobody has asked for."""
    left = {entry.pk for entry in changes.changed if entry.absent}
    run.report.left_alone.extend(sorted(left.difference(run.report.left_alone)))
    changes.entries = [entry for entry in changes.entries if entry.pk not in left]
    changes.changed = [entry for entry in changes.changed if entry.pk not in left]


def _store(
    run: Run,
    changes: RowChanges,
    subjects: dict[str, Subject],
    plans: dict[str, list[Action]],
) -> None:
    """Write the rows; who came to be otherwise meanwhile is left to the next pass."""
    run.check_guard()
    for pk, entry in store(changes, but_for_absent=run.report.refused is not None):
        plans.pop(pk, None)
        subjects.pop(pk, None)
        if (message := changes.refused.get(pk)) is not None:
            run.report.failed.append(
                Failure(entry.user_pk, str(entry), message, username=entry.username)
            )
        else:
            run.again.add(entry.user_pk)
            run.freed = True


def _add_orphans(run: Run, subjects: dict[str, Subject]) -> None:
    """Take pods into the run whose rows went while it made objects for them."""
    for entry in run.orphans:
        if entry.pk not in subjects:
            gone = dataclasses.replace(
                entry, wanted=UserPod.Wanted.ABSENT, state=State.DELETING, stored=False
            )
            subjects[entry.pk] = Subject(gone)
    run.orphans = []


def _leave_recreated(run: Run, subjects: dict[str, Subject]) -> None:
    """Leave alone what another run has deleted and recreated since the rows were read.

    What is in the cluster by now may be the new objects: each is asked to be deleted once.
    """
    asked = [pod for pod, subject in subjects.items() if subject.entry.recreate]
    if not asked:
        return
    still = set(rows().filter(pk__in=asked, recreate=True).values_list("pk", flat=True))
    for pod in asked:
        entry = subjects[pod].entry
        if pod not in still:
            del subjects[pod]
            run.again.add(entry.user_pk)
            run.freed = True


def _holders(waiting: list[Entry]) -> set[str]:
    """Return the gone users whose names others wait for."""
    names = [name_for(entry) for entry in waiting]
    held = rows().filter(name__in=names, owner=None)
    return set(held.values_list("owner_pk", flat=True))


def _note_unobserved(scope: Scope, message: str) -> None:
    """Say on the rows that wait for something why nothing happens."""
    where = Q(state__in=UNSETTLED)
    if not scope.everybody:
        where = scope.where
    update(where & ~Q(message=message), message=message)


def _add_strangers(subjects: dict[str, Subject], strangers: dict[str, list[Observed]]) -> set[str]:
    """Take objects of unknown owners into the run, unless a row of that id came meanwhile.

    Return the ids of those that are only of kinds that are kept.
    """
    kept: set[str] = set()
    known = pods_in_use() if strangers else set()
    retain = conf.USERPODS_RETAIN
    for pod, observed in strangers.items():
        # What was kept when its user went is nobody's business any more.
        leftovers = [item for item in observed if item.ref.kind.kind not in retain]
        if not leftovers:
            kept.add(pod)
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
        subjects[pod] = Subject(entry, observed=observed, named=leftovers[0].username)
    return kept


def _plans(
    run: Run, subjects: dict[str, Subject], *, everyone: bool, first: bool
) -> dict[str, list[Action]]:
    """Return what to do for each user who needs something, deletions first."""
    report = run.report
    plans: dict[str, list[Action]] = {}
    retain = conf.USERPODS_RETAIN
    deletions = pods = 0
    for pod, subject in subjects.items():
        entry = subject.entry
        pods += bool(subject.observed)
        if pod in run.last_addresses:
            subject.last_address = run.last_addresses[pod]
        if subject.error is not None or (subject.is_right() and not entry.recreate):
            continue
        if entry.recreate and entry.address:
            run.last_addresses[pod] = entry.address
        wanted = [] if entry.recreate else subject.wanted()
        actions = plan(wanted, subject.observed, retain=retain)
        deletions += bool(entry.absent and entry.found_out and actions)
        if actions or (entry.absent and not _is_settled(entry)) or entry.recreate:
            plans[pod] = actions
    if (
        everyone
        and not run.request.allow_mass_delete
        and is_mass_deletion(deletions=deletions, total=pods)
    ):
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
                if not subject.entry.stored:
                    report.strangers.add(pod)
                plans.pop(pod, None)
                del subjects[pod]

    def turn(item: tuple[str, list[Action]]) -> tuple[bool, bool]:
        entry = subjects[item[0]].entry
        # Who failed before comes last, so that nobody waits for them.
        return bool(entry.message), not entry.absent

    return dict(sorted(plans.items(), key=turn))


def _is_settled(entry: Entry) -> bool:
    """Tell whether an absent user's objects were found gone before, and the row stays."""
    return entry.exists and entry.user_id is not None and entry.state == State.STOPPED
