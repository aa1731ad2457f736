"""A cluster in memory, shipped for the unit tests of host projects.

With pytest and pytest-django::

    import pytest
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from django_userpods.exceptions import ClusterUnavailable


    @pytest.mark.django_db
    def test_alice_gets_a_pod(userpods_cluster, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            get_user_model().objects.create_user("alice")
        found = sorted(str(ref) for ref in userpods_cluster.objects)
        assert found == ["Deployment default/user-alice", "Service default/user-alice"]


    @pytest.mark.django_db(transaction=True)
    def test_a_cluster_that_is_down_stops_nobody(userpods_cluster):
        userpods_cluster.fail_with(ClusterUnavailable("down"))
        alice = get_user_model().objects.create_user("alice")  # does not raise
        assert alice.userpods.get().state == "pending"
        userpods_cluster.heal()
        call_command("sync_userpods")
        assert alice.userpods.get().name in {ref.name for ref in userpods_cluster.objects}

Every ``MemoryCluster`` of the same ``name`` in one process shares one store, so a test sees what
code that was configured by settings did. It behaves like the real API server in what
django-userpods uses of it, and the same contract suite runs against both. What it has not: pods,
validation beyond the common mistakes, namespaces that must exist, owners' garbage collection.
"""

# ruff: noqa: ARG002 - nothing takes time here, so no method has a use for ``timeout``
from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from django_userpods.clusters.base import Cluster, PodEvent, PodLog
from django_userpods.core.objects import POD, Kind, Manifest, Ref, matches
from django_userpods.exceptions import (
    AlreadyExists,
    ClusterConfigurationError,
    ClusterError,
    Conflict,
    NotFound,
)
from django_userpods.testing import memory_apply, memory_defaults
from django_userpods.testing.memory_store import Call, Fault, Store, give_ip
from django_userpods.testing.memory_watch import MemoryWatch

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator, Mapping, Sequence

    from django_userpods.clusters.base import Watch

_WRITES = {"create", "apply", "replace", "delete"}


