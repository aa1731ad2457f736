"""What the cluster says: one watch for each kind and namespace, begun again whenever it ends.

A watcher keeps no objects. An event's object is asked for the id of its pod, which is noticed, and
``reconcile`` reads the rest anew. Before a watch begins, and whenever something may have been
missed, the present resourceVersion is taken first, the watch begins there, and everything is
looked at once: so there is no gap, and nothing to compare.

That way a watch costs one call when it begins anew, and the version that it gets also tells of a
cluster that was set back: an etcd that was restored has a lower one than was seen before.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Protocol

from django_userpods.core import naming
from django_userpods.exceptions import (
    ClusterError,
    ClusterUnavailable,
    Expired,
    TooManyRequests,
    UnknownKind,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django_userpods.clusters.base import Cluster, Event, Watch
    from django_userpods.core.objects import Kind

logger = logging.getLogger("django_userpods.controller")

#: Seconds of pauses between tries: the first (client-go's reflector has the same), the longest
#: where the cluster says no, and the longest where it does not answer or answers 5xx. That is over
#: in one moment for all, and 10 s later all has to be well again; a try costs it next to nothing.
FIRST_PAUSE, LONGEST_PAUSE, LONGEST_SILENT_PAUSE = 0.8, 30.0, 5.0
#: The most seconds that are waited where the server asks for it (``Retry-After``).
LONGEST_WISH = 120.0
#: Seconds after which a watch that ends was a good one: the next pause is the first again.
_WELL = 10.0
#: Seconds for which a watch is asked for, at least; up to twice as long, so that those of many
#: kinds and controllers do not end together.
_SECONDS = 300.0
#: Seconds between looks at everything because of objects that do not say which pod they are of.
_NAMELESS = 10.0


class Counts(Protocol):
    """What is told of watches that are begun again; ``reason`` is an error's name."""

    def watch_restarted(self, kind: str, reason: str) -> None:
        """Count one."""


