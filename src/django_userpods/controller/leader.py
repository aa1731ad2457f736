"""One of many controllers leads: an election by a Lease (``coordination.k8s.io/v1``).

The leader writes the Lease anew every ``retry`` seconds. It counts itself as leading for ``renew``
seconds from the *beginning* of the last write that came through, and not a moment longer: each
write to the cluster asks ``check`` first. The others take over once they have seen no change of the
Lease for longer than that by clocks of their own; what time it is on another machine, and what
times stand in the Lease, decides nothing.

    renewed at 0      its holder writes no more from 10 on      others take over
    |-----------------------------------|----------------------|---------|
    0                                   10                     12.5      15

Others look every 2 seconds, so they see a renewal up to 2 seconds late: 12.5 after that is within
the 15 seconds that the Lease says. Knows neither Django nor which cluster it is.
"""

from __future__ import annotations

import datetime
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_userpods.core.objects import LEASE, Ref
from django_userpods.exceptions import AlreadyExists, ClusterError, Conflict, NotFound, NotLeading

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Manifest

logger = logging.getLogger("django_userpods.controller")

#: Seconds that one call about the Lease may take: a second try has to fit in before it is over.
_CALL = 4.5
#: A renewal that failed is tried again after this part of the usual pause.
_SOON = 1 / 4
_SHORTEST_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds: what a Lease says it lasts, how long its holder believes in it, pause of tries."""

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0

    @property
    def takeover(self) -> float:
        """How long others see no change before they take over."""
        return (self.renew + self.duration) / 2


def seconds() -> float:
    """Return seconds that never go back, and go on while the machine is suspended if it can."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Leader:
    """One candidate. ``run`` keeps trying; ``is_leading`` and ``check`` may be asked by any thread.

    ``cluster`` should be nobody else's, so that a renewal never waits for other calls.
    ``identity`` is unique to this process. ``labels`` come on a Lease that it makes.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        labels: Mapping[str, str] | None = None,
        terms: Terms | None = None,
        clock: Callable[[], float] = seconds,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.ref = Ref(LEASE, namespace, name)
        self.identity = identity
        self.terms = terms or Terms()
        self._cluster, self._labels = cluster, dict(labels or {})
        self._clock, self._chance = clock, chance
        #: Until when this is the leader, by our clock.
        self._until = float("-inf")
        #: The Lease as it was last seen, and when a change of it was.
        self._seen: Manifest | None = None
        self._seen_at = 0.0
        self._tried_at = clock()
        #: What was in the way of the last try, or "".
        self.trouble = ""

    @property
    def silence(self) -> float:
        """Seconds since the last try began."""
        return self._clock() - self._tried_at

    @property
    def is_leading(self) -> bool:
        """Whether this one leads now."""
        return self._clock() < self._until

    @property
    def holder(self) -> str:
        """Who holds the Lease as it was last seen; "" for nobody."""
        return str(((self._seen or {}).get("spec") or {}).get("holderIdentity") or "")

    def check(self) -> None:
        """Raise NotLeading where this one does not lead now; see ``Cluster.guard``."""
        if not self.is_leading:
            message = "this controller does not lead (any more), so it writes nothing"
            raise NotLeading(message)

    def run(self, stop: threading.Event) -> None:
        """Try until ``stop`` is set."""
        while not stop.is_set():
            stop.wait(self.step())

    def step(self) -> float:
        """Try once to get or keep the Lease; return the seconds until the next try is due.

        Raises nothing: what is in the way is logged once.
        """
        led = self.is_leading
        self._tried_at = self._clock()
        try:
            self._try()
        except Exception as error:
            if str(error) != self.trouble:
                self.trouble = str(error)
                if isinstance(error, ClusterError):
                    logger.warning("the Lease %s: %s", self.ref, error)
                else:
                    logger.exception("the Lease %s could not be read or written", self.ref)
        else:
            self.trouble = ""
        if led and not self.is_leading:
            logger.warning("no longer leading: %s has the Lease", self.holder or "nobody")
        return self._pause()

    def release(self) -> None:
        """Give the Lease back, so that another can take it at once. Raises nothing."""
        was_leading = self.is_leading
        self._until = float("-inf")
        if not was_leading or self._seen is None:
            return
        try:
            self._write_lease(self._seen, holder="")
            logger.info("gave the Lease back")
        except ClusterError as error:
            logger.warning("the Lease %s could not be given back: %s", self.ref, error)

    def _try(self) -> None:
        began = self._clock()
        if self.is_leading and self._seen is not None:
            try:
                self._take(self._seen, began)
            except (Conflict, NotFound):
                # Somebody else wrote it, or it is gone: see what is there, before anything else.
                self._until = float("-inf")
            else:
                return
        found = self._cluster.get(self.ref, timeout=_CALL)
        if found is None:
            try:
                created = self._cluster.create(self._manifest(), timeout=_CALL)
            except AlreadyExists:
                return
            self._lead(created, began)
            return
        self._see(found)
        if self.holder in ("", self.identity) or self._is_over():
            try:
                self._take(found, began)
            except (Conflict, NotFound):
                return  # another was quicker

    def _see(self, found: Manifest) -> None:
        """Note when the Lease was changed: not the time in it, but when that was seen here."""
        if self._seen is None or _version(found) != _version(self._seen):
            self._seen_at = self._clock()
        self._seen = found

    def _is_over(self) -> bool:
        return self._clock() - self._seen_at >= self.terms.takeover

    def _take(self, lease: Manifest, began: float) -> None:
        self._lead(self._write_lease(lease, holder=self.identity), began)

    def _lead(self, lease: Manifest, began: float) -> None:
        is_new = not self.is_leading
        self._seen, self._seen_at = lease, self._clock()
        self._until = began + self.terms.renew
        if is_new and self.is_leading:
            logger.info("leading, as %s", self.identity)

    def _write_lease(self, lease: Manifest, *, holder: str) -> Manifest:
        before: dict[str, Any] = lease.get("spec") or {}
        spec = self._spec(holder)
        spec["leaseTransitions"] = int(before.get("leaseTransitions") or 0)
        if before.get("holderIdentity") == holder:
            spec["acquireTime"] = before.get("acquireTime") or spec["acquireTime"]
        elif holder:
            spec["leaseTransitions"] += 1
        metadata = {k: v for k, v in lease["metadata"].items() if k != "managedFields"}
        manifest = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}
        return self._cluster.replace({**manifest, "spec": spec}, timeout=_CALL)

    def _manifest(self) -> Manifest:
        metadata = {
            "name": self.ref.name,
            "namespace": self.ref.namespace,
            "labels": dict(self._labels),
        }
        spec = {**self._spec(self.identity), "leaseTransitions": 0}
        manifest = {"apiVersion": LEASE.api_version, "kind": LEASE.kind}
        return {**manifest, "metadata": metadata, "spec": spec}

    def _spec(self, holder: str) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": holder,
            # (Kubernetes takes no 0; of a Lease that was given back it means nothing.)
            "leaseDurationSeconds": round(self.terms.duration) if holder else 1,
            "acquireTime": now,
            "renewTime": now,
        }

    def _pause(self) -> float:
        retry = self.terms.retry
        if self.is_leading:
            return retry * _SOON if self.trouble else retry
        # All look at a Lease that is about to be over, but not all in the same moment.
        pause = retry * (1 - self._chance() / 5)
        left = self._seen_at + self.terms.takeover - self._clock() if self.holder else 0.0
        return max(min(pause, left), _SHORTEST_PAUSE) if left > 0 else pause


def _version(lease: Manifest) -> tuple[Any, Any]:
    """Return what each write changes: where a clock stands still two renewals say the same."""
    return lease["metadata"].get("resourceVersion"), lease["metadata"].get("uid")