class MemoryCluster(Cluster):
    """A cluster that lives in a dict; see the module's docstring.

    ``name`` chooses the store; the other options are those of
    :class:`~django_userpods.clusters.kubernetes.KubernetesCluster` that make sense here.
    """

    in_tests = True
    _stores: ClassVar[dict[str, Store]] = {}

    def __init__(
        self, *, name: str = "default", concurrency: int = 4, cluster_domain: str = "cluster.local"
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ClusterConfigurationError("MemoryCluster: name must be a non-empty string")
        if not isinstance(concurrency, int) or concurrency < 1:
            raise ClusterConfigurationError("MemoryCluster: concurrency must be a positive integer")
        self.name = name
        self.concurrency = concurrency
        self.cluster_domain = cluster_domain

    def whereabouts(self) -> str:
        """Return which store it is."""
        return f"the memory of this process (MemoryCluster {self.name})"

    # --- for tests

    @classmethod
    def reset(cls, name: str | None = None) -> None:
        """Forget all objects, calls and faults of one store, or of every store."""
        for key in [name] if name is not None else list(cls._stores):
            cls._stores.pop(key, None)

    @property
    def objects(self) -> dict[Ref, Manifest]:
        """What is in the cluster, by reference; edit an object to play a person's ``kubectl``."""
        return self._store.objects

    @property
    def calls(self) -> deque[Call]:
        """Every call since the last reset, oldest first; ``calls.clear()`` starts anew."""
        return self._store.calls

    def fail_with(
        self,
        error: ClusterError,
        *,
        verb: str | None = None,
        kind: str | None = None,
        times: int | None = None,
    ) -> None:
        """Let calls fail with ``error``: those of a verb (``create``), of a kind (``Service``).

        ``times`` is how many calls fail before all is well again; None means until :meth:`heal`.
        """
        self._store.faults.append(Fault(error, verb, kind, times))

    def heal(self) -> None:
        """Take back every :meth:`fail_with`; see ``tasks.PAUSE`` for when requests try again."""
        self._store.faults.clear()

    def put_evidence(self, ref: Ref, *found: PodEvent | PodLog) -> None:
        """Have an object's pods, a Deployment's say, show these events and logs from now on."""
        self._store.evidence[ref] = [*found]

    @property
    def paused_until(self) -> float:
        """When requests may try again, by ``time.monotonic()``; a reset ends the pause."""
        return self._store.paused_until

    @paused_until.setter
    def paused_until(self, value: float) -> None:
        self._store.paused_until = value

    # --- the interface

    def list(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str | frozenset[str]],
        without: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Manifest]:
        """Yield the matching objects as they were at the first step."""
        store = self._called(Call("list", kind, namespace))
        with store.lock:
            found = [
                memory_apply.copied(store.objects[ref])
                for ref in sorted(store.objects)
                if ref.kind == kind
                and namespace in (None, ref.namespace)
                and matches(store.objects[ref]["metadata"].get("labels") or {}, labels)
                and not (without or {}).items()
                & (store.objects[ref]["metadata"].get("labels") or {}).items()
            ]
        yield from found

    def get(self, ref: Ref, *, timeout: float | None = None) -> Manifest | None:
        """Return a copy of the object, or None."""
        store = self._called(Call("get", ref.kind, ref.namespace, ref.name))
        with store.lock:
            found: Manifest | None = memory_apply.copied(store.objects.get(ref))
        return found

    def create(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Create the object with the API server's defaults."""
        ref = Ref.of(manifest)
        store = self._called(Call("create", ref.kind, ref.namespace, ref.name))
        with store.lock:
            if ref in store.objects:
                raise AlreadyExists(f"{ref} already exists", status=409)
            return self._store_object(store, ref, memory_apply.copied(manifest), manifest)

    def apply(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Merge the declared fields in, and take out those we declared before and do not now."""
        ref = Ref.of(manifest)
        store = self._called(Call("apply", ref.kind, ref.namespace, ref.name))
        with store.lock:
            live = memory_apply.copied(store.objects.get(ref))
            if live is None:
                return self._store_object(store, ref, memory_apply.copied(manifest), manifest)
            owned = store.owned.get(ref, set())
            memory_apply.remove(live, owned=owned, wanted=memory_apply.declared(manifest))
            memory_apply.merge(live, manifest)
            return self._store_object(store, ref, live, manifest)

    def delete(self, ref: Ref, *, uid: str, timeout: float | None = None) -> None:
        """Delete the object if it has this UID."""
        store = self._called(Call("delete", ref.kind, ref.namespace, ref.name))
        with store.lock:
            live = store.objects.get(ref)
            if live is None:
                return
            if live["metadata"]["uid"] != uid:
                raise Conflict(
                    f"{ref} is another object now: it has UID {live['metadata']['uid']}, not {uid}",
                    status=409,
                )
            del store.objects[ref]
            store.owned.pop(ref, None)
            store.note(ref)

    def replace(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Put the manifest in the object's place."""
        ref = Ref.of(manifest)
        store = self._called(Call("replace", ref.kind, ref.namespace, ref.name))
        with store.lock:
            live = store.objects.get(ref)
            if live is None:
                raise NotFound(f"{ref} is not there", status=404)
            for name in ("uid", "resourceVersion"):
                wanted, now = manifest["metadata"].get(name), live["metadata"][name]
                if wanted and wanted != now:
                    raise Conflict(f"{ref} was changed: {name} {now}, not {wanted}", status=409)
            return self._store_object(store, ref, memory_apply.copied(manifest), manifest)

    def version(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        timeout: float | None = None,
    ) -> str:
        """Return the number of the last change."""
        store = self._called(Call("version", kind, namespace))
        with store.lock:
            store.log.look_at_all()
            return str(store.version)

    def watch(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        since: str,
        seconds: float = 300.0,
    ) -> Watch:
        """Watch, also what a test edits in ``objects``; ``fail_with`` breaks open watches, too."""
        call = Call("watch", kind, namespace)
        store = self._called(call)
        return MemoryWatch(
            store,
            call,
            labels=labels,
            since=since,
            seconds=seconds,
            is_there=lambda: self._stores.get(self.name) is store,
        )

    def events(
        self,
        *,
        namespace: str,
        labels: Mapping[str, str],
        limit: int,
        timeout: float | None = None,
    ) -> Sequence[PodEvent]:
        """Return what ``put_evidence`` gave of it."""
        found = self._evidence("events", namespace, labels)
        return [item for item in found if isinstance(item, PodEvent)][:limit]

    def logs(
        self,
        *,
        namespace: str,
        labels: Mapping[str, str],
        lines: int,
        size: int,
        timeout: float | None = None,
    ) -> Iterator[PodLog]:
        """Yield what ``put_evidence`` gave of it, cut as asked for."""
        for item in self._evidence("logs", namespace, labels):
            if isinstance(item, PodLog):
                every = item.text.splitlines()[-lines:]
                text = "\n".join(every).encode()[-size:].decode(errors="replace")
                yield item._replace(text=text, is_cut=item.is_cut or text != item.text)

    # --- inside

    def _evidence(
        self, verb: str, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[PodEvent | PodLog]:
        store = self._called(Call(verb, POD, namespace))
        with store.lock:
            return [
                item
                for ref, found in store.evidence.items()
                if ref in store.objects
                and ref.namespace == namespace
                and matches(store.objects[ref]["metadata"].get("labels") or {}, labels)
                for item in found
            ]

    @property
    def _store(self) -> Store:
        return self._stores.setdefault(self.name, Store())

    def _called(self, call: Call) -> Store:
        store = self._store
        if call.verb in _WRITES:
            self.check_guard(call.kind)
        with store.lock:
            store.calls.append(call)
            store.raise_fault(call)
        return store

    def _store_object(
        self, store: Store, ref: Ref, wanted: Manifest, manifest: Manifest
    ) -> Manifest:
        """Validate, fill in and store ``wanted``, of which ``manifest`` is what we declared."""
        before = store.objects.get(ref)
        memory_defaults.check(wanted)
        memory_defaults.fill_in(wanted)
        if ref.kind.kind == "Service":
            give_ip(store, ref, wanted["spec"], before)
        if before is not None:
            memory_defaults.check_immutable(ref, before, wanted)
        metadata = wanted["metadata"]
        old = before["metadata"] if before is not None else {}
        metadata["uid"] = old.get("uid") or str(uuid.uuid4())
        metadata["creationTimestamp"] = old.get("creationTimestamp") or datetime.now(UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        same_spec = before is not None and before.get("spec") == wanted.get("spec")
        if "spec" in wanted and ref.kind.kind != "Service":  # Services have no generation
            metadata["generation"] = old.get("generation", 0) + (0 if same_spec else 1)
        if "resourceVersion" in old:
            metadata["resourceVersion"] = old["resourceVersion"]
        if not same_spec or "status" not in wanted:
            memory_defaults.give_status(wanted)
        store.owned[ref] = memory_apply.declared(manifest)
        if wanted != before:
            metadata["resourceVersion"] = str(store.next_version())
            store.objects[ref] = wanted
            store.note(ref)
        stored: Manifest = memory_apply.copied(store.objects[ref])
        return stored
