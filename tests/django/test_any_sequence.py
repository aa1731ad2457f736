"""Any sequence of what may happen ends, after two quiet syncs, in what the database says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.core.objects import DEPLOYMENT
from django_userpods.exceptions import (
    ClusterError,
    ClusterUnavailable,
    Conflict,
    Forbidden,
    Invalid,
)
from django_userpods.testing import MemoryCluster
from tests import sequences

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest, Ref

pytestmark = pytest.mark.django_db(transaction=True)

ERRORS: dict[str, ClusterError] = {
    "503": ClusterUnavailable("503", status=503),
    "409": Conflict("409", status=409),
    "403": Forbidden("403", status=403),
    "422": Invalid("422: no", status=422),
    "lost": ClusterUnavailable("the connection broke"),
}


class InterruptedMemory(sequences.Interrupted, MemoryCluster):
    """A memory cluster in the midst of whose calls something happens."""


class InMemory(sequences.Place):
    """The memory cluster, in which pods run at once."""

    pods_run = True
    namespace = "default"

    def begin(self) -> None:
        MemoryCluster.reset()
        self.memory = MemoryCluster(concurrency=1)

    def create(self, manifest: Manifest) -> None:
        self.memory.create(manifest)

    def objects(self) -> dict[Ref, Manifest]:
        return dict(self.memory.objects)

    def change(self, ref: Ref, patch: dict[str, Any]) -> None:
        live = self.memory.objects[ref]
        merge(live, patch)
        if ref.kind == DEPLOYMENT:
            # As the controllers do where there are some.
            counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
            live["status"].update(dict.fromkeys(counts, live["spec"]["replicas"]))

    def remove(self, ref: Ref) -> None:
        del self.memory.objects[ref]

    def refuse(self, fault: str, verb: str | None, times: int) -> None:
        self.memory.fail_with(ERRORS[fault], verb=verb, times=times)

    def heal(self) -> None:
        MemoryCluster().heal()


def merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


class Machine(sequences.Sequences):
    """On the memory cluster."""


@pytest.mark.timeout(3600)
def test_any_sequence_ends_in_what_the_database_says(memory: MemoryCluster, settings: Any) -> None:
    backend = f"{InterruptedMemory.__module__}.{InterruptedMemory.__qualname__}"
    settings.USERPODS_CLUSTER = {"BACKEND": backend, "OPTIONS": {"concurrency": 1}}
    Machine.place = InMemory()
    sequences.run(Machine, examples=60, steps=20)
