"""Deployments that come to run where Kubernetes' own controllers do not: their status is written.

For tests and benchmarks to which an API server alone is enough.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testcluster.controlplane import ControlPlane

_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
_WRITERS = 8


@contextmanager
def ready(plane: ControlPlane, namespace: str, *, after: float = 0.0) -> Iterator[None]:
    """Say of each Deployment that is changed that it runs so, ``after`` some seconds."""
    work: SimpleQueue[tuple[float, dict[str, Any]] | None] = SimpleQueue()
    ending = threading.Event()
    context = ssl.create_default_context(cafile=plane.ca_file)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"

    def watch() -> None:
        request = urllib.request.Request(  # noqa: S310 - our own API server
            f"{plane.server}{path}?watch=1", headers={"Authorization": f"Bearer {plane.token}"}
        )
        while not ending.is_set():
            with (
                suppress(OSError),
                urllib.request.urlopen(request, context=context, timeout=5) as answer,  # noqa: S310 - as above
            ):
                for line in answer:
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        work.put((time.monotonic() + after, event["object"]))

    def write() -> None:
        server = plane.server.removeprefix("https://")
        connection = http.client.HTTPSConnection(server, context=context)
        headers = {
            "Authorization": f"Bearer {plane.token}",
            "Content-Type": "application/merge-patch+json",
        }
        while (due := work.get()) is not None:
            when, item = due
            generation = item["metadata"]["generation"]
            if (item.get("status") or {}).get("observedGeneration") == generation:
                continue
            time.sleep(max(0.0, when - time.monotonic()))
            status = {"observedGeneration": generation, **dict.fromkeys(_COUNTS, 1)}
            where = f"{path}/{item['metadata']['name']}/status"
            connection.request("PATCH", where, json.dumps({"status": status}), headers)
            connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=watch, daemon=True)]
    threads += [threading.Thread(target=write, daemon=True) for _ in range(_WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for _ in range(_WRITERS):
            work.put(None)
        for thread in threads:
            thread.join(30)
