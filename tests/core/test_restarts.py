"""How often containers of a pod were started again, out of what an API server says of its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.core import restarts

if TYPE_CHECKING:
    from collections.abc import Sequence

EARLY, LATE = "2026-01-21T09:00:00Z", "2026-01-21T12:00:00Z"
DB = ("StatefulSet", "user-alice--db")


def pod(
    *counts: int,
    made: str = EARLY,
    name: str = "user-alice-1",
    init: Sequence[int] = (),
    **more: Any,
) -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": made, "labels": {"a": "b"}}
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
        # Each workload has one.
        ([pod(7), pod(2, name="user-alice--db-0")], 9),
        ([{"metadata": {"name": "user-alice-1"}, "spec": {}}], 0),
        ([pod(40_000)], 32_767),
    ],
)
def test_restarts_are_those_of_present_pods(read: Any, pods: list[Any], count: int) -> None:
    assert restarts.of_pods([read(one) for one in pods], [DB]) == count


def test_a_pod_in_brief_keeps_nothing_else() -> None:
    assert restarts.in_brief(pod(3, init=[1])) == {
        "metadata": {"name": "user-alice-1", "creationTimestamp": EARLY},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"restartCount": 3}],
            "initContainerStatuses": [{"restartCount": 1}],
        },
    }
