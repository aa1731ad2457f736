"""What the cluster in memory offers to the unit tests of host projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_userpods.core.objects import DEPLOYMENT, SERVICE, Ref
from django_userpods.exceptions import (
    ClusterConfigurationError,
    ClusterUnavailable,
    Expired,
    Forbidden,
    Invalid,
    TooManyRequests,
)
from django_userpods.testing import Call, MemoryCluster
from tests.clusters.manifests import LABELS, deployment, service

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def memory() -> Iterator[MemoryCluster]:
    MemoryCluster.reset()
    yield MemoryCluster()
    MemoryCluster.reset()


def test_clusters_of_one_name_are_one(memory: MemoryCluster) -> None:
    memory.create(service("default"))

    assert list(MemoryCluster().objects) == [Ref(SERVICE, "default", "user-alice")]
    assert MemoryCluster(name="other").objects == {}


def test_reset_forgets_one_store_or_all(memory: MemoryCluster) -> None:
    other = MemoryCluster(name="other")
    for cluster in (memory, other):
        cluster.create(service("default"))

    MemoryCluster.reset("other")
    assert (len(memory.objects), len(other.objects)) == (1, 0)

    MemoryCluster.reset()
    assert (len(memory.objects), len(memory.calls)) == (0, 0)


def test_calls_are_logged(memory: MemoryCluster) -> None:
    stored = memory.create(service("default"))
    ref = Ref.of(stored)
    memory.apply(service("default"))
    memory.get(ref)
    list(memory.list(SERVICE, namespace=None, labels=LABELS))
    memory.delete(ref, uid=stored["metadata"]["uid"])

    assert list(memory.calls) == [
        Call("create", SERVICE, "default", "user-alice"),
        Call("apply", SERVICE, "default", "user-alice"),
        Call("get", SERVICE, "default", "user-alice"),
        Call("list", SERVICE, None),
        Call("delete", SERVICE, "default", "user-alice"),
    ]


def test_calls_fail_on_demand(memory: MemoryCluster) -> None:
    error = Forbidden("services are not for you", status=403)
    memory.fail_with(error, verb="create", kind="Service")

    memory.create(deployment("default"))
    assert memory.get(Ref(SERVICE, "default", "user-alice")) is None
    for _ in range(2):
        with pytest.raises(Forbidden, match="not for you") as caught:
            memory.create(service("default"))
        assert caught.value.status == 403

    memory.heal()
    memory.create(service("default"))


def test_calls_fail_as_often_as_asked(memory: MemoryCluster) -> None:
    memory.fail_with(TooManyRequests("slow down", retry_after=3), times=2)
    for _ in range(2):
        with pytest.raises(TooManyRequests) as caught:
            memory.create(service("default"))
        assert caught.value.retry_after == 3

    memory.create(service("default"))
    assert len(memory.calls) == 3


def test_a_list_that_fails_raises_when_it_is_read(memory: MemoryCluster) -> None:
    memory.fail_with(ClusterUnavailable("down"), verb="list")

    found = memory.list(SERVICE, namespace=None, labels={})

    with pytest.raises(ClusterUnavailable):
        next(iter(found))


def test_what_is_handed_out_is_a_copy(memory: MemoryCluster) -> None:
    manifest = deployment("default", A="1")
    stored = memory.create(manifest)
    ref = Ref.of(stored)
    listed = next(iter(memory.list(DEPLOYMENT, namespace=None, labels={})))
    for copy in (manifest, stored, memory.get(ref), listed):
        assert copy is not None
        copy["spec"]["template"]["spec"]["containers"][0]["image"] = "changed"

    live = memory.objects[ref]
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/app:1"


def test_a_scaled_down_deployment_is_ready_too(memory: MemoryCluster) -> None:
    manifest = deployment("default")
    manifest["spec"]["replicas"] = 0

    status = memory.create(manifest)["status"]

    assert status["observedGeneration"] == 1
    assert "readyReplicas" not in status
    assert memory.apply(deployment("default"))["status"]["readyReplicas"] == 1


def test_a_headless_service_has_no_address(memory: MemoryCluster) -> None:
    spec = memory.create(service("default", clusterIP="None"))["spec"]

    assert spec["clusterIP"] == "None"


def test_an_address_cannot_change(memory: MemoryCluster) -> None:
    memory.create(service("default"))

    with pytest.raises(Invalid, match="immutable"):
        memory.apply(service("default", clusterIP="10.96.9.9"))


@pytest.mark.parametrize("quantity", ["much", "1.2.3", "", "1Kb"])
def test_what_is_no_quantity_is_invalid(memory: MemoryCluster, quantity: str) -> None:
    manifest = deployment("default")
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"memory": quantity}}

    with pytest.raises(Invalid, match="quantity"):
        memory.create(manifest)
    assert memory.objects == {}


@pytest.mark.parametrize("options", [{"name": ""}, {"name": 1}, {"concurrency": 0}])
def test_invalid_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ClusterConfigurationError):
        MemoryCluster(**options)  # type: ignore[arg-type] # that is the point


def test_open_watches_see_direct_edits(memory: MemoryCluster) -> None:
    ref = Ref.of(memory.create(service("default")))
    since = memory.version(SERVICE, namespace=None, labels=LABELS)
    with memory.watch(SERVICE, namespace=None, labels=LABELS, since=since) as watch:
        memory.objects[ref]["spec"]["ports"][0]["port"] = 81
        assert next(watch).type == "MODIFIED"
        copy = {**memory.objects[ref], "metadata": {**memory.objects[ref]["metadata"]}}
        del memory.objects[ref]
        assert next(watch).type == "DELETED"
        memory.objects[ref] = copy
        assert next(watch).type == "ADDED"


def test_a_fault_that_lasts_breaks_open_watches(memory: MemoryCluster) -> None:
    since = memory.version(SERVICE, namespace=None, labels=LABELS)
    watch = memory.watch(SERVICE, namespace=None, labels=LABELS, since=since)
    memory.fail_with(ClusterUnavailable("down"))
    with pytest.raises(ClusterUnavailable, match="down"):
        next(watch)
    memory.heal()
    memory.reset()
    with pytest.raises(ClusterUnavailable, match="reset"):
        next(watch)


def test_a_version_from_before_all_that_is_remembered_is_expired(memory: MemoryCluster) -> None:
    first = memory.version(SERVICE, namespace=None, labels=LABELS)
    for _ in range(501):
        stored = memory.create(service("default"))
        memory.delete(Ref.of(stored), uid=stored["metadata"]["uid"])
    for since in (first, "9999999"):
        with pytest.raises(Expired):
            memory.watch(SERVICE, namespace=None, labels=LABELS, since=since)
