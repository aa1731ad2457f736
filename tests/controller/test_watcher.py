"""What a watcher makes of what the cluster says; the cluster in memory, and one that plays."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from django_userpods.clusters.base import Event, Watch
from django_userpods.controller import watcher as module
from django_userpods.controller.watcher import Watcher
from django_userpods.core import naming
from django_userpods.core.objects import Kind, Ref
from django_userpods.exceptions import (
    ClusterUnavailable,
    Expired,
    Forbidden,
    TooManyRequests,
    UnknownKind,
)
from django_userpods.testing import MemoryCluster
from tests.controller.watching import CONFIGMAP, LABELS, Told, manifest, until, watching


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(module, "LONGEST_SILENT_PAUSE", 0.02)


# --- with the cluster in memory


def test_everything_is_looked_at_and_then_each_pod_that_changes(memory: MemoryCluster) -> None:
    memory.create(manifest("before", "1"))
    told = Told()
    with watching(memory, told) as watcher:
        until(lambda: watcher.is_watching)
        made = memory.create(manifest("made", "2"))
        memory.apply(manifest("before", "1", more="yes"))
        memory.delete(Ref.of(made), uid=made["metadata"]["uid"])
        until(lambda: len(told.pods) == 4)
        assert time.monotonic() - watcher.heard < 20

    assert told.pods == ["*", "2", "1", "2"]
    assert told.restarts == []


def test_what_is_not_of_this_installation_is_not_told(memory: MemoryCluster) -> None:
    told = Told()
    with watching(memory, told) as watcher:
        until(lambda: watcher.is_watching)
        foreign = manifest("foreign", "2")
        foreign["metadata"]["labels"][naming.INSTALLATION_LABEL] = "another"
        memory.create(foreign)
        memory.create(manifest("ours", "1"))
        until(lambda: len(told.pods) == 2)
    assert told.pods == ["*", "1"]


def test_an_object_that_loses_the_label_of_its_pod_has_everything_looked_at(
    memory: MemoryCluster,
) -> None:
    ref = Ref.of(memory.create(manifest("one", "1")))
    told = Told()
    with watching(memory, told) as watcher:
        until(lambda: watcher.is_watching)
        del memory.objects[ref]["metadata"]["labels"][naming.POD_LABEL]
        until(lambda: told.pods == ["*", "*"])
        # Not again and again, for it may be somebody's own.
        memory.objects[ref]["data"] = {"more": "yes"}
        memory.create(manifest("two", "2"))
        until(lambda: told.pods[2:] == ["2"])


def test_a_cluster_that_was_down_is_watched_again_and_nothing_was_missed(
    memory: MemoryCluster,
) -> None:
    told = Told()
    with watching(memory, told) as watcher:
        until(lambda: watcher.is_watching)
        memory.fail_with(ClusterUnavailable("down"), verb="watch")
        memory.fail_with(ClusterUnavailable("down"), verb="version")
        until(lambda: len(told.restarts) > 2)
        assert not watcher.is_watching
        memory.create(manifest("made", "1"))
        memory.heal()
        until(lambda: "1" in told.pods)

    assert told.pods == ["*", "1"]
    assert set(told.restarts) == {"ClusterUnavailable"}


def test_after_a_version_that_has_expired_everything_is_looked_at(memory: MemoryCluster) -> None:
    told = Told()
    with watching(memory, told) as watcher:
        until(lambda: watcher.is_watching)
        memory.fail_with(Expired("too old", status=410), verb="watch")
        until(lambda: "Expired" in told.restarts)
        memory.heal()
        until(lambda: watcher.is_watching)
        memory.create(manifest("made", "1"))
        until(lambda: "1" in told.pods)
    assert told.pods[:2] == ["*", "*"]
    assert told.pods.count("*") == 1 + len(told.restarts)


@pytest.mark.parametrize(
    "error",
    [
        UnknownKind("no such kind", status=404),
        Forbidden("not allowed", status=403),
        TooManyRequests("slower", retry_after=0.0),
        ValueError("a bug"),
    ],
)
def test_what_stands_against_a_watch_is_tried_again_until_it_does_not(
    memory: MemoryCluster, error: Any
) -> None:
    told = Told()
    memory.fail_with(error, verb="version")
    with watching(memory, told) as watcher:
        until(lambda: len(told.restarts) > 2)
        # What does not exist cannot be missed, the rest can.
        assert watcher.is_watching == isinstance(error, UnknownKind)
        assert told.pods == []
        memory.heal()
        until(lambda: told.pods == ["*"])
        until(lambda: watcher.is_watching)
        memory.create(manifest("made", "1"))
        until(lambda: told.pods == ["*", "1"])
    assert set(told.restarts) == {type(error).__name__}


# --- with a cluster that plays


class Played(Watch):
    """Tells some events, and then waits to be closed, ends or raises."""

    def __init__(self, events: list[Event], then: str | Exception) -> None:
        self._events, self._then = iter(events), then
        self._closed = threading.Event()

    def __next__(self) -> Event:
        if (event := next(self._events, None)) is not None:
            return event
        if isinstance(self._then, Exception):
            raise self._then
        if self._then == "wait":
            assert self._closed.wait(20)
        raise StopIteration

    def close(self) -> None:
        self._closed.set()


class Player(MemoryCluster):
    """Gives out these versions and watches, the last one again and again."""

    def __init__(self, versions: list[str], watches: list[Played]) -> None:
        super().__init__(name="player")
        self.versions, self.played = versions, watches
        self.sinces: list[str] = []
        self.seconds: list[float] = []

    def version(self, kind: Kind, **kwargs: Any) -> str:
        return self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]

    def watch(self, kind: Kind, *, since: str, seconds: float = 0, **kwargs: Any) -> Watch:
        self.sinces.append(since)
        self.seconds.append(seconds)
        return self.played.pop(0) if len(self.played) > 1 else self.played[0]


def event(version: int, pod: str, type_: str = "MODIFIED") -> Event:
    labels = {naming.POD_LABEL: pod} if pod else {}
    return Event(type_, {"metadata": {"resourceVersion": str(version), "labels": labels}})


WAIT = "wait"


def test_a_watch_that_ends_goes_on_where_it_was() -> None:
    told = Told()
    player = Player(
        ["10", "20", "21"],
        [
            Played([event(11, "1"), event(15, "", "BOOKMARK")], "end"),
            Played([event(21, "2")], ClusterUnavailable("cut")),
            Played([], WAIT),
        ],
    )
    with watching(player, told):
        until(lambda: len(player.sinces) == 3)
    assert player.sinces == ["10", "15", "21"]
    assert told.pods == ["*", "1", "2"]
    assert told.restarts == ["ClusterUnavailable"]
    assert all(300 <= seconds <= 600 for seconds in player.seconds)


def test_a_cluster_that_was_set_back_has_everything_looked_at() -> None:
    told = Told()
    player = Player(
        ["900", "850"],
        [Played([event(901, "1")], ClusterUnavailable("restored")), Played([], WAIT)],
    )
    with watching(player, told):
        until(lambda: len(player.sinces) == 2)
    assert player.sinces == ["900", "850"]
    assert told.pods == ["*", "1", "*"]
    assert told.restarts == ["ClusterUnavailable", "SetBack"]


def test_an_event_from_before_is_a_reason_to_ask_for_the_version() -> None:
    told = Told()
    player = Player(
        ["900", "850"],
        [Played([event(850, "", "BOOKMARK"), event(860, "1")], WAIT), Played([], WAIT)],
    )
    with watching(player, told):
        until(lambda: len(player.sinces) == 2)
    assert told.pods == ["*", "*"]


def test_answers_out_of_order_set_nothing_back() -> None:
    told = Told()
    player = Player(
        ["100", "130"],
        [Played([event(120, "1"), event(110, "2")], WAIT), Played([event(121, "3")], WAIT)],
    )
    with watching(player, told):
        until(lambda: "3" in told.pods)
    assert player.sinces == ["100", "120"]
    # The pod of the late answer is told of by the watch that begins after the newest.
    assert told.pods[:2] == ["*", "1"]


def test_versions_that_are_no_numbers_are_not_compared() -> None:
    told = Told()
    player = Player(["b", "a"], [Played([event(1, "1")], "end"), Played([], WAIT)])
    with watching(player, told):
        until(lambda: len(player.sinces) == 2)
    assert player.sinces == ["b", "1"]
    assert told.pods == ["*", "1"]


def test_tries_come_slower_and_slower_up_to_what_the_trouble_deserves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.8)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 30.0)
    monkeypatch.setattr(module, "LONGEST_SILENT_PAUSE", 5.0)
    found: dict[str, list[float]] = {}
    errors = {
        "refused": ClusterUnavailable("refused"),
        "forbidden": Forbidden("no", status=403),
        "busy": TooManyRequests("slower", retry_after=40.0),
        "for a day": TooManyRequests("slower", retry_after=86400.0),
    }
    for name, error in errors.items():
        stop = Stop(tries=40)
        cluster = MemoryCluster(name=name)
        cluster.fail_with(error)
        Watcher(
            cluster,
            CONFIGMAP,
            namespace=None,
            labels=LABELS,
            notice=Told().notice,
            look_at_everything=Told().look_at_everything,
            stop=stop,
            metrics=Told(),
        ).run()
        found[name] = stop.pauses
        MemoryCluster.reset(name)

    assert all(0.8 <= pauses[0] <= 1.2 for pauses in (found["refused"], found["forbidden"]))
    for name, longest in (("refused", 5.0), ("forbidden", 30.0)):
        late = found[name][9:]
        assert all(longest / 1.5 <= pause <= longest for pause in late)
        # Not in step with others, however long it lasts.
        assert len(set(late)) > 20
    # What the server asks for, and a little more.
    for name, wish in (("busy", 40.0), ("for a day", 120.0)):
        assert all(wish <= pause <= wish * 1.1 for pause in found[name])
        assert len(set(found[name])) > 20
    assert found["refused"][:3] != found["forbidden"][:3]


class Stop(threading.Event):
    """Notes how long it is waited for, waits not at all, and is set after so many tries."""

    def __init__(self, *, tries: int) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self._tries = tries
        self._really = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return self._really.wait(20)
        self.pauses.append(timeout)
        if len(self.pauses) == self._tries:
            self.set()
            self._really.set()
        return self.is_set()
