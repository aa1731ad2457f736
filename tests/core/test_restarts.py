"""How often containers of a pod were started again, out of what an API server says of its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.core import restarts

if TYPE_CHECKING:
    from collections.abc import Sequence

EARLY, LATE = "2026-01-21T09:00:00Z", "2026-01-21T12:00:00Z"
DB = ("StatefulSet", "user-alice--db")
OLD, NEW = {"pod-template-hash": "5d9f"}, {"pod-template-hash": "7c4b"}
REVISION = {"controller-revision-hash": "user-alice-6f"}


def pod(
    *counts: int,
    made: str = EARLY,
    name: str = "user-alice-1",
    init: Sequence[int] = (),
    **more: Any,
) -> dict[str, Any]:
    labels = {"a": "b", **more.pop("labels", {})}
    metadata = {"name": name, "creationTimestamp": made, "labels": labels}
    if more.pop("leaves", False):
        metadata["deletionTimestamp"] = LATE
    status = {
        "phase": "Running",
        "containerStatuses": [{"name": "app", "restartCount": count} for count in counts],
        "initContainerStatuses": [{"name": "first", "restartCount": count} for count in init],
        **more,
    }
    return {"metadata": metadata, "spec": {"containers": [{"name": "app"}]}, "status": status}


@pytest.mark.parametrize("read", [lambda found: found, restarts.in_brief], ids=["whole", "brief"])
@pytest.mark.parametrize(
    ("pods", "count"),
    [
        ([], 0),
        ([pod(3)], 3),
        ([pod(3, 2, init=[1])], 6),
        # Of an update, or of pods that were evicted, the present one counts alone.
        ([pod(7), pod(1, made=LATE)], 1),
        ([pod(7, made=LATE, leaves=True), pod(1)], 1),
        ([pod(7, made=LATE, phase="Failed"), pod(1)], 1),
        ([pod(7, made=LATE, phase="Failed")], 7),
        # All replicas are present, but for those that an update replaces, and that were evicted.
        ([pod(7, labels=OLD), pod(1, made=LATE, labels=NEW), pod(2, labels=NEW)], 3),
        ([pod(4, labels=REVISION), pod(1, made=LATE, labels=REVISION)], 5),
        ([pod(7, labels=NEW, phase="Failed"), pod(1, labels=NEW), pod(2, labels=NEW)], 3),
        ([pod(7, labels=NEW, leaves=True), pod(1, labels=NEW)], 1),
        ([pod(7, labels=NEW, phase="Failed"), pod(5, labels=NEW, phase="Failed")], 7),
        # Each workload has its own.
        ([pod(7), pod(2, name="user-alice--db-0")], 9),
        ([{"metadata": {"name": "user-alice-1"}, "spec": {}}], 0),
        ([pod(40_000)], 32_767),
    ],
)
def test_restarts_are_those_of_present_pods(read: Any, pods: list[Any], count: int) -> None:
    assert restarts.of_pods([read(one) for one in pods], [DB]) == count


def test_a_pod_in_brief_keeps_nothing_else() -> None:
    assert restarts.in_brief(pod(3, init=[1], labels=NEW)) == {
        "metadata": {"name": "user-alice-1", "creationTimestamp": EARLY, "labels": NEW},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"restartCount": 3}],
            "initContainerStatuses": [{"restartCount": 1}],
        },
    }
