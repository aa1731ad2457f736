"""Carry out a run's plans, as many at once as the cluster takes, and write what came of each."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING

from django_userpods.core import naming
from django_userpods.core.objects import SERVICE
from django_userpods.core.plan import Verb
from django_userpods.core.rollout import Turn
from django_userpods.exceptions import (
    ClusterError,
    ClusterUnavailable,
    NotFound,
    OutOfTime,
    QuotaExceeded,
)
from django_userpods.reconcile import apply, outcomes
from django_userpods.reconcile.report import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.naming import InstallationIdentity
    from django_userpods.core.plan import Action
    from django_userpods.reconcile.observe import Subject
    from django_userpods.reconcile.request import Run

logger = logging.getLogger("django_userpods")

# Pods in a row that the cluster failed, after which it is asked whether it is up at all, and after
# which the rest is left for later in any case.
_ASK_AFTER, _GIVE_UP_AFTER = 8, 24
# Rows are written together: at most this number, or those of this number of seconds.
_FLUSH_COUNT, _FLUSH_SECONDS = 100, 0.5


def carry_out(
    run: Run,
    cluster: Cluster,
    subjects: dict[str, Subject],
    plans: dict[str, list[Action]],
    *,
    installation: InstallationIdentity,
) -> None:
    """Act, and write the rows as the outcomes come in."""
    if not run.request.dry_run:
        outcomes.kinds_to_come([subjects[pod] for pod in plans])
    quiet = (subject for pod, subject in subjects.items() if pod not in plans)
    _record_outcomes(
        run, [(subject, apply.Outcome()) for subject in quiet if outcomes.is_news(subject)]
    )
    pending: list[tuple[Subject, apply.Outcome]] = []
    left = dict.fromkeys(plans)
    flushed, down = time.monotonic(), 0
    go_on = True

    def ours() -> Iterator[str]:
        for pod, actions in plans.items():
            if _is_made_elsewhere(run, pod, actions):
                del left[pod]
            else:
                yield pod

    coming = _outcomes(
        run, cluster, subjects, plans, ours(), installation=installation, go_on=lambda: go_on
    )
    try:
        for number, (pod, outcome) in enumerate(coming, start=1):
            if isinstance(outcome.error, OutOfTime):
                # Nothing is wrong with this user: it is just not done.
                _report_done(run, subjects[pod], outcome)
                go_on = False
                continue
            del left[pod]
            pending.append((subjects[pod], outcome))
            if len(pending) >= _FLUSH_COUNT or time.monotonic() - flushed > _FLUSH_SECONDS:
                _record_outcomes(run, pending)
                pending, flushed = [], time.monotonic()
            run.request.progress("apply", number, len(plans))
            down = down + 1 if isinstance(outcome.error, ClusterUnavailable) else 0
            if go_on and down and down % _ASK_AFTER == 0:
                go_on = down < _GIVE_UP_AFTER and _is_up(run, cluster, subjects[pod], installation)
                if not go_on:
                    logger.error("the cluster does not answer: %d users left for later", len(left))
    finally:
        # Also when interrupted: what was done is on the rows.
        coming.close()
        _record_outcomes(run, pending)
    run.report.not_done.extend(str(subjects[pod].entry) for pod in left)


def note_under_way(
    run: Run, subjects: dict[str, Subject], plans: Mapping[str, list[Action]]
) -> None:
    """Write how those do that had their turn in a rollout, before others are given theirs.

    They are done with and taken out of ``subjects``.
    """
    pods = [
        pod
        for pod, subject in subjects.items()
        if pod not in plans and Turn(subject.entry.turn).is_under_way
    ]
    found = [subjects.pop(pod) for pod in pods]
    news = [subject for subject in found if outcomes.is_news(subject)]
    _record_outcomes(run, [(subject, apply.Outcome()) for subject in news])


def _is_made_elsewhere(run: Run, pod: str, actions: Iterable[Action]) -> bool:
    """Tell whether others are making all that a pod lacks."""
    tell = run.request.is_made_elsewhere
    return tell is not None and all(action.verb == Verb.CREATE for action in actions) and tell(pod)


def _is_up(
    run: Run, cluster: Cluster, subject: Subject, installation: InstallationIdentity
) -> bool:
    """Tell whether the cluster answers at all, where it failed several pods in a row."""
    labels = {naming.INSTALLATION_LABEL: installation.id, naming.POD_LABEL: "none"}
    try:
        found = cluster.list(
            SERVICE, namespace=subject.entry.namespace, labels=labels, timeout=run.remaining()
        )
        next(iter(found), None)
    except ClusterError as error:
        return not isinstance(error, ClusterUnavailable)
    return True


def _outcomes(
    run: Run,
    cluster: Cluster,
    subjects: dict[str, Subject],
    plans: dict[str, list[Action]],
    pods: Iterable[str],
    *,
    installation: InstallationIdentity,
    go_on: Callable[[], bool],
) -> Generator[tuple[str, apply.Outcome]]:
    """Yield each pod's outcome as it comes, with as many at once as the cluster takes.

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
        for pod in pods:
            if go_on():
                yield pod, perform(pod)
        return
    yield from _side_by_side(perform, pods, concurrency=cluster.concurrency, go_on=go_on)


def _side_by_side(
    perform: Callable[[str], apply.Outcome],
    pods: Iterable[str],
    *,
    concurrency: int,
    go_on: Callable[[], bool],
) -> Generator[tuple[str, apply.Outcome]]:
    """Yield each pod's outcome as it comes, from as many threads."""
    done: SimpleQueue[tuple[str, apply.Outcome | BaseException]] = SimpleQueue()

    def work(pod: str) -> None:
        try:
            done.put((pod, perform(pod)))
        except BaseException as error:  # noqa: BLE001 - raised again below
            done.put((pod, error))

    with ThreadPoolExecutor(concurrency, thread_name_prefix="userpods") as pool:
        running: dict[str, Future[None]] = {}
        waiting = iter(pods)
        try:
            while True:
                # No more than a few ahead, so that giving up leaves nothing queued.
                while go_on() and len(running) < 2 * concurrency and (pod := next(waiting, "")):
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


def _report_done(run: Run, subject: Subject, outcome: apply.Outcome) -> None:
    run.report.done.extend(outcome.done)
    if outcome.done and subject.username:
        run.report.usernames[subject.entry.pk] = subject.username


def _record_outcomes(run: Run, items: list[tuple[Subject, apply.Outcome]]) -> None:
    """Write rows, send signals, and add to the report; of a dry run nothing but that."""
    if items and not run.request.dry_run:
        run.check_guard()
    write = outcomes.unwritten if run.request.dry_run else outcomes.write
    for written in write(items):
        _report_done(run, written.subject, written.outcome)
        run.report.overruled.extend(written.subject.news)
        if not written.subject.entry.stored and not written.outcome.gone:
            run.report.strangers.add(written.subject.entry.pk)
        if isinstance(written.outcome.error, ClusterUnavailable):
            run.report.unavailable = True
        if written.message:
            entry = written.subject.entry
            error = written.outcome.error
            transient = error is not None and error.transient
            run.report.failed.append(
                Failure(
                    entry.user_pk,
                    str(entry),
                    written.message,
                    transient,
                    entry.pk,
                    entry.username,
                    transient or isinstance(error, QuotaExceeded | NotFound),
                )
            )
        if written.orphan is not None:
            run.orphans.append(written.orphan)
        run.again |= written.again
        if written.crossed:
            run.crossed.add(written.subject.entry.user_pk)
        run.freed = run.freed or written.freed
