"""When a pod took its steps, by its own status; a row's text of that, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from django_userpods.core import step_times

MADE, PLACED, STARTED = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z"
LATER = "2026-01-01T00:00:12Z"


def pod(
    made: str = MADE, *, placed: bool = True, spec: dict[str, Any] | None = None, **container: Any
) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": str(placed), "lastTransitionTime": PLACED}
    return {
        "metadata": {"name": "p", "creationTimestamp": made},
        "spec": {"containers": [{"name": "app", **(spec or {})}]},
        "status": {
            "conditions": [condition],
            "containerStatuses": [container] if container else [],
        },
    }


RUNS: dict[str, Any] = {"state": {"running": {"startedAt": STARTED}}}
BACKS_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}
PROBED: dict[str, Any] = {"startupProbe": {"tcpSocket": {"port": 80}}}
HOOKED: dict[str, Any] = {"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}}


def two_containers(state: dict[str, Any]) -> dict[str, Any]:
    """One that runs, and another."""
    found = pod(**RUNS)
    found["spec"]["containers"].append({"name": "second"})
    found["status"]["containerStatuses"].append({"name": "second", "state": state})
    return found


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], None),
        ([{"metadata": {"name": "p"}}], None),
        ([{"metadata": {"name": "p", "creationTimestamp": MADE}}], MADE),
        ([pod(placed=False)], MADE),
        ([pod()], f"{MADE} {PLACED}"),
        ([pod(state={"waiting": {"reason": "ContainerCreating"}})], f"{MADE} {PLACED}"),
        ([pod(state={"waiting": {"reason": "ImagePullBackOff"}}, imageID="")], f"{MADE} {PLACED}"),
        # It was made, so its image is there; when, nobody says.
        ([pod(state={"waiting": {}}, imageID="sha256:1")], f"{MADE} {PLACED} -"),
        ([pod(**RUNS)], f"{MADE} {PLACED} {STARTED} {STARTED}"),
        ([pod(**RUNS, started=True)], f"{MADE} {PLACED} {STARTED} {STARTED}"),
        # What has to be through before it is started, and when it was, its status does not say.
        ([pod(**RUNS, started=False, spec=PROBED)], f"{MADE} {PLACED} {STARTED}"),
        ([pod(**RUNS, started=True, spec=PROBED)], f"{MADE} {PLACED} {STARTED} -"),
        ([pod(**RUNS, started=True, spec=HOOKED)], f"{MADE} {PLACED} {STARTED} -"),
        # One that was started anew began to run at a time that is not the pod's.
        ([pod(**RUNS, restartCount=1)], f"{MADE} {PLACED} - -"),
        ([pod(state=BACKS_OFF, lastState={"terminated": {}})], f"{MADE} {PLACED} -"),
        ([two_containers({"waiting": {"reason": "ContainerCreating"}})], f"{MADE} {PLACED}"),
        ([two_containers({"running": {"startedAt": LATER}})], f"{MADE} {PLACED} {LATER} {LATER}"),
        # The newest is the one that is on its way.
        ([pod("2025-01-01T00:00:00Z", **RUNS), pod(placed=False)], MADE),
    ],
)
def test_the_newest_pod_says_when_it_took_its_steps(
    found: list[dict[str, Any]], text: str | None
) -> None:
    assert step_times.of_pods(found) == text


def test_a_text_is_read_as_it_was_written() -> None:
    made, placed, unknown = step_times.read(f"{MADE} {PLACED} {step_times.UNKNOWN}")
    assert None not in (made, placed)
    assert unknown is None
    longest = " ".join([MADE.replace("Z", "+00:00")] * 4)
    assert len(longest) > 64
    assert len(longest) <= step_times.LONGEST >= len(step_times.OF_PROCESS)
    for odd in ("", "x", "2026-01-01", f"{MADE} x", "2026-01-01T00:00:00"):
        assert step_times.read(odd) == []
