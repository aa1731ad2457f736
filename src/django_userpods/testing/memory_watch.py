"""Watches of a cluster in memory, which also see what a test edits in ``objects`` directly."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django_userpods.clusters.base import Event, Watch
from django_userpods.exceptions import ClusterUnavailable, Expired
from django_userpods.testing import memory_apply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django_userpods.core.objects import Manifest, Ref
    from django_userpods.testing.memory_store import Call, Store

#: Events that are kept for a watch to be resumed; older is Expired.
_KEPT = 1000
#: Seconds between looks for direct edits, and how much longer than a look itself at least.
_LOOK, _REST = 0.05, 10.0
#: Seconds between bookmarks; the API server's are a minute apart.
_BOOKMARK = 1.0


@dataclass(frozen=True, slots=True)
class _Happened:
    """What happened to one object; ``before`` and ``after`` are its metadata, or None."""

    version: int
    ref: Ref
    before: Manifest | None
    after: Manifest | None


class Log:
    """What happened to a store's objects since somebody first asked; use under its lock."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen = {ref: memory_apply.copied(found) for ref, found in store.objects.items()}
        self._happened: deque[_Happened] = deque()
        self._looked, self._took = 0.0, 0.0
        #: Nothing is known of what happened until this version.
        self.forgotten = store.version

    def since(self, version: int) -> list[_Happened]:
        """Return what happened after a version, oldest first; Expired if that is not known."""
        if not self.forgotten <= version <= self._store.version:
            message = f"too old resource version: {version} ({self.forgotten})"
            raise Expired(message, status=410)
        found: list[_Happened] = []
        for item in reversed(self._happened):
            if item.version <= version:
                break
            found.append(item)
        return found[::-1]

    def look(self) -> None:
        """Find out what a test edited directly, unless somebody did a moment ago."""
        now = time.monotonic()
        if now >= self._looked + max(_LOOK, self._took * _REST):
            self.look_at_all()

    def look_at_all(self) -> None:
        """Find out what a test edited directly."""
        started = time.monotonic()
        for ref in {**self._seen, **self._store.objects}:
            self.look_at(ref)
        self._looked = time.monotonic()
        self._took = self._looked - started

    def look_at(self, ref: Ref) -> None:
        """Take in what became of one object."""
        before, now = self._seen.get(ref), self._store.objects.get(ref)
        if before == now:
            return
        old = before["metadata"] if before is not None else None
        if now is None:
            del self._seen[ref]
            self._note(self._store.next_version(), ref, old, None)
            return
        new = now["metadata"]
        if old is not None and old.get("uid") != new.get("uid"):
            self._note(self._store.next_version(), ref, old, None)
            old = None
        if not new.get("resourceVersion") or int(new["resourceVersion"]) <= self._latest():
            new["resourceVersion"] = str(self._store.next_version())
        self._seen[ref] = memory_apply.copied(now)
        self._note(int(new["resourceVersion"]), ref, old, self._seen[ref]["metadata"])

    def _latest(self) -> int:
        return self._happened[-1].version if self._happened else self.forgotten

    def _note(
        self, version: int, ref: Ref, before: Manifest | None, after: Manifest | None
    ) -> None:
        self._happened.append(_Happened(version, ref, before, after))
        while len(self._happened) > _KEPT:
            self.forgotten = self._happened.popleft().version
        self._store.changed.notify_all()


class MemoryWatch(Watch):
    """A watch; ``is_there`` tells whether the store is still the cluster's."""

    def __init__(
        self,
        store: Store,
        call: Call,
        *,
        labels: Mapping[str, str],
        since: str,
        seconds: float,
        is_there: Callable[[], bool],
    ) -> None:
        self._store, self._call, self._labels = store, call, dict(labels)
        self._version, self._told = int(since), int(since)
        self._end = time.monotonic() + seconds
        self._bookmark = time.monotonic() + _BOOKMARK
        self._is_there = is_there
        self._is_closed = False
        self._ready: deque[Event] = deque()
        with store.changed:
            store.log.since(self._version)

    def __next__(self) -> Event:
        with self._store.changed:
            while not self._is_closed:
                if self._ready:
                    event = self._ready.popleft()
                    self._told = int(event.version)
                    return event
                self._check()
                self._store.log.look()
                self._read()
                now = time.monotonic()
                if not self._ready:
                    if now >= self._end:
                        break
                    self._store.changed.wait(min(_LOOK, self._end - now))
        raise StopIteration

    def close(self) -> None:
        """End it; whoever waits sees the end."""
        self._is_closed = True
        with self._store.changed:
            self._store.changed.notify_all()

    def _check(self) -> None:
        """Raise what a test says that calls like this one raise, or that the store was reset."""
        self._store.raise_lasting_fault(self._call)
        if not self._is_there():
            message = "the cluster in memory was reset"
            raise ClusterUnavailable(message)

    def _read(self) -> None:
        for item in self._store.log.since(self._version):
            self._version = item.version
            if (event := self._event(item)) is not None:
                self._ready.append(event)
        now = time.monotonic()
        if not self._ready and self._version > self._told and now >= self._bookmark:
            self._bookmark = now + _BOOKMARK
            bookmark = {"metadata": {"resourceVersion": str(self._version)}}
            self._ready.append(Event("BOOKMARK", self._named(bookmark)))

    def _event(self, item: _Happened) -> Event | None:
        if item.ref.kind != self._call.kind:
            return None
        if self._call.namespace not in (None, item.ref.namespace):
            return None
        was, now = self._matches(item.before), self._matches(item.after)
        metadata = item.after if now else item.before
        if metadata is None or not (was or now):
            return None
        known = "MODIFIED" if was else "ADDED"
        metadata = {**memory_apply.copied(metadata), "resourceVersion": str(item.version)}
        return Event(known if now else "DELETED", self._named({"metadata": metadata}))

    def _matches(self, metadata: Manifest | None) -> bool:
        return metadata is not None and (
            self._labels.items() <= (metadata.get("labels") or {}).items()
        )

    def _named(self, manifest: Manifest) -> Manifest:
        kind = self._call.kind
        return {"apiVersion": kind.api_version, "kind": kind.kind, **manifest}
