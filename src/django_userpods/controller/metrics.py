"""What a controller counts, for Prometheus where its client library is installed.

``pip install django-userpods[controller]`` brings it. Without it nothing is counted, and
``exposition`` is None.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django import db
from django.db.models import Count

from django_userpods.core.states import State
from django_userpods.exceptions import SettingError
from django_userpods.reconcile import rollout
from django_userpods.reconcile.rows import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.controller.queue import Backlog

try:
    import prometheus_client as prometheus
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
except ImportError:  # the extra is not installed
    prometheus = None

#: Seconds for which the number of pods by state is remembered, however often it is asked.
_REMEMBERED = 5.0
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_READY_BUCKETS = (0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)

T = TypeVar("T")


class _Remembered(Generic[T]):
    """What a query finds, as it was within the last few seconds.

    One thread at a time, whoever has the lock ``asking``, asks the database, which may hang. The
    others have what was found before.
    """

    def __init__(self, find: Callable[[], T], before: T, asking: threading.Lock) -> None:
        self._find, self._found, self._asking = find, before, asking
        self._when = float("-inf")

    def __call__(self) -> T:
        """Return it; raises what the query raises."""
        if self._asking.acquire(blocking=False):
            try:
                if time.monotonic() - self._when >= _REMEMBERED:
                    self._found = self._find()
                    self._when = time.monotonic()
            finally:
                self._asking.release()
        return self._found


def _pods_by_state() -> dict[str, int]:
    counted = rows().order_by().values_list("state").annotate(number=Count("pk"))
    return dict.fromkeys(map(str, State), 0) | dict(counted)


def _rollout() -> tuple[dict[str, int], bool]:
    counted = {str(turn): number for turn, number in rollout.counts().items()}
    return counted, rollout.stopped() is not None


class Metrics:
    """What is counted. Each controller has its own; the methods may be called by any thread."""

    def __init__(self) -> None:
        self.is_leading: Callable[[], bool] = lambda: False
        self.backlog: Callable[[], Backlog | None] = lambda: None
        self.rate: Callable[[], float] = lambda: 0.0
        self._answers: Counter[tuple[str, str]] = Counter()
        #: The number of pods in each state; how many are where in a rollout, and whether that was
        #: stopped. Of the last few seconds; nothing while the first answer is waited for.
        asking = threading.Lock()
        self.pods_by_state = _Remembered[dict[str, int]](_pods_by_state, {}, asking)
        self.rollout = _Remembered[tuple[dict[str, int], bool]](_rollout, ({}, False), asking)
        #: Each answer of the API server waits for it, so nobody asks the database under it.
        self._lock = threading.Lock()
        self._registry: Any = None
        if prometheus is None:
            return
        self._registry = registry = prometheus.CollectorRegistry()
        self._reconciles = prometheus.Histogram(
            "userpods_reconcile_seconds",
            "Reconciles by what they were about (pods, everything) and result (ok, failed, error)",
            ["what", "result"],
            registry=registry,
            buckets=_BUCKETS,
        )
        self._ready = prometheus.Histogram(
            "userpods_asked_to_settled_seconds",
            "Time from a request on a row until its pod runs, is stopped or has failed",
            ["state"],
            registry=registry,
            buckets=_READY_BUCKETS,
        )
        self._watches = prometheus.Counter(
            "userpods_watch_restarts",
            "Watches that were begun anew, by kind and reason",
            ["kind", "reason"],
            registry=registry,
        )
        # What has not been counted yet is 0, so that Prometheus sees the first of each.
        for what, result in product(("pods", "everything"), ("ok", "failed", "error")):
            self._reconciles.labels(what, result)
        for state in filter(lambda state: state.is_settled, State):
            self._ready.labels(str(state))
        registry.register(_Now(self))

    def reconciled(self, what: str, result: str, seconds: float) -> None:
        """Count a reconcile."""
        if self._registry is not None:
            self._reconciles.labels(what, result).observe(seconds)

    def settled(self, state: str, seconds: float) -> None:
        """Count a pod that was asked for, and has come to run, be stopped or fail."""
        if self._registry is not None:
            self._ready.labels(state).observe(max(0.0, seconds))

    def watch_restarted(self, kind: str, reason: str) -> None:
        """Count a watch that was begun anew."""
        if self._registry is not None:
            self._watches.labels(kind, reason).inc()

    def answered(self, method: str, status: int) -> None:
        """Count an answer of the API server; status 0 for none."""
        with self._lock:
            self._answers[method, str(status or "none")] += 1

    def answers(self) -> dict[tuple[str, str], int]:
        """Return how many answers there were, by method and status."""
        with self._lock:
            return dict(self._answers)

    def exposition(self) -> tuple[bytes, str] | None:
        """Return all as (text, content type), None without the client library."""
        if self._registry is None:
            return None
        return prometheus.generate_latest(self._registry), prometheus.CONTENT_TYPE_LATEST


class _Now:
    """What is not counted but looked up when somebody asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Any]:
        """Yield what there is; a database that does not answer leaves its part out."""
        metrics = self._metrics
        yield GaugeMetricFamily(
            "userpods_leading", "Whether this controller leads", value=float(metrics.is_leading())
        )
        if (backlog := metrics.backlog()) is not None:
            depth = GaugeMetricFamily(
                "userpods_queue_depth", "Pods in the queue, by how they wait", labels=["waiting"]
            )
            depth.add_metric(["due"], backlog.due)
            depth.add_metric(["later"], backlog.later)
            depth.add_metric(["running"], backlog.running)
            yield depth
            yield GaugeMetricFamily(
                "userpods_queue_lag_seconds",
                "How long the pod that is due the longest has waited",
                value=backlog.lag,
            )
        calls = CounterMetricFamily(
            "userpods_api_calls",
            "Calls to the API server, by method and status (none: no answer)",
            labels=["method", "code"],
        )
        for (method, code), number in sorted(metrics.answers().items()):
            calls.add_metric([method, code], number)
        yield calls
        if rate := metrics.rate():
            yield GaugeMetricFamily(
                "userpods_api_rate_limit",
                "Calls a second to the API server at most; fewer for a while after a 429",
                value=rate,
            )
        try:
            states = metrics.pods_by_state()
        except db.Error:
            return
        pods = GaugeMetricFamily("userpods_pods", "Pods by state", labels=["state"])
        for state, number in sorted(states.items()):
            pods.add_metric([state], number)
        yield pods
        yield from self._of_rollout()

    def _of_rollout(self) -> Iterator[Any]:
        try:
            turns, is_stopped = self._metrics.rollout()
        except (db.Error, SettingError):
            return
        found = GaugeMetricFamily(
            "userpods_rollout_pods",
            "Pods whose template has changed: waiting, updating, failed, refused",
            labels=["turn"],
        )
        for turn, number in sorted(turns.items()):
            found.add_metric([turn], number)
        yield found
        yield GaugeMetricFamily(
            "userpods_rollout_stopped",
            "Whether nobody is given a turn any more, because too many failed",
            value=float(is_stopped),
        )
