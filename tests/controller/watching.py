"""A watcher at work, for tests, and what it told."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django_userpods.controller.watcher import Watcher
from django_userpods.core import naming
from django_userpods.core.objects import Kind
from tests.clusters.manifests import configmap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Manifest

CONFIGMAP = Kind("v1", "ConfigMap")
LABELS = {naming.INSTALLATION_LABEL: "one"}


class Told:
    """What a watcher has told, in this order; "*" is everything."""

    def __init__(self) -> None:
        self.pods: list[str] = []
        self.restarts: list[str] = []

    def notice(self, pod: str) -> None:
        self.pods.append(pod)

    def look_at_everything(self) -> None:
        self.pods.append("*")

    def watch_restarted(self, kind: str, reason: str) -> None:
        self.restarts.append(reason)


def until(check: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


@contextmanager
def watching(
    cluster: Cluster, told: Told, namespace: str | None = "default", kind: Kind = CONFIGMAP
) -> Iterator[Watcher]:
    """A watcher at work; afterwards it has ended within a second."""
    stop = threading.Event()
    watcher = Watcher(
        cluster,
        kind,
        namespace=namespace,
        labels=LABELS,
        notice=told.notice,
        look_at_everything=told.look_at_everything,
        stop=stop,
        metrics=told,
    )
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        yield watcher
    finally:
        stop.set()
        began = time.monotonic()
        thread.join(20)
        assert time.monotonic() - began < 1


def manifest(name: str, pod: str = "", namespace: str = "default", **data: str) -> Manifest:
    made = configmap(namespace, name, **data)
    made["metadata"]["labels"] |= LABELS | ({naming.POD_LABEL: pod} if pod else {})
    return made
