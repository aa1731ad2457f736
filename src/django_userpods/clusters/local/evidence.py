"""What is known of the processes that stand for pods, for people to read."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from django_userpods.clusters.base import PodEvent, PodLog
from django_userpods.exceptions import ClusterUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django_userpods.clusters.local.paths import StateDir
    from django_userpods.core.objects import Manifest

#: The condition of a Deployment that says how it is.
_AVAILABLE = "Available"


def events(deployments: Iterable[Manifest]) -> list[PodEvent]:
    """Return how each Deployment is, as an event."""
    return [
        PodEvent(
            at=datetime.datetime.fromisoformat(condition["lastTransitionTime"]),
            type="Normal" if condition["status"] == "True" else "Warning",
            reason=condition["reason"],
            message=condition["message"],
            about=f"Deployment {deployment['metadata']['name']}",
        )
        for deployment in deployments
        for condition in (deployment.get("status") or {}).get("conditions", ())
        if condition["type"] == _AVAILABLE
    ]


def logs(state: StateDir, deployment: Manifest, *, lines: int, size: int) -> Iterator[PodLog]:
    """Yield the end of a Deployment's log, if anything was written."""
    metadata = deployment["metadata"]
    path = state.log(namespace=metadata["namespace"], name=metadata["name"])
    try:
        with path.open("rb") as file:
            start = max(0, path.stat().st_size - size)
            file.seek(start)
            every = file.read(size).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        message = f"the log of {metadata['name']} cannot be read: {error.strerror}"
        raise ClusterUnavailable(message) from error
    if every:
        container = deployment["spec"]["template"]["spec"]["containers"][0]["name"]
        is_cut = start > 0 or len(every) > lines
        yield PodLog(metadata["name"], container, "\n".join(every[-lines:]), is_cut=is_cut)
