"""What every cluster does to be watched: for the cluster in memory and a real API server."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from django_userpods.clusters.base import FIELD_MANAGER
from django_userpods.core.objects import LEASE, Kind, Ref
from django_userpods.exceptions import Conflict, NotFound, NotLeading
from tests.clusters.manifests import LABELS, configmap

if TYPE_CHECKING:
    from django_userpods.clusters.base import Cluster, Event, Watch
    from django_userpods.core.objects import Manifest

pytest_plugins = ["tests.testcluster.fixtures"]
CONFIGMAP = Kind("v1", "ConfigMap")


def labelled(namespace: str, name: str, **labels: str) -> Manifest:
    manifest = configmap(namespace, name)
    manifest["metadata"]["labels"] |= labels
    return manifest


def started(
    cluster: Cluster, namespace: str | None, *, since: str = "", seconds: float = 30.0
) -> Watch:
    labels = {**LABELS, "watched": "yes"}
    since = since or cluster.version(CONFIGMAP, namespace=namespace, labels=labels)
    return cluster.watch(
        CONFIGMAP, namespace=namespace, labels=labels, since=since, seconds=seconds
    )


def told(watch: Watch, count: int) -> list[tuple[str, str]]:
    """Return type and name of the next events that are no bookmarks."""
    events = (event for event in watch if event.type != "BOOKMARK")
    return [
        (event.type, event.object["metadata"]["name"]) for event in itertools.islice(events, count)
    ]


def test_a_watch_tells_what_happens_to_objects_with_the_labels(
    cluster_: Cluster, namespace_: str
) -> None:
    before = cluster_.create(labelled(namespace_, "before", watched="yes"))
    with started(cluster_, namespace_) as watch:
        cluster_.create(labelled(namespace_, "other", watched="no"))
        made = cluster_.create(labelled(namespace_, "made", watched="yes"))
        assert told(watch, 1) == [("ADDED", "made")]
        cluster_.replace(labelled(namespace_, "before", watched="yes", new="yes"))
        assert told(watch, 1) == [("MODIFIED", "before")]
        cluster_.delete(Ref.of(made), uid=made["metadata"]["uid"])
        assert told(watch, 1) == [("DELETED", "made")]
    assert before["metadata"]["uid"] != made["metadata"]["uid"]


def test_an_event_has_the_kind_and_the_metadata_alone(cluster_: Cluster, namespace_: str) -> None:
    with started(cluster_, namespace_) as watch:
        stored = cluster_.create(
            {**labelled(namespace_, "made", watched="yes"), "data": {"large": "value"}}
        )
        event = next(watch)

    assert event.object.keys() == {"apiVersion", "kind", "metadata"}
    assert Ref.of(event.object) == Ref(CONFIGMAP, namespace_, "made")
    assert event.object["metadata"]["labels"] == {**LABELS, "watched": "yes"}
    assert event.object["metadata"]["uid"] == stored["metadata"]["uid"]
    assert event.version == stored["metadata"]["resourceVersion"]
    assert "managedFields" not in event.object["metadata"]


def test_an_object_that_loses_a_label_is_deleted_to_a_watch(
    cluster_: Cluster, namespace_: str
) -> None:
    cluster_.create(labelled(namespace_, "given", watched="no"))
    cluster_.create(labelled(namespace_, "taken", watched="yes"))
    with started(cluster_, namespace_) as watch:
        cluster_.replace(labelled(namespace_, "taken", watched="no"))
        cluster_.replace(labelled(namespace_, "given", watched="yes"))

        assert told(watch, 2) == [("DELETED", "taken"), ("ADDED", "given")]


def test_a_watch_goes_on_from_the_version_of_any_event(cluster_: Cluster, namespace_: str) -> None:
    first: Event
    with started(cluster_, namespace_) as watch:
        made = cluster_.create(labelled(namespace_, "first", watched="yes"))
        first = next(watch)
    cluster_.create(labelled(namespace_, "second", watched="yes"))
    cluster_.delete(Ref.of(made), uid=made["metadata"]["uid"])

    with started(cluster_, namespace_, since=first.version) as watch:
        assert told(watch, 2) == [("ADDED", "second"), ("DELETED", "first")]


def test_a_watch_of_all_namespaces_tells_of_each(cluster_: Cluster, namespace_: str) -> None:
    with started(cluster_, None) as watch, started(cluster_, "kube-public") as elsewhere:
        cluster_.create(labelled(namespace_, "made", watched="yes"))
        there = cluster_.create(labelled("kube-public", f"made-{namespace_}", watched="yes"))
        try:
            assert told(watch, 2) == [("ADDED", "made"), ("ADDED", f"made-{namespace_}")]
            assert told(elsewhere, 1) == [("ADDED", f"made-{namespace_}")]
        finally:
            cluster_.delete(Ref.of(there), uid=there["metadata"]["uid"])


def test_a_watch_ends_when_its_time_is_over(cluster_: Cluster, namespace_: str) -> None:
    with started(cluster_, namespace_, seconds=1) as watch:
        cluster_.create(labelled(namespace_, "made", watched="yes"))
        assert [event.type for event in watch if event.type != "BOOKMARK"] == ["ADDED"]


def test_a_watch_that_another_thread_closes_ends_at_once(
    cluster_: Cluster, namespace_: str
) -> None:
    watch = started(cluster_, namespace_)
    ended: list[float] = []

    def wait() -> None:
        assert all(event.type == "BOOKMARK" for event in watch)
        ended.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    closed = time.monotonic()
    watch.close()
    watch.close()
    thread.join(20)

    assert ended[0] - closed < 2
    assert next(watch, None) is None


def test_replace_wants_the_version_that_was_read(cluster_: Cluster, namespace_: str) -> None:
    stale = cluster_.create(configmap(namespace_, "one", a="1", b="1"))
    changed = cluster_.replace({**stale, "data": {"a": "2"}})

    assert changed["data"] == {"a": "2"}
    assert changed["metadata"]["uid"] == stale["metadata"]["uid"]
    assert changed["metadata"]["resourceVersion"] != stale["metadata"]["resourceVersion"]
    assert cluster_.get(Ref.of(stale)) == changed
    with pytest.raises(Conflict):
        cluster_.replace({**stale, "data": {"a": "3"}})
    assert cluster_.get(Ref.of(stale)) == changed


def test_replace_makes_nothing_new(cluster_: Cluster, namespace_: str) -> None:
    with pytest.raises(NotFound):
        cluster_.replace(configmap(namespace_, "missing"))
    assert cluster_.get(Ref(CONFIGMAP, namespace_, "missing")) is None


def test_no_write_passes_a_guard_that_says_no(cluster_: Cluster, namespace_: str) -> None:
    stored = cluster_.create(configmap(namespace_, "one", a="1"))
    ref = Ref.of(stored)

    def refuse() -> None:
        raise NotLeading("somebody else leads")

    cluster_.guard = refuse
    try:
        for write in (
            lambda: cluster_.create(configmap(namespace_, "two")),
            lambda: cluster_.apply(configmap(namespace_, "one", a="2")),
            lambda: cluster_.replace({**stored, "data": {"a": "3"}}),
            lambda: cluster_.delete(ref, uid=stored["metadata"]["uid"]),
        ):
            with pytest.raises(NotLeading, match="somebody else leads"):
                write()
        assert list(cluster_.list(CONFIGMAP, namespace=namespace_, labels=LABELS)) == [stored]
        lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "spec": {}}
        lease["metadata"] = {"name": FIELD_MANAGER, "namespace": namespace_}
        made = cluster_.create(lease)
        renewed = cluster_.replace({**made, "spec": {"holderIdentity": "me"}})
        assert renewed["spec"]["holderIdentity"] == "me"
    finally:
        cluster_.guard = None
