"""How far a pod has come and what happened to it, on the waiting page: times, history, events."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import lifecycle
from django_userpods.core import step_times
from django_userpods.core.objects import POD, Ref
from django_userpods.models import Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import deployment, row
from tests.django.test_waiting_page import CRASHES, STATUS, fail, page

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

LATER = datetime.timedelta(minutes=1)
pytestmark = pytest.mark.django_db(transaction=True)


def starts(*seconds: int | None, ago: int = 60) -> None:
    """Have a pod that starts, whose steps were taken so many seconds after it was asked for."""
    since = timezone.now() - datetime.timedelta(seconds=ago)
    times = [
        "-"
        if number is None
        else (since + datetime.timedelta(seconds=number)).isoformat("T", "seconds")
        for number in seconds
    ]
    UserPod.objects.update(
        state="starting",
        message="",
        looked_at=timezone.now(),
        started_at=since.replace(microsecond=0),
        step_times=" ".join(times),
    )


@pytest.mark.parametrize(
    ("taken", "at", "seconds"),
    [
        ((2,), 0, [60]),
        ((2, 5), 1, [5, 55]),
        ((2, 5, 40), 2, [5, 35, 20]),
        ((2, 5, 40, 40), 3, [5, 35, 0, 20]),
        # What nobody says is not made up.
        ((2, 5, 40, None), 3, [5, 35, None, None]),
        ((2, 5, None), 2, [5, None, None]),
        ((None, None, None), 2, [None, None, None]),
        # A pod of before, and clocks that differ a little.
        ((-3600, -3599, -3590), 0, [60]),
        ((-1, 5), 1, [5, 55]),
    ],
)
def test_each_step_has_the_time_that_it_took(
    signed_in: Client, taken: tuple[int | None, ...], at: int, seconds: list[int | None]
) -> None:
    starts(*taken)
    found = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in found] == ["done"] * at + ["current"] + [""] * (3 - at)
    for step, expected in zip(found, [*seconds, *[None] * (3 - at)], strict=True):
        assert (step["seconds"] is None) == (expected is None)
        assert expected is None or abs(step["seconds"] - expected) <= 3
    text = page(signed_in)
    assert text.count("data-seconds=") == len([one for one in seconds if one is not None])
    if taken == (2, 5, 40):
        assert ">0:35</span>" in text


def test_why_the_last_pod_had_to_go_does_not_hide_how_far_the_next_has_come(
    signed_in: Client,
) -> None:
    starts(2, 3)
    UserPod.objects.update(message="Evicted: The node was low on resource: memory.")
    text = page(signed_in)
    assert "It had to leave the machine that it ran on." in text
    steps = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in steps] == ["done", "current", "", ""]


def test_what_took_too_long_did_so_at_the_step_that_it_has_come_to(signed_in: Client) -> None:
    starts(2, 5)
    UserPod.objects.update(state="failed", message="ProgressDeadlineExceeded: timed out")
    steps = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in steps] == ["done", "failed", "", ""]
    assert [step["seconds"] for step in steps] == [5, None, None, None]


def test_a_look_at_the_cluster_notes_the_steps_and_a_request_forgets_them(
    signed_in: Client, alice: Any, memory: MemoryCluster
) -> None:
    deployment(memory, "user-alice")["status"]["readyReplicas"] = 0
    stored = memory.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "user-alice-1",
                "namespace": "default",
                "labels": deployment(memory, "user-alice")["metadata"]["labels"],
            },
            "spec": {"containers": [{"name": "app", "startupProbe": {"tcpSocket": {"port": 80}}}]},
            "status": {},
        }
    )
    pod = memory.objects[Ref(POD, "default", "user-alice-1")]
    made = str(stored["metadata"]["creationTimestamp"])
    placed = {"type": "PodScheduled", "status": "True", "lastTransitionTime": made}
    waits: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
    runs = {"running": {"startedAt": made}}
    for conditions, containers, kept, at in (
        ([], [], made, 0),
        ([placed], [], f"{made} {made}", 1),
        ([placed], [{"state": waits, "imageID": ""}], f"{made} {made}", 1),
        ([placed], [{"state": runs, "started": False}], f"{made} {made} {made}", 2),
        ([placed], [{"state": runs, "started": True}], f"{made} {made} {made} -", 3),
    ):
        pod["status"] = {"conditions": conditions, "containerStatuses": containers}
        reconcile()
        assert row(alice).step_times == kept
        status = signed_in.get(STATUS).json()["steps"]
        looks = [step["status"] for step in status]
        assert looks == ["done"] * at + ["current"] + [""] * (3 - at)
        assert status[3]["seconds"] is None

    with patch.object(timezone, "now", lambda: datetime.datetime.now(datetime.UTC) + LATER):
        lifecycle.restart(UserPod.objects.all())
        # The look that follows finds the same pod, which is not of this start.
        status = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in status] == ["current", "", "", ""]


def test_a_cluster_without_pods_says_otherwise_how_far_it_has_come(
    signed_in: Client, alice: Any, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(memory), "step_times", lambda *_: step_times.OF_PROCESS)
    reconcile()
    assert row(alice).step_times == "", "nobody asks of one that is up"
    deployment(memory, "user-alice")["status"]["readyReplicas"] = 0
    reconcile()
    assert row(alice).step_times == step_times.OF_PROCESS
    steps = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in steps] == ["done", "done", "current", ""]


def test_what_happened_is_told_on_a_failure_in_words_for_its_user(
    signed_in: Client, alice: Any
) -> None:
    lifecycle.stop(UserPod.objects.all(), actor="boss")
    lifecycle.start(UserPod.objects.all(), actor="boss")
    Transition.objects.create(
        pod=row(alice), before="starting", after="failed", message="OOMKilled at /var/lib/pods"
    )
    assert "What happened" not in page(signed_in)
    fail(CRASHES)
    text = page(signed_in)
    told = text[text.index("What happened") : text.index("</ol>", text.index("What happened"))]
    assert told.index("Asked to stop") < told.index("Asked to start") < told.index("failed")
    assert "It needs more memory than it is allowed." in told
    assert "/var/lib" not in text
    assert "boss" not in told


def test_the_clusters_events_are_shown_where_the_settings_say_so_alone(
    signed_in: Client, settings: Any
) -> None:
    fail(CRASHES)
    assert "data-events" not in page(signed_in)
    assert signed_in.get("/userpods/events/").status_code == 403
    settings.USERPODS_SELF_SERVICE = ["logs"]
    assert 'data-events="/userpods/events/"' in page(signed_in)
    answer = signed_in.get("/userpods/events/")
    assert answer.status_code == 200
    assert "Events" in answer.text
    assert "Logs" not in answer.text
    assert Client().get("/userpods/events/").status_code == 401


def test_the_page_asks_the_same_queries_whatever_has_happened(
    signed_in: Client, alice: Any
) -> None:
    counts = []
    for number in (0, 30):
        for _ in range(number):
            Transition.objects.create(pod=row(alice), before="starting", after="failed")
        fail(CRASHES)
        with CaptureQueriesContext(connection) as queries:
            page(signed_in)
        counts.append(len(queries))
    assert counts[0] == counts[1]