class Watcher:
    """One watch of a kind in a namespace, or in all (None); ``run`` it in a thread of its own.

    ``notice`` is called with the id of each pod of which something changed, ``look_at_everything``
    whenever something may have been missed; neither may block. ``labels`` are those that objects
    of ours have. Setting ``stop`` ends it at once, also while it waits for the cluster.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        notice: Callable[[str], None],
        look_at_everything: Callable[[], None],
        stop: threading.Event,
        metrics: Counts,
    ) -> None:
        self._cluster, self._kind, self._namespace = cluster, kind, namespace
        self._labels, self._notice, self._everything = labels, notice, look_at_everything
        self._stop, self._metrics = stop, metrics
        self._lock = threading.Lock()
        self._watch: Watch | None = None
        #: From where the next watch goes on; None where that is not known.
        self._since: str | None = None
        self._pause = FIRST_PAUSE
        self._trouble = ""
        self._asked = float("-inf")
        self._is_unknown = False
        #: By ``time.monotonic()``, when the cluster last had something to say: an event, a bookmark
        #: (there is one a minute), the beginning or the end of a watch.
        self.heard = float("-inf")
        #: Since when nothing is watched, unless something is.
        self._closed_at = time.monotonic()

    def __str__(self) -> str:
        where = self._namespace if self._namespace is not None else "all namespaces"
        return f"{self._kind.kind}s in {where}"

    @property
    def is_watching(self) -> bool:
        """Whether nothing can be missed now: the watch is open, or the cluster has no such kind."""
        watch = self._watch
        return self._is_unknown or (watch is not None and watch.is_open)

    @property
    def closed_for(self) -> float:
        """Seconds for which something may have been missed; 0 while ``is_watching``."""
        watch = self._watch
        if self._is_unknown or (watch is not None and watch.was_open):
            return 0.0
        return time.monotonic() - self._closed_at

    def run(self) -> None:
        """Watch until ``stop`` is set."""
        threading.Thread(
            target=self._close_when_stopped, name="userpods-watch-closer", daemon=True
        ).start()
        while not self._stop.is_set():
            began = time.monotonic()
            longest, wish = LONGEST_PAUSE, 0.0
            try:
                self._begin()
                self._follow()
            except Expired as error:
                self._since = None
                self._broke_off(error)
            except ClusterError as error:
                if isinstance(error, ClusterUnavailable):
                    longest = LONGEST_SILENT_PAUSE
                self._is_unknown = isinstance(error, UnknownKind)
                if self._is_unknown:
                    self._since = None
                self._broke_off(error)
                if isinstance(error, TooManyRequests):
                    longest = LONGEST_PAUSE
                    wish = min(LONGEST_WISH, error.retry_after or 0.0)
            except Exception as error:
                logger.exception("the watch of %s broke off", self)
                self._since = None
                self._metrics.watch_restarted(self._kind.kind, type(error).__name__)
            if time.monotonic() - began >= _WELL:
                self._pause = FIRST_PAUSE
            self._stop.wait(self._next_pause(longest, wish))

    def _next_pause(self, longest: float, wish: float) -> float:
        """Return the seconds of a pause; the next one is twice as long.

        It differs by chance, at the longest as well: what was lost by all in one moment would be
        asked for by all in one moment for ever. No server waits less than it wished.
        """
        chance = random.uniform(1.0, 1.5)  # noqa: S311 - no secret
        pause = min(longest / 1.5, self._pause) * chance
        self._pause = min(longest, self._pause * 2)
        return max(pause, wish * (0.8 + chance / 5))

    def _begin(self) -> None:
        """Take the version of now, and have everything looked at unless nothing was missed."""
        now = self._cluster.version(self._kind, namespace=self._namespace, labels=self._labels)
        self.heard = time.monotonic()
        self._is_unknown = False
        if self._since is not None and not _is_before(now, self._since):
            return
        if self._since is not None:
            logger.warning(
                "%s: the cluster is at version %s after it was at %s, as if it had been restored",
                self,
                now,
                self._since,
            )
            self._metrics.watch_restarted(self._kind.kind, "SetBack")
        self._since = now
        if not self._stop.is_set():
            self._everything()

    def _follow(self) -> None:
        """Watch until the cluster ends it."""
        assert self._since is not None  # noqa: S101 - _begin has set it
        watch = self._cluster.watch(
            self._kind,
            namespace=self._namespace,
            labels=self._labels,
            since=self._since,
            seconds=random.uniform(_SECONDS, _SECONDS * 2),  # noqa: S311 - no secret
        )
        with watch:
            with self._lock:
                self._watch = watch
                if self._stop.is_set():
                    return
            try:
                for event in watch:
                    if self._stop.is_set() or not self._take(event):
                        break
            finally:
                if watch.was_open:
                    self._closed_at = time.monotonic()
                self._watch = None

    def _take(self, event: Event) -> bool:
        """Take in an event; False where it is older than what was seen: look whether that is so."""
        assert self._since is not None  # noqa: S101 - as above
        if self._trouble:
            logger.info("watching %s again", self)
            self._trouble = ""
        self.heard = time.monotonic()
        if _is_before(event.version, self._since):
            return False
        self._since = event.version
        if event.type != "BOOKMARK":
            labels = event.object["metadata"].get("labels") or {}
            if pod := labels.get(naming.POD_LABEL):
                self._notice(pod)
            elif self.heard - self._asked >= _NAMELESS:
                # Somebody may have taken the label away. Whose it was can be told by the rest.
                self._asked = self.heard
                self._everything()
        return True

    def _broke_off(self, error: ClusterError) -> None:
        if self._stop.is_set():
            return
        self._metrics.watch_restarted(self._kind.kind, type(error).__name__)
        # Once for each trouble, not at each try.
        level = logging.DEBUG if str(error) == self._trouble else logging.WARNING
        self._trouble = str(error)
        logger.log(level, "the watch of %s broke off: %s", self, error)

    def _close_when_stopped(self) -> None:
        self._stop.wait()
        with self._lock:
            watch = self._watch
        if watch is not None:
            watch.close()


def _is_before(one: str, other: str) -> bool:
    """Tell whether a resourceVersion is certainly before another.

    They are numbers that grow wherever objects are kept in etcd; elsewhere it cannot be told.
    """
    return one.isdecimal() and other.isdecimal() and int(one) < int(other)
