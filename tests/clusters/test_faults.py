"""The cluster behind an API server on its bad days: a real one, through the fault proxy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.core.objects import SERVICE, Kind, Ref
from django_userpods.exceptions import (
    AlreadyExists,
    BadAnswer,
    ClusterError,
    ClusterTimeout,
    ClusterUnavailable,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
)
from tests import faults
from tests.clusters.manifests import deployment, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.kubernetes import KubernetesCluster
    from tests.faultproxy import FaultProxy
    from tests.testcluster.cluster import Cluster as RealCluster

pytest_plugins = ["tests.testcluster.fixtures"]
pytestmark = pytest.mark.cluster
CONFIGMAP = Kind("v1", "ConfigMap")


def took(work: Callable[[], object]) -> tuple[BaseException | None, float]:
    """Run, and return what was raised and the seconds it took."""
    begun = time.monotonic()
    try:
        work()
    except ClusterError as error:
        return error, time.monotonic() - begun
    return None, time.monotonic() - begun


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_passing_trouble_is_tried_again(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str, code: int
) -> None:
    proxy.on(faults.status(code), times=2)

    through.create(service(namespace))

    assert [call.status for call in proxy.calls] == [code, code, 201]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (faults.status(429), TooManyRequests),
        (faults.status(500), ClusterUnavailable),
        (faults.status(503), ClusterUnavailable),
        (faults.html(502), ClusterUnavailable),
        (faults.reset(), ClusterUnavailable),
        (faults.cut(), BadAnswer),
    ],
)
def test_lasting_trouble_is_reported_after_a_few_tries(
    through: KubernetesCluster,
    proxy: FaultProxy,
    action: faults.Action,
    expected: type[ClusterError],
) -> None:
    proxy.on(action)

    error, seconds = took(lambda: list(through.list(SERVICE, namespace=None, labels={})))

    assert type(error) is expected
    assert isinstance(error, ClusterUnavailable)
    assert error.transient
    assert proxy.url in str(error) or expected is TooManyRequests
    assert len(proxy.calls) == 5
    assert 0.5 < seconds < 3


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (faults.status(400), Invalid),
        (faults.status(403), Forbidden),
        (faults.html(403), Forbidden),
        (faults.status(404), NotFound),
        (faults.status(409, reason="AlreadyExists"), AlreadyExists),
        (faults.status(410), Expired),
        (faults.status(422), Invalid),
        (faults.status(501), ClusterUnavailable),
        (faults.status(302, headers={"Location": "https://login.example.org/"}), BadAnswer),
        (faults.html(200), BadAnswer),
        (faults.html(404), BadAnswer),
        (faults.html(409), BadAnswer),
        (faults.html(410), BadAnswer),
        (faults.short(), BadAnswer),
    ],
)
def test_what_no_second_try_would_change_is_said_at_once(
    through: KubernetesCluster,
    proxy: FaultProxy,
    namespace: str,
    action: faults.Action,
    expected: type[ClusterError],
) -> None:
    proxy.on(action)

    error, seconds = took(lambda: through.create(service(namespace)))

    assert type(error) is expected
    assert len(proxy.calls) == 1
    assert seconds < 1


@pytest.mark.parametrize("action", [faults.html(404), faults.html(200), faults.status(302)])
def test_a_strangers_404_is_not_taken_for_a_missing_object(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str, action: faults.Action
) -> None:
    stored = through.create(service(namespace))
    proxy.on(action)

    with pytest.raises(BadAnswer):
        through.get(Ref.of(stored))
    with pytest.raises(BadAnswer):
        through.delete(Ref.of(stored), uid=stored["metadata"]["uid"])
    with pytest.raises(BadAnswer):
        list(through.list(SERVICE, namespace=namespace, labels={}))


def test_retry_after_is_honoured(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    proxy.on(faults.status(429, headers={"Retry-After": "1"}), times=1)

    error, seconds = took(lambda: through.create(service(namespace)))

    assert error is None
    assert 1.0 <= seconds < 2.5


def test_retry_after_beyond_the_deadline_is_reported_at_once(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    proxy.on(faults.status(429, headers={"Retry-After": "60"}))

    error, seconds = took(lambda: through.create(service(namespace)))

    assert isinstance(error, TooManyRequests)
    assert error.retry_after == 60
    assert seconds < 1


@pytest.mark.parametrize("action", [faults.hang(), faults.delay(30), faults.trickle(0.05)])
def test_no_call_takes_longer_than_it_may(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str, action: faults.Action
) -> None:
    through.create(service(namespace))
    proxy.on(action)
    ref = Ref(SERVICE, namespace, "user-alice")

    error, seconds = took(lambda: through.get(ref, timeout=1))

    assert isinstance(error, ClusterTimeout)
    assert "within 1 s" in str(error)
    assert 0.9 < seconds < 1.6


def test_a_server_that_refuses_connections_is_named(
    through: KubernetesCluster, proxy: FaultProxy
) -> None:
    proxy.refuse()

    with pytest.raises(ClusterUnavailable, match=f"{proxy.url} refuses connections"):
        through.get(Ref(SERVICE, "default", "x"))

    proxy.listen()
    assert through.get(Ref(SERVICE, "default", "x")) is None


@pytest.mark.parametrize(
    "action",
    [
        faults.reset(carried_out=True),
        faults.status(504, carried_out=True),
        faults.html(502, carried_out=True),
        faults.cut(),
    ],
)
def test_a_lost_answer_to_a_creation_is_already_exists(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str, action: faults.Action
) -> None:
    proxy.on(action, method="POST", times=1)

    with pytest.raises(AlreadyExists):
        through.create(service(namespace))

    assert through.get(Ref(SERVICE, namespace, "user-alice")) is not None


def test_a_lost_answer_to_a_deletion_is_success(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    stored = through.create(service(namespace))
    proxy.on(faults.reset(carried_out=True), method="DELETE", times=1)

    through.delete(Ref.of(stored), uid=stored["metadata"]["uid"])

    assert through.get(Ref.of(stored)) is None


def test_a_conflict_is_tried_again_for_writes_only(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    proxy.on(faults.status(409, reason="Conflict"), method="POST", times=1)
    stored = through.create(service(namespace))
    proxy.on(faults.status(409, reason="Conflict"), method="DELETE", times=1)

    with pytest.raises(Conflict):
        through.delete(Ref.of(stored), uid=stored["metadata"]["uid"])


def test_ownership_is_taken_again_when_someone_writes_in_between(
    through: KubernetesCluster, proxy: FaultProxy, cluster: RealCluster, namespace: str
) -> None:
    through.create(deployment(namespace, A="1", B="2"))

    labels: list[str] = []

    def meddle(exchange: Any) -> None:
        labels.append(f"team-{len(labels)}=blue")
        cluster.kubectl("label", "deployment", "user-alice", "-n", namespace, labels[-1])
        exchange.pass_through()

    # Each label is another, so each is a change.
    proxy.on(meddle, method="PATCH", query="^$", times=4)

    stored = through.apply(deployment(namespace, A="1"), timeout=30)

    container = stored["spec"]["template"]["spec"]["containers"][0]
    assert [item["name"] for item in container["env"]] == ["A"]
    assert stored["metadata"]["labels"]["team-3"] == "blue"
    statuses = [call.status for call in proxy.calls if call.method == "PATCH"]
    assert statuses[:4] == [409] * 4
    assert statuses[-2:] == [200, 200]
