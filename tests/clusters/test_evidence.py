"""Events and logs of pods: what the real API server tells, what it is asked, and the bounds."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from django_userpods.clusters.base import PodEvent, PodLog
from django_userpods.clusters.inert import InertCluster
from django_userpods.clusters.kubernetes import evidence
from django_userpods.core.objects import POD, Ref
from django_userpods.evidence import worded
from django_userpods.exceptions import (
    BadAnswer,
    ClusterConfigurationError,
    ClusterTimeout,
    ClusterUnavailable,
    Forbidden,
    NodeUnavailable,
    NotInTests,
)
from django_userpods.testing import MemoryCluster
from tests import faults
from tests.clusters.manifests import deployment
from tests.faults import Answer
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from django_userpods.clusters.base import Cluster
    from django_userpods.clusters.kubernetes import KubernetesCluster
    from tests.faultproxy import Exchange, FaultProxy

pytest_plugins = ["tests.testcluster.fixtures"]

ALICE = {"app": "user-alice"}
BOUNDS = {"lines": 200, "size": 1000}


# --- without a cluster


def test_the_last_lines_are_kept_and_within_bytes_the_last_bytes() -> None:
    text = b"\n".join(b"line %d" % number for number in range(10)) + b"\n"
    assert evidence.last_of(text, lines=3, size=1000) == ("line 7\nline 8\nline 9", True)
    assert evidence.last_of(text, lines=10, size=1000) == (text.decode().rstrip("\n"), False)
    assert evidence.last_of(text, lines=10, size=10) == (" 8\nline 9", True)
    assert evidence.last_of(b"", lines=10, size=10) == ("", False)


def test_the_last_line_is_shown_however_long_those_before_are() -> None:
    """As the kubelet does, which counts ``limitBytes`` from the first of the lines on."""
    written = [b"before", b"x" * 20_000, b"Traceback", b"ValueError: this is why"]

    def call(request: Any, _deadline: Any) -> bytes:
        query = {name: int(value) for name, value in parse_qsl(urlsplit(request.path).query)}
        text = b"\n".join(written[-query["tailLines"] :]) + b"\n"
        return text[: query["limitBytes"]]

    place: Any = SimpleNamespace(call=call, deadline=None)
    body = evidence._tail(place, "/api/v1/namespaces/a/pods/b/log", {}, lines=200, most=8000)
    text, _ = evidence.last_of(body, lines=200, size=1000)
    assert text.endswith("ValueError: this is why")


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    # Cut in the middle of a letter, too.
    assert evidence.last_of("é\né".encode(), lines=9, size=4) == ("�\né", True)
    assert evidence.last_of(b"\xff\xfe", lines=9, size=9) == ("��", False)


def test_only_containers_that_ran_are_asked_and_those_before_a_restart_too() -> None:
    ended = {"terminated": {"exitCode": 1}}
    pod = {
        "status": {
            "initContainerStatuses": [{"name": "init", "state": ended}],
            "containerStatuses": [
                {"name": "new", "state": {"waiting": {"reason": "ContainerCreating"}}},
                {"name": "crashed", "state": {"waiting": {}}, "lastState": ended},
                {"name": "again", "state": {"running": {}}, "lastState": ended},
                {"name": "well", "state": {"running": {}}, "lastState": {}},
            ],
        }
    }
    assert list(evidence._written(pod)) == [
        *(("init", False), ("crashed", True), ("again", True), ("again", False), ("well", False))
    ]
    assert list(evidence._written({})) == []


def test_the_newest_pods_come_first_and_few() -> None:
    pods = [{"metadata": {"name": f"p{n}", "creationTimestamp": f"2026-01-0{n}"}} for n in (2, 1)]
    assert [pod["metadata"]["name"] for pod in evidence.newest(pods)] == ["p2", "p1"]
    assert len(evidence.newest(pods * 9)) == evidence.PODS


@pytest.mark.parametrize("what", ["events", "logs"])
def test_a_cluster_that_has_none_and_a_test_run_say_so(what: str) -> None:
    class Bare(InertCluster):
        events = InertCluster.__base__.events  # type: ignore[union-attr]
        logs = InertCluster.__base__.logs  # type: ignore[union-attr]

    bounds: dict[str, Any] = {"limit": 5} if what == "events" else BOUNDS
    for made, error in ((Bare, ClusterConfigurationError), (InertCluster, NotInTests)):
        cluster: Cluster = made(MemoryCluster())
        with pytest.raises(error):
            getattr(cluster, what)(namespace="x", labels=ALICE, **bounds)


def test_the_memory_cluster_shows_what_it_was_given(memory: MemoryCluster) -> None:
    stored = memory.create(deployment("default"))
    event = PodEvent(None, "Warning", "BackOff", "again", 3)
    log = PodLog("user-alice-1", "app", "one\ntwo\nthree")
    memory.put_evidence(Ref.of(stored), event, log)
    assert memory.events(namespace="default", labels=ALICE, limit=5) == [event]
    found = list(memory.logs(namespace="default", labels=ALICE, lines=2, size=99))
    assert found == [PodLog("user-alice-1", "app", "two\nthree", is_cut=True)]
    assert list(memory.logs(namespace="other", labels=ALICE, **BOUNDS)) == []
    assert list(memory.logs(namespace="default", labels={"app": "user-bob"}, **BOUNDS)) == []
    memory.fail_with(Forbidden("no"), verb="logs", kind="Pod")
    with pytest.raises(Forbidden):
        list(memory.logs(namespace="default", labels=ALICE, **BOUNDS))


# --- a real API server


@pytest.fixture
def running(through: KubernetesCluster, proxy: FaultProxy, namespace: str) -> dict[str, Any]:
    """Two Deployments of which each has a pod that runs; gives alice's."""
    for name in ("user-alice", "user-bob"):
        through.create(deployment(namespace, name))

    def pods() -> list[dict[str, Any]]:
        found = through.list(POD, namespace=namespace, labels={})
        return [
            pod
            for pod in found
            if any("running" in s["state"] for s in pod["status"].get("containerStatuses", ()))
        ]

    wait_for(lambda: len(pods()) == 2, "two pods that run")
    proxy.forget()
    return next(pod for pod in pods() if pod["metadata"]["labels"]["app"] == "user-alice")


