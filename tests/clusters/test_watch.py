"""The watch of an API server on its bad days: a real one, through the fault proxy."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster, watch
from django_userpods.core.objects import SERVICE, Kind, Ref
from django_userpods.exceptions import (
    BadAnswer,
    ClusterError,
    ClusterTimeout,
    ClusterUnavailable,
    Expired,
    Forbidden,
    NotLeading,
    TooManyRequests,
    Unauthorized,
    UnknownKind,
)
from tests import faults
from tests.clusters.manifests import LABELS, configmap, service
from tests.router.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.clusters.base import Watch
    from tests.faultproxy import FaultProxy

pytest_plugins = ["tests.testcluster.fixtures"]
pytestmark = pytest.mark.cluster
CONFIGMAP = Kind("v1", "ConfigMap")
WATCH = "watch=true"
#: For what is never made.
NAMESPACE = "default"


@contextmanager
def client_of(proxy: FaultProxy, *, silence: float = 70.0) -> Iterator[KubernetesCluster]:
    client = KubernetesCluster(kubeconfig=proxy.kubeconfig, timeout=5, silence=silence)
    client.get(Ref(SERVICE, "default", "nothing"))
    proxy.forget()
    yield client
    client.close()


@pytest.fixture
def watched(proxy: FaultProxy) -> Iterator[KubernetesCluster]:
    with client_of(proxy) as client:
        yield client


def begun(client: KubernetesCluster, namespace: str, since: str = "", seconds: float = 60) -> Watch:
    since = since or client.version(CONFIGMAP, namespace=namespace, labels=LABELS)
    return client.watch(CONFIGMAP, namespace=namespace, labels=LABELS, since=since, seconds=seconds)


def line(type_: str = "MODIFIED", name: str = "one", version: int = 7, **more: Any) -> bytes:
    metadata = {"name": name, "namespace": "x", "resourceVersion": str(version), **more}
    said = {"type": type_, "object": {"kind": "PartialObjectMetadata", "metadata": metadata}}
    return json.dumps(said).encode() + b"\n"


def error_line(code: int, reason: str, message: str = "") -> bytes:
    said = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason}
    said |= {"message": message, "status": "Failure", "metadata": {}}
    return json.dumps({"type": "ERROR", "object": said}).encode() + b"\n"


def names(found: Watch) -> list[str]:
    return [event.object["metadata"]["name"] for event in found]


def test_a_watch_is_one_call_for_metadata_from_a_version_on(
    watched: KubernetesCluster, proxy: FaultProxy
) -> None:
    with begun(watched, NAMESPACE, seconds=0.5) as found:
        assert not found.is_open
        names(found)

    asked = "labelSelector=app.kubernetes.io/managed-by%3Ddjango-userpods%2C"
    listed, watching = proxy.calls
    assert listed.query.startswith(f"limit=1&{asked}")
    version = watching.query.partition("resourceVersion=")[2].partition("&")[0]
    assert watching.query.startswith(
        f"watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds=1&{asked}"
    )
    assert watching.path == f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    assert watching.headers["Accept"].startswith("application/json;as=PartialObjectMetadata;")
    assert listed.headers["Accept"].startswith("application/json;as=PartialObjectMetadataList;")


def test_a_watch_without_a_byte_for_too_long_is_given_up(proxy: FaultProxy) -> None:
    proxy.on(faults.stream(line(name="one"), end="hang"), query=WATCH)
    with client_of(proxy, silence=1.0) as client, begun(client, NAMESPACE) as found:
        assert next(found).object["metadata"]["name"] == "one"
        assert found.is_open
        asked = time.monotonic()
        with pytest.raises(ClusterTimeout, match=r"nothing was heard of http://.* for 1 s"):
            next(found)
        assert 0.9 < time.monotonic() - asked < 5
        assert not found.is_open


def test_bytes_now_and_then_are_no_silence(proxy: FaultProxy) -> None:
    said = line()
    proxy.on(faults.stream(said, size=len(said) // 8, pause=0.4), query=WATCH)
    with client_of(proxy, silence=2.5) as client, begun(client, NAMESPACE) as found:
        assert names(found) == ["one"]


def test_a_line_that_was_cut_is_not_told_and_is_not_lost(
    watched: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    proxy.on(lambda exchange: exchange.pass_through(limit=150), query=WATCH, times=1)
    since = watched.version(CONFIGMAP, namespace=namespace, labels=LABELS)
    watched.create(configmap(namespace, "one"))
    with (
        begun(watched, namespace, since=since) as found,
        pytest.raises(ClusterUnavailable, match="broke off in the middle"),
    ):
        next(found)

    with begun(watched, namespace, since=since) as found:
        assert next(found).object["metadata"]["name"] == "one"


def test_an_answer_that_ends_in_a_line_is_broken_however_it_ends(
    watched: KubernetesCluster, proxy: FaultProxy
) -> None:
    proxy.on(faults.stream(line() + line(name="two")[:-20]), query=WATCH)
    with begun(watched, NAMESPACE) as found:
        assert next(found).object["metadata"]["name"] == "one"
        with pytest.raises(ClusterUnavailable, match="broke off in the middle"):
            next(found)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_do_not_depend_on_the_pieces_they_come_in(
    watched: KubernetesCluster, proxy: FaultProxy, size: int
) -> None:
    said = line(name="ä") + b"\n" + line("DELETED", "two", 8) + line("BOOKMARK", "", 9)
    proxy.on(faults.stream(said, size=size), query=WATCH)
    with begun(watched, NAMESPACE) as found:
        told = list(found)
    assert [(event.type, event.version) for event in told] == [
        ("MODIFIED", "7"),
        ("DELETED", "8"),
        ("BOOKMARK", "9"),
    ]
    assert told[0].object == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ä", "namespace": "x", "resourceVersion": "7"},
    }
    assert told[2].object["metadata"] == {"resourceVersion": "9"}


def test_a_server_that_sends_whole_objects_is_understood(
    watched: KubernetesCluster, proxy: FaultProxy
) -> None:
    stored = configmap(NAMESPACE, "one", large="x" * 1000)
    stored["metadata"] |= {"resourceVersion": "7", "managedFields": [{"manager": "somebody"}]}
    said = json.dumps({"type": "ADDED", "object": stored}).encode() + b"\n"
    proxy.on(faults.stream(said), query=WATCH)
    with begun(watched, NAMESPACE) as found:
        told = next(found).object
    assert told.keys() == {"apiVersion", "kind", "metadata"}
    assert "managedFields" not in told["metadata"]


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (error_line(410, "Expired", "too old resource version: 1 (9)"), Expired, "too old"),
        (error_line(410, "Gone"), Expired, "Gone"),
        (
            error_line(504, "Timeout", "Too large resource version: 9, current: 1"),
            ClusterUnavailable,
            "Too large",
        ),
        (error_line(500, "InternalError", "etcdserver: no leader"), ClusterUnavailable, "etcd"),
        (error_line(429, "TooManyRequests"), TooManyRequests, "TooMany"),
        (b"<html>\n", BadAnswer, "not an event"),
        (b"[]\n", BadAnswer, "not an event"),
        (b'{"type": "ADDED"}\n', BadAnswer, "not an event"),
        (b'{"type": "ADDED", "object": {}}\n', BadAnswer, "says nothing"),
        (line("RENAMED"), BadAnswer, "says nothing"),
    ],
)
def test_a_line_that_is_no_event_raises_what_it_says(
    watched: KubernetesCluster,
    proxy: FaultProxy,
    said: bytes,
    error: type[ClusterError],
    words: str,
) -> None:
    proxy.on(faults.stream(line() + said + line()), query=WATCH)
    with begun(watched, NAMESPACE) as found:
        next(found)
        with pytest.raises(error, match=words) as caught:
            next(found)
        assert type(caught.value) is error
        # It is over then.
        assert next(found, None) is None


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (faults.status(410, reason="Expired"), Expired),
        (faults.status(403, reason="Forbidden"), Forbidden),
        (faults.status(401, reason="Unauthorized"), Unauthorized),
        (faults.status(429, headers={"Retry-After": "3"}), TooManyRequests),
        (faults.status(500), ClusterUnavailable),
        (faults.status(503), ClusterUnavailable),
        (faults.html(), BadAnswer),
        (faults.html(502), ClusterUnavailable),
        (faults.reset(), ClusterUnavailable),
        (
            faults.status(
                404,
                body=b"404 page not found",
                headers={"Content-Type": "text/plain"},
            ),
            UnknownKind,
        ),
    ],
)
def test_a_refusal_is_told_at_once_and_not_tried_again(
    watched: KubernetesCluster,
    proxy: FaultProxy,
    action: faults.Action,
    error: type[ClusterError],
) -> None:
    proxy.on(action, query=WATCH)
    with begun(watched, NAMESPACE) as found, pytest.raises(error) as caught:
        next(found)
    assert type(caught.value) is error
    if isinstance(caught.value, TooManyRequests):
        assert caught.value.retry_after == 3
    calls = [call for call in proxy.calls if WATCH in call.query]
    assert len(calls) == (2 if error is Unauthorized else 1)


def test_credentials_that_ran_out_are_renewed(
    watched: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    proxy.on(faults.status(401, reason="Unauthorized"), query=WATCH, times=1)
    with begun(watched, namespace) as found:
        watched.create(configmap(namespace, "one"))
        assert next(found).object["metadata"]["name"] == "one"


def test_a_line_has_a_largest_size(
    watched: KubernetesCluster,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "LONGEST", 1 << 20)
    proxy.on(faults.stream(b"x" * (3 << 20)), query=WATCH)
    with begun(watched, NAMESPACE) as found, pytest.raises(BadAnswer, match="more than 1 MiB"):
        next(found)


def test_a_watch_that_its_server_does_not_end_is_ended(
    watched: KubernetesCluster,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "LATE", 0.5)
    proxy.on(faults.stream(line() * 100, size=len(line()), pause=0.2, end="hang"), query=WATCH)
    with begun(watched, NAMESPACE, seconds=0.5) as found:
        assert 2 < len(names(found)) < 50


@pytest.mark.parametrize(
    "action", [faults.hang(), faults.stream(b"", end="hang"), faults.drip_headers()]
)
def test_closing_lets_go_of_a_server_that_does_not_answer(
    proxy: FaultProxy, action: faults.Action
) -> None:
    client = KubernetesCluster(kubeconfig=proxy.kubeconfig, timeout=60)
    proxy.on(action, query=WATCH)
    found = begun(client, NAMESPACE)
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(next(found, "the end")))
    thread.start()
    time.sleep(0.3)
    closed = time.monotonic()
    found.close()
    thread.join(20)
    assert told == ["the end"]
    assert time.monotonic() - closed < 1
    client.close()


@pytest.mark.parametrize("action", [faults.stream(line()), faults.status(410)])
def test_a_watch_that_is_over_leaves_its_connection_to_others(
    watched: KubernetesCluster, proxy: FaultProxy, action: faults.Action
) -> None:
    proxy.on(action, query=WATCH)
    with suppress(Expired), begun(watched, NAMESPACE) as found:
        list(found)
    before = set(proxy._sockets)
    watched.version(CONFIGMAP, namespace=NAMESPACE, labels=LABELS)
    assert set(proxy._sockets) == before


def test_a_guard_is_asked_once_the_connection_is_there(proxy: FaultProxy) -> None:
    """Before, an answer that was true when it was asked would be as old as connecting takes."""
    connected: list[bool] = []

    def refuse() -> None:
        connected.append(bool(eventually(lambda: proxy._sockets - before, 5)))
        raise NotLeading("somebody else leads")

    for first in (True, False):
        # Over a new connection, and over one that is kept.
        client = KubernetesCluster(kubeconfig=proxy.kubeconfig, timeout=20)
        before = set(proxy._sockets)
        if not first:
            assert client.get(Ref(SERVICE, NAMESPACE, "nothing")) is None
        proxy.forget()
        client.guard = refuse
        with pytest.raises(NotLeading):
            client.create(service(NAMESPACE))
        client.guard = None
        # Nothing of it was sent, so what comes next is understood.
        assert client.get(Ref(SERVICE, NAMESPACE, "user-alice")) is None
        assert [call.method for call in proxy.calls] == ["GET"]
        client.close()
    assert connected == [True, True]


def test_a_guard_that_says_no_in_the_middle_leaves_half_a_request(
    watched: KubernetesCluster, proxy: FaultProxy
) -> None:
    """As of a process that stood still between a write's head and its body: it is never done."""
    asked: list[None] = []

    def lead_once() -> None:
        asked.append(None)
        if len(asked) > 1:
            raise NotLeading("somebody else leads")

    watched.guard = lead_once
    with pytest.raises(NotLeading):
        watched.create(service(NAMESPACE))
    assert len(asked) == 2
    assert watched.get(Ref(SERVICE, NAMESPACE, "user-alice")) is None
    assert [call.method for call in proxy.calls] == ["GET"]


def test_a_guard_is_asked_before_each_try_of_a_write(
    watched: KubernetesCluster, proxy: FaultProxy
) -> None:
    def lead_once() -> None:
        if proxy.calls:
            raise NotLeading("somebody else leads")

    proxy.on(faults.status(503), method="POST")
    watched.guard = lead_once
    with pytest.raises(NotLeading):
        watched.create(service(NAMESPACE))
    # Reading is allowed.
    assert watched.get(Ref(SERVICE, NAMESPACE, "user-alice")) is None
    assert [call.method for call in proxy.calls] == ["POST", "GET"]
