"""The Cluster interface over the store and the supervisor."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from django_userpods.clusters.base import Cluster
from django_userpods.clusters.local.link import Link
from django_userpods.clusters.local.paths import StateDir
from django_userpods.clusters.local.store import PEER, Store
from django_userpods.clusters.local.validation import validate
from django_userpods.clusters.local.watch import LocalWatch
from django_userpods.core.objects import DEPLOYMENT, Kind, Manifest, Ref
from django_userpods.core.step_times import OF_PROCESS
from django_userpods.exceptions import ClusterConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from django_userpods.clusters.base import PodEvent, PodLog

#: Seconds a call may take where the caller does not say.
DEFAULT_TIMEOUT = 30.0


class LocalCluster(Cluster):
    """Processes on this machine instead of pods; for development and first looks.

    ``state_dir`` keeps objects, ports, logs and working directories; any number of processes may
    use one. ``command`` is run for containers that say no ``command`` of their own; ``$(PORT)``
    and other ``$(VARIABLES)`` in it are filled in as Kubernetes does. ``ports`` is the first and
    last port that may be given out. The supervisor, and every workload with it, ends when no
    process has used the cluster for ``idle_grace`` seconds; it is started again by the next use.

    A Deployment's first container is run, with ``command`` and ``args``, the plain values of its
    ``env`` and ``PORT``, the port to listen on. It is ready when that port takes connections. One
    process stands for all replicas. The image, volumes, probes, limits and other containers are
    not used. Objects of other kinds are stored, and nothing more.
    """

    concurrency = 4

    def __init__(
        self,
        *,
        state_dir: str,
        command: Sequence[str] = (),
        ports: tuple[int, int] = (20000, 31999),
        idle_grace: float = 5.0,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        if not state_dir:
            msg = "the local cluster needs OPTIONS['state_dir'], a directory of its own"
            raise ClusterConfigurationError(msg)
        if isinstance(command, str) or not all(isinstance(word, str) for word in command):
            msg = "the local cluster's OPTIONS['command'] has to be a list of strings"
            raise ClusterConfigurationError(msg)
        first, last = ports
        if not 1024 <= first <= last <= 65535:
            msg = "the local cluster's OPTIONS['ports'] has to be two ports, as in (20000, 31999)"
            raise ClusterConfigurationError(msg)
        self._state_dir = state_dir
        self._command = tuple(command)
        self._ports = (first, last)
        self._idle_grace = idle_grace
        self._timeout = timeout
        self._mutex = threading.Lock()
        self._connected: tuple[Store, Link] | None = None

    def list(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str | frozenset[str]],
        without: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Manifest]:
        """Yield the objects of one moment; a kind that nobody stored is simply empty."""
        store, seconds = self._use(timeout)
        self._keep_running(kind, timeout=seconds)
        for stored in store.list(kind, namespace=namespace, labels=labels, timeout=seconds):
            manifest = stored.manifest()
            if not (without or {}).items() & (manifest["metadata"].get("labels") or {}).items():
                yield manifest

    def get(self, ref: Ref, *, timeout: float | None = None) -> Manifest | None:
        """Return the object, or None where there is none."""
        store, seconds = self._use(timeout)
        self._keep_running(ref.kind, timeout=seconds)
        stored = store.get(ref, timeout=seconds)
        return None if stored is None else stored.manifest()

    def create(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Store the object; a Deployment's process is started after that, not before."""
        store, seconds = self._use(timeout)
        guard = partial(self.check_guard, Kind.of(validate(manifest)))
        stored = store.create(manifest, timeout=seconds, guard=guard)
        self._changed(stored.ref.kind, timeout=seconds)
        return stored.manifest()

    def apply(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Replace what was declared: nobody else declares fields here."""
        return self._put(manifest, makes=True, timeout=timeout)

    def replace(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Replace what was declared, where it is as it was read."""
        return self._put(manifest, makes=False, timeout=timeout)

    def delete(self, ref: Ref, *, uid: str, timeout: float | None = None) -> None:
        """Remove the object; a Deployment's process is stopped after that."""
        store, seconds = self._use(timeout)
        guard = partial(self.check_guard, ref.kind)
        if store.delete(ref, uid=uid, timeout=seconds, guard=guard):
            self._changed(ref.kind, timeout=seconds)

    def version(
        self,
        kind: Kind,  # noqa: ARG002 - the interface, as the next ones
        *,
        namespace: str | None,  # noqa: ARG002
        labels: Mapping[str, str],  # noqa: ARG002
        timeout: float | None = None,
    ) -> str:
        """Return the number of the last change."""
        store, seconds = self._use(timeout)
        return str(store.version(timeout=seconds))

    def watch(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        since: str,
        seconds: float = 300.0,
    ) -> LocalWatch:
        """Watch the store; of what changes twice in a tenth of a second the last is told."""

        def look() -> Store:
            store, timeout = self._use(None)
            self._keep_running(kind, timeout=timeout)
            return store

        return LocalWatch(
            look,
            kind,
            namespace=namespace,
            labels=labels,
            since=since,
            seconds=seconds,
            timeout=self._timeout,
        )

    def events(
        self,
        *,
        namespace: str,
        labels: Mapping[str, str],
        limit: int,
        timeout: float | None = None,
    ) -> Sequence[PodEvent]:
        """Return how a Deployment's process is, and since when: more is not remembered."""
        from django_userpods.clusters.local import evidence

        found = self.list(DEPLOYMENT, namespace=namespace, labels=labels, timeout=timeout)
        return evidence.events(found)[:limit]

    def logs(
        self,
        *,
        namespace: str,
        labels: Mapping[str, str],
        lines: int,
        size: int,
        timeout: float | None = None,
    ) -> Iterator[PodLog]:
        """Yield the end of a Deployment's log, which all its processes wrote one after another."""
        from django_userpods.clusters.local import evidence

        state = StateDir.open(self._state_dir)
        for found in self.list(DEPLOYMENT, namespace=namespace, labels=labels, timeout=timeout):
            yield from evidence.logs(state, found, lines=lines, size=size)

    def step_times(self, deployment: Manifest) -> str | None:
        """Say that a process was started, once it was."""
        status = deployment.get("status") or {}
        is_current = status.get("observedGeneration") == deployment["metadata"].get("generation")
        return OF_PROCESS if is_current and status.get("updatedReplicas") else None

    def peer(self, service: Manifest) -> str | None:
        """Return ``127.0.0.1:port`` of the process behind a Service, None without a selector."""
        annotations: dict[str, Any] = service.get("metadata", {}).get("annotations") or {}
        peer = annotations.get(PEER)
        return None if peer is None else str(peer)

    def address(self, *, namespace: str, name: str, port: int, peer: str | None) -> str:  # noqa: ARG002 - the interface
        """Return the process' own address; before there is one, one that takes no connection."""
        return peer or "127.0.0.1:0"

    def whereabouts(self) -> str:
        """Return where objects and logs are."""
        return f"processes of this machine, kept in {self._state_dir}"

    def attach(self) -> None:
        """Keep the workloads running while this process lives, from now on.

        For the start of a server: without it, a process counts from its first call on.
        """
        _, seconds = self._use(None)
        self._keep_running(DEPLOYMENT, timeout=seconds)

    def close(self) -> None:
        """Be counted as a user no more; the next call connects anew."""
        with self._mutex:
            if self._connected is not None:
                self._connected[1].detach()
                self._connected = None

    def _use(self, timeout: float | None) -> tuple[Store, float]:
        """Connect; return the store and the seconds this call may take."""
        seconds = self._timeout if timeout is None else timeout
        with self._mutex:
            if self._connected is not None and not self._connected[0].exists():
                self._connected[1].detach()
                self._connected = None
            if self._connected is None:
                state = StateDir.open(self._state_dir)
                link = Link(state, idle_grace=self._idle_grace)
                link.attach(timeout=seconds)
                store = Store(state, ports=self._ports)
                try:
                    store.prepare(timeout=seconds)
                    store.set_meta("command", json.dumps(self._command), timeout=seconds)
                except BaseException:
                    link.detach()
                    raise
                self._connected = (store, link)
            return self._connected[0], seconds

    def _put(self, manifest: Manifest, *, makes: bool, timeout: float | None) -> Manifest:
        store, seconds = self._use(timeout)
        guard = partial(self.check_guard, Kind.of(validate(manifest)))
        stored = store.apply(manifest, makes=makes, timeout=seconds, guard=guard)
        self._changed(stored.ref.kind, timeout=seconds)
        return stored.manifest()

    def _changed(self, kind: Kind, *, timeout: float) -> None:
        if kind == DEPLOYMENT:
            self._link().ensure(timeout=timeout)

    def _keep_running(self, kind: Kind, *, timeout: float) -> None:
        """Start the supervisor anew if it died: reading must not tell of processes that were."""
        if kind == DEPLOYMENT and not self._link().wake():
            store, _ = self._use(timeout)
            if any(True for _ in store.list(kind, namespace=None, labels={}, timeout=timeout)):
                self._link().ensure(timeout=timeout)

    def _link(self) -> Link:
        with self._mutex:
            if self._connected is None:
                msg = "the local cluster was closed in the middle of a call"
                raise ClusterConfigurationError(msg)
            return self._connected[1]
