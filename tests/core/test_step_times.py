"""When a pod took its steps, by its own status; a row's text of that, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from django_userpods.core import step_times

MADE, PLACED, STARTED = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z"


def pod(made: str = MADE, *, placed: bool = True, **container: Any) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": str(placed), "lastTransitionTime": PLACED}
    return {
        "metadata": {"name": "p", "creationTimestamp": made},
        "spec": {"containers": [{"name": "app"}]},
        "status": {
            "conditions": [condition],
            "containerStatuses": [container] if container else [],
        },
    }


RUNS: dict[str, Any] = {"state": {"running": {"startedAt": STARTED}}}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], None),
        ([{"metadata": {"name": "p"}}], None),
        ([{"metadata": {"name": "p", "creationTimestamp": MADE}}], MADE),
        ([pod(placed=False)], MADE),
        ([pod()], f"{MADE} {PLACED}"),
        ([pod(state={"waiting": {"reason": "ContainerCreating"}})], f"{MADE} {PLACED}"),
        ([pod(**RUNS)], f"{MADE} {PLACED} {STARTED}"),
        ([pod(**RUNS, restartCount=1)], f"{MADE} {PLACED}"),
        # The newest is the one that is on its way.
        ([pod("2025-01-01T00:00:00Z", **RUNS), pod(placed=False)], MADE),
    ],
)
def test_the_newest_pod_says_when_it_took_its_steps(
    found: list[dict[str, Any]], text: str | None
) -> None:
    assert step_times.of_pods(found) == text


def test_a_text_is_read_as_it_was_written() -> None:
    assert len(step_times.read(f"{MADE} {PLACED} {STARTED}")) == 3
    for odd in ("", "x", "2026-01-01", f"{MADE} x", "2026-01-01T00:00:00"):
        assert step_times.read(odd) == []
