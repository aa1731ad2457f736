"""A watcher of a real API server, on its bad days: nothing is missed, and it ends at once."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.controller import watcher as module
from django_userpods.core.objects import Kind, Ref
from django_userpods.exceptions import Expired
from tests import faults
from tests.controller.watching import CONFIGMAP, LABELS, Told, manifest, until, watching
from tests.faultproxy import FaultProxy
from tests.testcluster.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testcluster.cluster import Cluster as RealCluster

pytest_plugins = ["tests.testcluster.fixtures"]
pytestmark = pytest.mark.cluster
WATCH = "watch=true"
#: Seconds after the end of a fault within which all is well again.
SOON = 10.0


@pytest.fixture(scope="module")
def shared_proxy(cluster: RealCluster) -> Iterator[FaultProxy]:
    with FaultProxy(cluster.kubeconfig) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def direct(cluster: RealCluster) -> Iterator[KubernetesCluster]:
    """A way to the API server that has no faults."""
    client = KubernetesCluster(kubeconfig=cluster.kubeconfig)
    yield client
    client.close()


@pytest.fixture(scope="module")
def room(cluster: RealCluster) -> Iterator[str]:
    """A namespace for this file."""
    name = f"test-{secrets.token_hex(5)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> Iterator[FaultProxy]:
    shared_proxy.forget()
    yield shared_proxy
    shared_proxy.clear()
    shared_proxy.listen()


@contextmanager
def client_of(proxy: FaultProxy, *, silence: float = 70.0) -> Iterator[KubernetesCluster]:
    client = KubernetesCluster(kubeconfig=proxy.kubeconfig, timeout=5, silence=silence)
    yield client
    client.close()


@pytest.fixture
def through(proxy: FaultProxy) -> Iterator[KubernetesCluster]:
    with client_of(proxy) as client:
        yield client


def make(cluster: KubernetesCluster, room: str, pod: str) -> None:
    cluster.create(manifest(f"item-{secrets.token_hex(4)}", pod, room))


def error_line(code: int, reason: str) -> bytes:
    said = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code, "reason": reason}
    return json.dumps({"type": "ERROR", "object": said}).encode() + b"\n"


BROKEN: dict[str, tuple[faults.Action, set[str], int]] = {
    # What happens to the first watch: how that is counted, how often everything is looked at.
    "silent": (faults.stream(b"", end="hang"), {"ClusterTimeout"}, 1),
    "hanging": (faults.hang(), {"ClusterTimeout"}, 1),
    "cut in a line": (lambda e: e.pass_through(limit=150), {"ClusterUnavailable"}, 1),
    "closed by the server": (faults.stream(b""), set(), 1),
    "reset": (faults.reset(), {"ClusterUnavailable"}, 1),
    "410": (faults.status(410, reason="Expired"), {"Expired"}, 2),
    "an event of 410": (faults.stream(error_line(410, "Expired")), {"Expired"}, 2),
    "500": (faults.status(500), {"ClusterUnavailable"}, 1),
    "429": (faults.status(429, headers={"Retry-After": "1"}), {"TooManyRequests"}, 1),
    "an event that says 504": (
        faults.stream(error_line(504, "Timeout")),
        {"ClusterUnavailable"},
        1,
    ),
    "HTML": (faults.html(), {"BadAnswer"}, 1),
}


@pytest.mark.parametrize("trouble", BROKEN)
def test_nothing_is_missed_of_a_watch_that_breaks(
    direct: KubernetesCluster, proxy: FaultProxy, room: str, trouble: str
) -> None:
    action, counted, everything = BROKEN[trouble]
    proxy.on(action, query=WATCH, times=1)
    told = Told()
    silence = 1.5 if trouble == "silent" else 70.0
    with client_of(proxy, silence=silence) as client, watching(client, told, room):
        until(lambda: told.pods == ["*"])
        make(direct, room, "1")
        # Told, or made before everything was looked at once more.
        until(lambda: "1" in told.pods or (told.pods == ["*"] * everything and everything > 1))
        make(direct, room, "2")
        until(lambda: "2" in told.pods)
    assert told.pods.count("*") == everything
    assert set(told.restarts) == counted
    # A quiet minute would be a silence of a second and a half, too.
    assert trouble == "silent" or len(told.restarts) == len(counted)


def test_an_api_server_that_was_gone_is_watched_again_soon(
    through: KubernetesCluster, direct: KubernetesCluster, proxy: FaultProxy, room: str
) -> None:
    told = Told()
    with watching(through, told, room) as watcher:
        until(lambda: watcher.is_watching)
        proxy.refuse()
        until(lambda: len(told.restarts) >= 3)
        assert not watcher.is_watching
        make(direct, room, "1")
        proxy.listen()
        back = time.monotonic()
        until(lambda: "1" in told.pods)
        assert time.monotonic() - back < SOON
    assert told.pods == ["*", "1"]


def test_how_long_a_watch_has_been_closed_counts_from_the_last_that_was_open(
    through: KubernetesCluster, proxy: FaultProxy, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.1)
    proxy.on(faults.status(403), query=WATCH)
    told = Told()
    with watching(through, told, room) as watcher:
        until(lambda: told.restarts)
        refused = watcher.closed_for
        until(lambda: len(told.restarts) >= 3)
        assert watcher.closed_for > refused > 0, "its version can be read all the same"
        proxy.clear()
        until(lambda: watcher.is_watching)
        assert watcher.closed_for == 0
        began = time.monotonic()
        before = len(told.restarts)
        proxy.refuse()
        until(lambda: len(told.restarts) > before)
        assert 0 < watcher.closed_for <= time.monotonic() - began


def test_watches_that_end_all_the_time_lose_nothing(
    through: KubernetesCluster,
    direct: KubernetesCluster,
    proxy: FaultProxy,
    room: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.5)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.1)
    told = Told()
    with watching(through, told, room):
        until(lambda: told.pods == ["*"])
        for number in range(20):
            make(direct, room, str(number))
            time.sleep(0.1)
        until(lambda: len(told.pods) == 21)
    assert told.pods == ["*", *(str(number) for number in range(20))]
    assert told.restarts == []
    assert len([call for call in proxy.calls if WATCH in call.query]) > 1


def test_a_kind_that_is_installed_later_is_watched_from_then_on(
    through: KubernetesCluster, cluster: RealCluster, room: str
) -> None:
    kind = Kind("watched.example.org/v1", "Thing")
    told = Told()
    with watching(through, told, room, kind) as watcher:
        until(lambda: told.restarts)
        assert set(told.restarts) == {"UnknownKind"}
        assert watcher.is_watching
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True}
        cluster.create(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "things.watched.example.org"},
                "spec": {
                    "group": "watched.example.org",
                    "scope": "Namespaced",
                    "names": {"kind": "Thing", "plural": "things"},
                    "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
                },
            }
        )
        try:
            until(lambda: told.pods == ["*"], 60)
            until(lambda: watcher.is_watching)
            thing = manifest("one", "1", room)
            cluster.create({**thing, "apiVersion": kind.api_version, "kind": kind.kind})
            until(lambda: "1" in told.pods)
        finally:
            cluster.kubectl("delete", "crd", "things.watched.example.org", "--wait=false")


def test_an_etcd_that_was_restored_has_everything_looked_at() -> None:
    """The resourceVersion goes back, and the objects made meanwhile are gone without an event."""
    with ControlPlane(controller_manager=False, scheduler=False, kwok=False) as plane:
        client = KubernetesCluster(kubeconfig=plane.kubeconfig)
        data, backup = plane.directory / "etcd", plane.directory / "backup"

        def stop() -> None:
            plane.stop_apiserver()
            plane.run.stop("etcd", grace=5)

        def start() -> None:
            plane._start_etcd()
            plane.start_apiserver()

        make(client, "default", "1")
        stop()
        shutil.copytree(data, backup)
        start()
        for _ in range(50):
            make(client, "default", "2")
        told = Told()
        with watching(client, told) as watcher:
            until(lambda: watcher.is_watching)
            lost = Ref.of(client.create(manifest("lost", "3")))
            until(lambda: told.pods == ["*", "3"])
            before = told_version(client)
            stop()
            shutil.rmtree(data)
            backup.rename(data)
            start()
            back = time.monotonic()
            assert told_version(client) < before
            assert client.get(lost) is None
            until(lambda: told.pods == ["*", "3", "*"], 30)
            until(lambda: watcher.is_watching)
            make(client, "default", "4")
            until(lambda: told.pods[3:] == ["4"], 30)
            took = time.monotonic() - back
        assert "SetBack" in told.restarts
        assert took < SOON, took
        # What was before the API server began is known to etcd only, and a watch does not ask it.
        with pytest.raises(Expired):
            next(client.watch(CONFIGMAP, namespace="default", labels=LABELS, since="1"))
        client.close()


def told_version(client: KubernetesCluster) -> int:
    return int(client.version(CONFIGMAP, namespace="default", labels=LABELS))
