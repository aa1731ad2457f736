"""A watch of a local cluster: any process may write the store, so it is looked at all the time."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from django_userpods.clusters.base import Event, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django_userpods.clusters.local.history import Change
    from django_userpods.clusters.local.store import Store
    from django_userpods.core.objects import Kind

#: Seconds between looks.
_PAUSE = 0.1
#: Seconds between bookmarks.
_BOOKMARK = 30.0


class LocalWatch(Watch):
    """One watch; ``look`` returns the store, and keeps the workloads running meanwhile."""

    def __init__(
        self,
        look: Callable[[], Store],
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        since: str,
        seconds: float,
        timeout: float,
    ) -> None:
        self._look, self._kind, self._timeout = look, kind, timeout
        self._namespace, self._labels = namespace, dict(labels)
        self._since = self._bookmarked = int(since)
        self._end = time.monotonic() + seconds
        self._bookmark = time.monotonic() + _BOOKMARK
        self._closed = threading.Event()
        self._ready: deque[Event] = deque()
        #: UIDs of what matches, as far as that is known.
        self._known: set[str] = set()
        for stored in look().list(kind, namespace=namespace, labels=labels, timeout=timeout):
            if stored.resource_version <= self._since:
                self._known.add(stored.uid)
        self._read()

    def __next__(self) -> Event:
        while not self._closed.is_set():
            if self._ready:
                event = self._ready.popleft()
                self._bookmarked = int(event.version)
                return event
            self._read()
            now = time.monotonic()
            if not self._ready:
                if now >= self._end:
                    break
                self._closed.wait(min(_PAUSE, self._end - now))
        raise StopIteration

    def close(self) -> None:
        """End it; whoever waits sees the end."""
        self._closed.set()

    def _read(self) -> None:
        store = self._look()
        now = store.version(timeout=self._timeout)
        if now != self._since:
            for change in store.changes(self._kind, self._since, timeout=self._timeout):
                if (event := self._event(change)) is not None:
                    self._ready.append(event)
                now = max(now, change.version)
            self._since = now
        if not self._ready and now > self._bookmarked and time.monotonic() >= self._bookmark:
            self._bookmark = time.monotonic() + _BOOKMARK
            self._ready.append(self._told("BOOKMARK", {}, now))

    def _event(self, change: Change) -> Event | None:
        metadata = change.manifest["metadata"]
        if self._namespace not in (None, metadata["namespace"]):
            return None
        matches = self._labels.items() <= (metadata.get("labels") or {}).items()
        uid, known = metadata["uid"], metadata["uid"] in self._known
        if change.is_deleted or not matches:
            self._known.discard(uid)
            if not known and not (change.is_deleted and matches):
                return None
            return self._told("DELETED", metadata, change.version)
        self._known.add(uid)
        is_new = not known and metadata["generation"] == 1
        return self._told("ADDED" if is_new else "MODIFIED", metadata, change.version)

    def _told(self, what: str, metadata: Mapping[str, object], version: int) -> Event:
        shown = {**metadata, "resourceVersion": str(version)}
        named = {"apiVersion": self._kind.api_version, "kind": self._kind.kind}
        return Event(what, {**named, "metadata": shown})
