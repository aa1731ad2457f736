"""One controller: stands for election, and looks after the pods for as long as it leads.

Whoever does not lead only waits. With each term all begins anew: watches, an empty queue, and a
look at everything, so that nothing of what an earlier leader knew is needed.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING

from django import db
from django.db import connections

from django_userpods.cluster import another_cluster, get_cluster, renew_cluster
from django_userpods.conf import conf
from django_userpods.controller.leader import Leader
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.term import Options, Term
from django_userpods.controller.watcher import Watcher
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, POD, SERVICE, Kind
from django_userpods.exceptions import SettingError, TemplateError
from django_userpods.reconcile.rows import rows
from django_userpods.reconcile.wanted import TemplateSource, this_installation

if TYPE_CHECKING:
    from django_userpods.core.naming import InstallationIdentity

logger = logging.getLogger("django_userpods.controller")

#: Seconds between looks at whether this one leads, and between tries to begin.
_LOOK, _AGAIN = 0.1, 2.0
#: Seconds of lag from which a controller is not ready, and without an election's try from which it
#: is not healthy.
_LONGEST_LAG, _STUCK = 60.0, 60.0


class Controller:
    """What ``run_userpods`` runs; once. Raises SettingError and ClusterError at construction."""

    def __init__(self, options: Options, *, lease_namespace: str) -> None:
        self._options = options
        self.metrics = Metrics()
        self.installation = this_installation()
        self._cluster = get_cluster()
        self._stop = threading.Event()
        self._stop_election = threading.Event()
        self.leader = Leader(
            another_cluster(),
            namespace=lease_namespace,
            name=f"userpods-{self.installation.id}",
            identity=f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}",
            labels={
                naming.MANAGED_BY_LABEL: naming.MANAGED_BY,
                naming.INSTALLATION_LABEL: self.installation.id,
                naming.INSTANCE_LABEL: self.installation.name,
            },
        )
        self._election = threading.Thread(
            target=self.leader.run, args=[self._stop_election], name="userpods-leader", daemon=True
        )
        self._term: Term | None = None
        self._watched: set[tuple[Kind, str | None]] = set()
        self._watched_lock = threading.Lock()
        self.metrics.is_leading = lambda: self.leader.is_leading
        self.metrics.backlog = lambda: term.pods.backlog() if (term := self._term) else None

    def stop(self) -> None:
        """Have ``run`` come to its end; may be called by a signal's handler."""
        self._stop.set()

    def run(self) -> bool:
        """Run until ``stop``; tell whether all that had begun came to its end."""
        self._election.start()
        ended = True
        try:
            while not self._stop.is_set():
                if self._term is None and self.leader.is_leading:
                    self._begin_term()
                elif self._term is not None and not self.leader.is_leading:
                    # Its writes are refused from now on, even if this one leads again before it
                    # has ended, so it ends by itself, and nobody waits for it.
                    self._term.is_lost = True
                    self._end_term(0.0)
                    self._cluster = renew_cluster()
                self._stop.wait(_LOOK if self._term or not self.leader.is_leading else _AGAIN)
            ended = self._end_term(self._options.grace)
        finally:
            self._stop_election.set()
            self._election.join(self._options.grace)
            self.leader.release()
            connections.close_all()
        return ended

    def _begin_term(self) -> None:
        """Begin a term, if all that it needs can be had now; else the next look tries again."""
        term = Term(self._options, self.metrics)
        self._cluster.guard = partial(term.check, self.leader.check)
        self._cluster.on_answer = self.metrics.answered
        try:
            # Before anything is looked at, so that nothing is missed in between.
            self._watched.clear()
            self._watch(term)
        except (SettingError, TemplateError, db.Error) as error:
            logger.error("nothing can be done: %s", error)
            term.stopping.set()
            connections.close_all()
            return
        term.after_full_look = lambda: self._watch(term)
        term.start()
        self._term = term

    def _end_term(self, grace: float) -> bool:
        term, self._term = self._term, None
        if term is None:
            return True
        ended = term.end(grace)
        if grace and not ended:
            logger.warning("not all that had begun came to its end in %g s", grace)
        return ended

    # --- watches

    def _watch(self, term: Term) -> None:
        """Watch what is not watched yet of all kinds that pods' objects have, or once had."""
        labels = {naming.INSTALLATION_LABEL: self.installation.id}
        with self._watched_lock:
            for kind, namespace in sorted(
                _watchable(self.installation) - self._watched, key=lambda item: str(item)
            ):
                self._watched.add((kind, namespace))
                notice, everything = term.notice, term.look_at_everything
                if kind == POD:
                    notice, everything = term.notice_restarts, term.look_at_all_restarts
                watcher = Watcher(
                    self._cluster,
                    kind,
                    namespace=namespace,
                    labels=labels,
                    notice=notice,
                    look_at_everything=everything,
                    stop=term.stopping,
                    metrics=self.metrics,
                )
                term.run(f"watch-{kind.kind.lower()}", watcher.run)

    # --- health

    def healthy(self) -> str:
        """Return what is wrong with this process, so that it should be started anew; or ""."""
        if self._election.ident is not None and not self._election.is_alive():
            return "the election has ended"
        if self.leader.silence > _STUCK:
            return f"the election has not tried for {self.leader.silence:.0f} s"
        if (term := self._term) is not None and (name := term.dead_thread()):
            return f"the thread {name} has ended"
        return ""

    def ready(self) -> str:
        """Return why this controller does not do, or would not do, what it is for; or ""."""
        if wrong := self.healthy():
            return wrong
        if self.leader.trouble:
            return f"the Lease: {self.leader.trouble}"
        if not self.leader.is_leading:
            return "" if self.leader.holder else "nobody leads yet"
        term = self._term
        if term is None or not term.is_synced:
            return "not everything was looked at yet"
        lag = term.pods.backlog().lag
        return f"a pod has waited for {lag:.0f} s" if lag > _LONGEST_LAG else ""


def _watchable(installation: InstallationIdentity) -> set[tuple[Kind, str | None]]:
    """Return the kinds to watch, each with the namespace, or None for all."""
    texts = set(rows().order_by().values_list("kinds", flat=True).distinct())
    made = {Kind.parse(text) for joined in texts for text in joined.split(",") if text}
    kinds = {DEPLOYMENT, SERVICE, POD} | TemplateSource(installation).kinds | made
    if callable(conf.USERPODS_NAMESPACE):
        return {(kind, None) for kind in kinds}
    found = rows().order_by().values_list("namespace", flat=True).distinct()
    namespaces = {conf.USERPODS_NAMESPACE, *found}
    return {(kind, namespace) for kind in kinds for namespace in namespaces}
