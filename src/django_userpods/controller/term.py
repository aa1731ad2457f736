"""What the leader does as long as it leads: take keys from the queue, and ask for reconciles.

Workers take pods from the queue, a few or many together, and one thread looks at everything now
and then. They are threads, each with a database connection of its own. What is in the way of all
work (a cluster or a database that does not answer) makes them pause, and is nobody's failure.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import db
from django.db import connections
from django.utils import timezone

from django_userpods.controller import changes, idle
from django_userpods.controller.logs import log_done, log_failure
from django_userpods.controller.queue import KeyedQueue
from django_userpods.controller.restarts import Restarts
from django_userpods.controller.strangers import Strangers
from django_userpods.controller.unfinished import unfinished_of
from django_userpods.core.states import State
from django_userpods.exceptions import (
    ClusterError,
    ClusterUnavailable,
    NotLeading,
    SettingError,
    TemplateError,
)
from django_userpods.reconcile import reconcile, rollout
from django_userpods.reconcile.rows import rows

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Sequence

    from django_userpods.clusters.base import Cluster
    from django_userpods.controller.metrics import Metrics
    from django_userpods.controller.watcher import Watcher
    from django_userpods.core.objects import Kind

logger = logging.getLogger("django_userpods.controller")

#: The key of a look at everything, in a queue of its own: it may take long, and pods do not wait.
EVERYTHING = "everything"
#: Maximum number of pods that are looked at together.
BATCH = 50
#: Seconds: between looks at the database, how long a change of the cluster waits for others of the
#: same pod, between tries of pods that wait for something else, after which a look at everything
#: that was asked for begins.
_POLL, _SETTLE, _WAITING, _GATHER = 1.0, 0.05, 1.0, 0.2
#: Seconds of a pause after the cluster, or the database, did not answer; settings do not heal.
_PAUSE, _LONGER_PAUSE = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """Seconds between full looks, those that what has begun has at the end, and the workers."""

    resync: float = 300.0
    grace: float = 20.0
    workers: int = 3


class Term:
    """One term as the leader. ``start`` it, ``end`` it; never used again after that.

    ``cluster`` is this term's alone, so that its guard is of this term to the last write. ``leads``
    raises NotLeading where its leader does not lead (any more).
    """

    def __init__(
        self,
        options: Options,
        metrics: Metrics,
        cluster: Cluster,
        *,
        leads: Callable[[], None] = lambda: None,
    ) -> None:
        self._options, self._metrics = options, metrics
        self.cluster, self._leads = cluster, leads
        cluster.guard = self.check
        cluster.on_answer = metrics.answered
        self.stopping = threading.Event()
        self.pods, self.everything = KeyedQueue(), KeyedQueue()
        self.changes = changes.Changes(ask=self.pods.add, ask_all=self.look_at_everything)
        #: Since when pods that were asked for are waited for, by the rows' ids.
        self._awaited: dict[str, datetime.datetime] = {}
        self._wake_poll = threading.Event()
        self._threads: list[threading.Thread] = []
        #: Of these, the ones that may end before the term does.
        self._may_end: set[threading.Thread] = set()
        #: Called after each look at everything that came to an end.
        self.after_full_look: Callable[[], None] = lambda: None
        #: What is watched, by kinds and namespaces: a late look of an earlier term adds nothing.
        self.watched: set[tuple[Kind, str | None]] = set()
        self.watched_lock = threading.Lock()
        self.watchers: list[Watcher] = []
        self.is_synced = False
        #: What was in the way of the last look at everything, or "".
        self.trouble = ""
        #: Whether it ended because its leader led no more; see ``check``.
        self.is_lost = False
        #: Pods that were worked on while everything is looked at; None while it is not.
        self._overlapping: set[str] | None = None
        self._overlapping_lock = threading.Lock()
        self._restarts = Restarts()
        self._strangers = Strangers(options.resync)

    def check(self) -> None:
        """Raise NotLeading unless this is still the term of a leader."""
        if self.is_lost:
            message = "this controller's term is over, so nothing of it is written any more"
            raise NotLeading(message)
        self._leads()

    # --- told by watches

    def notice(self, pod: str) -> None:
        """Have a look at a pod of which the cluster has something to say."""
        self.pods.notice(pod, after=_SETTLE)

    def notice_restarts(self, pod: str) -> None:
        """Have a look at a pod whose own pods changed: restarts are to be counted as well."""
        self._restarts.note([pod])
        self.notice(pod)

    def look_at_all_restarts(self) -> None:
        """Have a look at everything, and count all restarts: nobody knows which were missed."""
        self._restarts.note_all()
        self.look_at_everything()

    def look_at_everything(self) -> None:
        """Have a look at everything: nobody knows what was missed."""
        self.everything.add(EVERYTHING, after=_GATHER)

    # --- threads

    def start(self) -> None:
        """Begin, with a look at everything."""
        self.look_at_everything()
        work = [("everything", self._look_at_everything), ("poll", self._poll)]
        work.append(("idle", self._stop_idle))
        work += [(f"pods-{number}", self._work) for number in range(self._options.workers)]
        for name, target in work:
            self.run(name, target)
        # It has nothing to do with most databases.
        self._may_end.add(self.run("listen", self._listen))

    def run(self, name: str, target: Callable[[], None]) -> threading.Thread:
        """Run something in a thread of this term's, which ends once ``stopping`` is set."""

        def run() -> None:
            try:
                target()
            except Exception:
                logger.exception("the thread %s ended", name)
            finally:
                connections.close_all()

        thread = threading.Thread(target=run, name=f"userpods-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def end(self, grace: float) -> bool:
        """Take no more, and wait for what has begun; tell whether all of it came to an end."""
        self.stopping.set()
        self._wake_poll.set()
        self.pods.wake()
        self.everything.wake()
        deadline = time.monotonic() + grace
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def dead_thread(self) -> str:
        """Return the name of a thread that ended and should not have; "" where all are well."""
        if self.stopping.is_set():
            return ""
        return next(
            (t.name for t in self._threads if not t.is_alive() and t not in self._may_end), ""
        )

    def _work(self) -> None:
        while not self.stopping.is_set():
            if keys := self.pods.take(BATCH):
                self.do(keys)
            else:
                self.pods.wait(1.0)

    def _look_at_everything(self) -> None:
        while not self.stopping.is_set():
            if self.everything.take(1):
                self.do_everything()
            else:
                self.everything.wait(1.0)

    def _poll(self) -> None:
        trouble = ""
        while not self.stopping.is_set():
            try:
                self.changes.poll()
                self.give_turns()
            except Exception as error:
                if str(error) != trouble:
                    trouble = str(error)
                    logger.exception("the database cannot be asked; trying again")
                connections.close_all()
            else:
                if trouble:
                    trouble = ""
                    self.look_at_everything()
            self._wake_poll.wait(_POLL)
            self._wake_poll.clear()

    def give_turns(self) -> None:
        """Look at those of which it is the turn in a rollout, as far as there is room."""
        for pod in rollout.due():
            self.pods.notice(pod)

    def _stop_idle(self) -> None:
        trouble = ""
        idle.forget()
        while not self.stopping.wait(_POLL):
            try:
                idle.tick(timezone.now())
            except Exception as error:
                # Not each second the same: a setting that is wrong stays so for a while.
                if str(error) != trouble:
                    trouble = str(error)
                    logger.exception("idle pods cannot be stopped; trying again")
                connections.close_all()
            else:
                trouble = ""

    def _listen(self) -> None:
        changes.listen(self.stopping, self._wake_poll.set)

    # --- work

    def do(self, keys: Sequence[str]) -> None:
        """Look at some pods that were taken from the queue."""
        began = time.monotonic()
        with self._overlapping_lock:
            if self._overlapping is not None:
                self._overlapping.update(keys)
        marks = self.changes.marks_of(keys)
        restarted = self._restarts.take(keys)
        try:
            self._look_for_strangers(keys)
            report = reconcile(
                pods=keys,
                asked_deletions=True,
                may_have_restarted=restarted.__contains__,
                cluster=self.cluster,
            )
            put_off, failed = unfinished_of(report, keys)
            unfinished = put_off | failed.keys()
            self._restarts.note(restarted & unfinished)
            self.changes.answered({p: mark for p, mark in marks.items() if p not in unfinished})
            self._note_settled(keys, marks)
        except Exception as error:
            self._restarts.note(restarted)
            if (pause := self._pause_after(error)) is None and len(keys) > 1:
                # One of them is at fault: no other is to suffer for it.
                for key in keys:
                    if self.stopping.is_set():
                        return
                    self.do([key])
                return
            if pause is not None:
                self.pods.put_back(keys, pause)
            else:
                logger.exception("pod %s: could not be looked at", keys[0], extra={"pod": keys[0]})
                self.pods.failed(keys[0])
            self._metrics.reconciled("pods", "error", time.monotonic() - began)
            return
        for pod, failure in failed.items():
            pause = self.pods.failed(pod, may_be_over=failure.may_be_over)
            log_failure(pod, failure, pause, times=self.pods.failures(pod))
        self.pods.put_back(put_off, _PAUSE if report.unavailable else _WAITING)
        self.pods.done(*(key for key in keys if key not in put_off and key not in failed))
        if report.left_alone:
            self.look_at_everything()
        result = "failed" if failed else "ok"
        self._metrics.reconciled("pods", result, time.monotonic() - began)
        log_done("pods", report, time.monotonic() - began)

    def _look_for_strangers(self, keys: Sequence[str]) -> None:
        """Have a look at everything where objects name a pod that there is no row of."""
        if (pause := self._strangers.pause(keys)) is not None:
            self.everything.add(EVERYTHING, after=pause)

    def do_everything(self) -> None:
        """Look at all pods and users, as ``sync_userpods`` does.

        Pods that a worker looks at meanwhile are looked at once more after it: what it saw of them
        may be older than what the worker saw, and be written later.
        """
        with self._overlapping_lock:
            self._overlapping = set(self.pods.running())
        try:
            self._do_everything()
        finally:
            with self._overlapping_lock:
                overlapping, self._overlapping = self._overlapping, None
            self._restarts.note(overlapping or ())
            for pod in overlapping or ():
                self.pods.notice(pod)

    def _do_everything(self) -> None:
        began = time.monotonic()
        missed = self._restarts.take_all()
        try:
            report = reconcile(
                is_made_elsewhere=self._is_at_hand,
                may_have_restarted=lambda _: missed,
                cluster=self.cluster,
            )
            put_off, failed = unfinished_of(report, None)
            self.after_full_look()
        except Exception as error:
            if missed:
                self._restarts.note_all()
            self.trouble = str(error) or type(error).__name__
            pause = self._pause_after(error)
            if pause is None:
                logger.exception("not everything could be looked at")
                self.everything.failed(EVERYTHING)
            else:
                self.everything.put_back([EVERYTHING], pause)
            self._metrics.reconciled("everything", "error", time.monotonic() - began)
            return
        if missed:
            self._restarts.note(put_off | failed.keys())
        took = time.monotonic() - began
        # From now on each of these is a pod like any other, with pauses of its own.
        self.pods.add(*put_off, after=_WAITING)
        for pod in failed:
            self.pods.notice(pod, after=_WAITING)
        again = report.unavailable
        self.everything.done(EVERYTHING)
        self.everything.add(EVERYTHING, after=_PAUSE if again else self._options.resync)
        self.trouble = "the cluster stopped answering on the way" if again else ""
        self.is_synced = self.is_synced or not again
        self._strangers.left(report.strangers)
        self._metrics.reconciled("everything", "ok" if report.ok else "failed", took)
        log_done("everything", report, took)

    def _is_at_hand(self, pod: str) -> bool:
        """Tell whether a worker has looked at a pod since everything is looked at, or is about to.

        After many saves at once half of all calls would be made in vain otherwise.
        """
        with self._overlapping_lock:
            if self._overlapping is not None and pod in self._overlapping:
                return True
        return self.pods.is_at_hand(pod)

    def _note_settled(self, keys: Sequence[str], marks: dict[str, datetime.datetime]) -> None:
        """Count how long those took who were asked for and have come to run, stop or fail."""
        for pod, mark in marks.items():
            self._awaited.setdefault(pod, mark)
        if not (awaited := [pod for pod in keys if pod in self._awaited]):
            return
        now, states = timezone.now(), rows().filter(pk__in=awaited).values_list("pk", "state")
        found = dict(states)
        for pod in awaited:
            state = State(found.get(pod, State.STOPPED))
            if state.is_settled and (since := self._awaited.pop(pod, None)) is not None:
                self._metrics.settled(state, (now - since).total_seconds())

    def _pause_after(self, error: Exception) -> float | None:
        """Return the seconds to pause after what is in the way of all; None for anything else."""
        if isinstance(error, NotLeading):
            return _PAUSE  # the term is about to end
        if isinstance(error, ClusterUnavailable):
            logger.warning("the cluster does not answer: %s", error)
            self.stopping.wait(_PAUSE)
            return 0.0
        if isinstance(error, ClusterError | SettingError | TemplateError):
            logger.error("nothing can be done: %s", error)
            return _LONGER_PAUSE if not isinstance(error, ClusterError) else _PAUSE * 5
        # (A closed connection is an InterfaceError to some drivers, which is no DatabaseError.)
        if isinstance(error, db.Error):
            logger.warning("the database does not answer: %s", error)
            connections.close_all()
            self.stopping.wait(_PAUSE)
            return 0.0
        return None
