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
from typing import TYPE_CHECKING

from django import db
from django.db import connections

from django_userpods.cluster import another_cluster, get_cluster
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
#: Seconds of lag, and without a watch, from which a controller is not ready, and without an
#: election's try from which it is not healthy.
_LONGEST_LAG, _UNWATCHED, _STUCK = 60.0, 60.0, 60.0


class Controller:
    """What ``run_userpods`` runs; once.

    Raises SettingError and ClusterError at construction, and database errors as they are.
    """

    def __init__(
        self, options: Options, *, lease_namespace: str, metrics: Metrics | None = None
    ) -> None:
        self._options = options
        self.metrics = metrics or Metrics()
        self.installation = this_installation()
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
        self.metrics.is_leading = lambda: self.leader.is_leading
        self.metrics.rate = lambda: term.cluster.rate if (term := self._term) else 0.0
        self.metrics.backlog = lambda: term.pods.backlog() if (term := self._term) else None

    def stop(self) -> None:
        """Have ``run`` come to its end; may be called by a signal's handler."""
        self._stop.set()

    def run(self) -> bool:
        """Run until ``stop``; tell whether all that had begun came to its end."""
        # What this process may yet write outside of a term, it may write as a leader alone.
        get_cluster().guard = self.leader.check
        self._election.start()
        ended = True
        try:
            while not self._stop.is_set():
                self.follow_election()
                self._stop.wait(_LOOK if self._term or not self.leader.is_leading else _AGAIN)
            ended = self._end_term(self._options.grace)
        finally:
            self._stop_election.set()
            self._election.join(self._options.grace)
            self.leader.release()
            connections.close_all()
        return ended

    def follow_election(self) -> None:
        """Begin a term where this one leads and has none, and end one that it has lost."""
        if self._term is None and self.leader.is_leading:
            self._begin_term()
        elif self._term is not None and not self.leader.is_leading:
            # Its writes are refused from now on, even if this one leads again before it has ended,
            # so it ends by itself, and nobody waits for it.
            self._term.is_lost = True
            self._end_term(0.0)

    def _begin_term(self) -> None:
        """Begin a term, if all that it needs can be had now; else the next look tries again."""
        term = Term(self._options, self.metrics, another_cluster(), leads=self.leader.check)
        try:
            # Before anything is looked at, so that nothing is missed in between.
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
        with term.watched_lock:
            if term.stopping.is_set():
                return
            for kind, namespace in sorted(
                _watchable(self.installation) - term.watched, key=lambda item: str(item)
            ):
                term.watched.add((kind, namespace))
                notice, everything = term.notice, term.look_at_everything
                if kind == POD:
                    notice, everything = term.notice_restarts, term.look_at_all_restarts
                watcher = Watcher(
                    term.cluster,
                    kind,
                    namespace=namespace,
                    labels=labels,
                    notice=notice,
                    look_at_everything=everything,
                    stop=term.stopping,
                    metrics=self.metrics,
                )
                term.watchers.append(watcher)
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
        if term is not None and term.trouble:
            return f"the last look at everything: {term.trouble}"
        if term is None or not term.is_synced:
            return "not everything was looked at yet"
        for watcher in tuple(term.watchers):
            if (closed := watcher.closed_for) > _UNWATCHED:
                return f"{watcher}: not watched for {closed:.0f} s"
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
