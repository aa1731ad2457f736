"""What a cluster in memory remembers: objects, who declared what, calls, faults, addresses."""

from __future__ import annotations

import copy
import threading
from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from django_userpods.exceptions import Invalid
from django_userpods.testing.memory_watch import Log

if TYPE_CHECKING:
    from django_userpods.clusters.base import PodEvent, PodLog
    from django_userpods.core.objects import Kind, Manifest, Ref
    from django_userpods.exceptions import ClusterError
    from django_userpods.testing import memory_apply

#: The API server's usual ``--service-cluster-ip-range``.
_SERVICE_RANGE = IPv4Network("10.96.0.0/16")
#: The ``kubernetes`` Service has the first address of the range.
_FIRST_FREE = 2


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a :class:`MemoryCluster` received.

    ``verb`` is list, get, create, apply, replace, delete, version, watch, events or logs; ``name``
    is empty for what is about many objects, and ``namespace`` None where that was of all
    namespaces.
    """

    verb: str
    kind: Kind
    namespace: str | None
    name: str = ""


@dataclass(slots=True)
class Fault:
    """Calls that fail, until ``times`` of them have."""

    error: ClusterError
    verb: str | None
    kind: str | None
    times: int | None

    def meets(self, call: Call) -> bool:
        """Tell whether a call is one of them."""
        return (
            self.times != 0
            and self.verb in (None, call.verb)
            and self.kind in (None, call.kind.kind)
        )


@dataclass(slots=True)
class Store:
    """Everything that the clusters of one name share."""

    objects: dict[Ref, Manifest] = field(default_factory=dict)
    owned: dict[Ref, set[memory_apply.Path]] = field(default_factory=dict)
    calls: deque[Call] = field(default_factory=deque)
    faults: list[Fault] = field(default_factory=list)
    paused_until: float = 0.0
    #: What is known of the pods of an object: see ``MemoryCluster.put_evidence``.
    evidence: dict[Ref, list[PodEvent | PodLog]] = field(default_factory=dict)
    #: The resourceVersion that was given last.
    version: int = 0
    next_ip: int = _FIRST_FREE
    lock: threading.RLock = field(default_factory=threading.RLock)
    #: Over ``lock``: notified of what watches may want to know.
    changed: threading.Condition = field(init=False)
    _log: Log | None = None

    def __post_init__(self) -> None:
        self.changed = threading.Condition(self.lock)

    @property
    def log(self) -> Log:
        """What happened since this was first asked for, so that it costs others nothing."""
        if self._log is None:
            self._log = Log(self)
        return self._log

    def next_version(self) -> int:
        """Return a resourceVersion that is later than all before."""
        self.version += 1
        return self.version

    def note(self, ref: Ref) -> None:
        """Tell watches that an object may have changed."""
        if self._log is not None:
            self._log.look_at(ref)

    def raise_fault(self, call: Call) -> None:
        """Raise what a test said that such a call raises."""
        for fault in self.faults:
            if fault.meets(call):
                if fault.times is not None:
                    fault.times -= 1
                raise copy.copy(fault.error)

    def raise_lasting_fault(self, call: Call) -> None:
        """Raise what such calls raise until it is taken back."""
        for fault in self.faults:
            if fault.times is None and fault.meets(call):
                raise copy.copy(fault.error)


def give_ip(store: Store, ref: Ref, spec: Manifest, before: Manifest | None) -> None:
    """Give a Service an address of its own, as the API server's allocator does."""
    had = before["spec"].get("clusterIP") if before is not None else None
    asked = spec.get("clusterIP") or had or ""
    if asked == "None" or spec["type"] == "ExternalName":
        return
    taken = {
        item["spec"].get("clusterIP")
        for other, item in store.objects.items()
        if other.kind.kind == "Service" and other != ref
    }
    if asked:
        refusal = ""
        if asked in taken:
            refusal = "provided IP is already allocated"
        elif not _in_service_range(asked):
            refusal = "the provided network does not match the current range"
        if refusal:
            raise Invalid(
                f'Service "{ref.name}" is invalid: spec.clusterIPs: Invalid value: ["{asked}"]: '
                f"failed to allocate IP {asked}: {refusal}",
                status=422,
            )
    while not asked or asked in taken:
        asked = str(_SERVICE_RANGE[store.next_ip])
        store.next_ip += 1
    spec["clusterIP"] = asked
    spec["clusterIPs"] = [asked]


def _in_service_range(address: str) -> bool:
    try:
        return IPv4Address(address) in _SERVICE_RANGE
    except ValueError:
        return False