@pytest.mark.cluster
def test_events_are_those_of_the_pod_and_of_what_made_it(
    running: dict[str, Any], through: KubernetesCluster, namespace: str
) -> None:
    def events() -> list[PodEvent]:
        return list(through.events(namespace=namespace, labels=ALICE, limit=50))

    def reasons() -> set[str]:
        return {event.reason for event in events()}

    wait_for(lambda: reasons() >= {"Scheduled", "SuccessfulCreate"}, "events")
    name = running["metadata"]["name"]
    for event in events():
        assert event.about in (f"Pod {name}", f"ReplicaSet {name.rpartition('-')[0]}")
        assert event.type == "Normal"
        assert event.message
        assert event.at is not None
        assert abs(datetime.datetime.now(datetime.UTC) - event.at) < datetime.timedelta(hours=1)
    assert len(through.events(namespace=namespace, labels=ALICE, limit=1)) == 1
    assert through.events(namespace=namespace, labels={"app": "nobody"}, limit=50) == []


def said(text: bytes, content_type: str = "text/plain") -> faults.Action:
    def act(exchange: Exchange) -> None:
        exchange.answer(Answer(200, {"Content-Type": content_type}, text))

    return act


def logs(through: KubernetesCluster, namespace: str, **more: Any) -> list[PodLog]:
    return list(through.logs(namespace=namespace, labels=ALICE, **BOUNDS, **more))


@pytest.mark.cluster
def test_a_log_is_asked_for_by_name_and_within_bounds(
    running: dict[str, Any], through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    """(Pods that kwok pretends to run have none: the kubelet's answer is made up here.)"""
    proxy.on(said(b"<b>hello</b>\nworld\n"), path="/log$")
    name = running["metadata"]["name"]
    assert logs(through, namespace) == [PodLog(name, "app", "<b>hello</b>\nworld")]
    (asked,) = (call for call in proxy.calls if call.path.endswith("/log"))
    assert asked.path == f"/api/v1/namespaces/{namespace}/pods/{name}/log"
    assert asked.query == "container=app&tailLines=201&limitBytes=8000"


@pytest.mark.cluster
def test_of_lines_that_are_very_long_fewer_are_asked_for(
    running: dict[str, Any], through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    """The kubelet counts bytes from the first line on, so the last ones would be missing."""
    proxy.on(said(b"x" * 8000), path="/log$", query="tailLines=201")
    proxy.on(said(b"y" * 5000 + b"\nlast\n"), path="/log$", query="tailLines=11")
    (found,) = logs(through, namespace)
    assert found.text.endswith("y\nlast")
    assert found.is_cut


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.status(403, reason="Forbidden"), Forbidden),
        (said(b"<html>Sign in</html>", "text/html"), BadAnswer),
        (faults.hang(), ClusterTimeout),
        (faults.status(503), ClusterUnavailable),
    ],
    ids=["forbidden", "a proxy's page", "slow", "away"],
)
def test_what_stands_in_the_way_is_an_error(
    running: dict[str, Any],
    through: KubernetesCluster,
    proxy: FaultProxy,
    namespace: str,
    fault: faults.Action,
    expected: type[Exception],
) -> None:
    seconds = 2.0 if expected is ClusterTimeout else 60.0
    proxy.on(fault, path="/log$")
    with pytest.raises(expected):
        logs(through, namespace, timeout=seconds)
    proxy.clear()
    proxy.on(fault, path="/events$")
    if expected is not BadAnswer:
        with pytest.raises(expected):
            through.events(namespace=namespace, labels=ALICE, limit=5, timeout=seconds)


@pytest.mark.cluster
def test_a_node_that_does_not_answer_is_not_the_cluster(
    running: dict[str, Any], through: KubernetesCluster, namespace: str
) -> None:
    """(Nobody answers at the address of a node that kwok pretends.)"""
    with pytest.raises(NodeUnavailable) as caught:
        logs(through, namespace, timeout=60.0)
    assert worded(caught.value) == "The machine that it runs on does not answer at the moment."


@pytest.mark.cluster
def test_a_container_that_has_not_begun_has_no_log(
    running: dict[str, Any], through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    proxy.on(faults.status(400, reason="BadRequest"), path="/log$", times=1)
    assert logs(through, namespace) == []
    proxy.clear()
    proxy.on(said(b""), path="/log$")
    assert logs(through, namespace) == []
