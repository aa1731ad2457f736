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
from django_userpods.models import Transition, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import deployment, row
from tests.django.test_waiting_page import CRASHES, STATUS, fail, page

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

LATER = datetime.timedelta(minutes=1)
pytestmark = pytest.mark.django_db(transaction=True)


def starts(*seconds: int, ago: int = 60) -> None:
    """Have a pod that starts, whose steps were taken so many seconds after it was asked for."""
    since = timezone.now() - datetime.timedelta(seconds=ago)
    times = [
        (since + datetime.timedelta(seconds=number)).isoformat("T", "seconds") for number in seconds
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
        ((2,), 1, [2, 58]),
        ((2, 5), 2, [2, 3, 55]),
        ((2, 5, 40), 3, [2, 3, 35, 20]),
        # A pod of before, and clocks that differ a little.
        ((-3600, -3599, -3590), 0, [60]),
        ((-1, 5), 2, [0, 6, 55]),
    ],
)
def test_each_step_has_the_time_that_it_took(
    signed_in: Client, taken: tuple[int, ...], at: int, seconds: list[int]
) -> None:
    starts(*taken)
    found = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in found] == ["done"] * at + ["current"] + [""] * (3 - at)
    for step, expected in zip(found, [*seconds, *[None] * (3 - at)], strict=True):
        assert step["seconds"] == expected or abs(step["seconds"] - expected) <= 3
    text = page(signed_in)
    assert text.count("data-seconds=") == at + 1
    if taken == (2, 5, 40):
        assert ">0:35</span>" in text


def test_why_the_last_pod_had_to_go_does_not_hide_how_far_the_next_has_come(
    signed_in: Client,
) -> None:
    starts(2)
    UserPod.objects.update(message="Evicted: The node was low on resource: memory.")
    text = page(signed_in)
    assert "It had to leave the machine that it ran on." in text
    steps = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in steps] == ["done", "current", "", ""]


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
            "status": {},
        }
    )
    reconcile()
    assert row(alice).step_times == stored["metadata"]["creationTimestamp"]
    status = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in status] == ["done", "current", "", ""]

    with patch.object(timezone, "now", lambda: datetime.datetime.now(datetime.UTC) + LATER):
        lifecycle.restart(UserPod.objects.all())
        # The look that follows finds the same pod, which is not of this start.
        status = signed_in.get(STATUS).json()["steps"]
    assert [step["status"] for step in status] == ["current", "", "", ""]


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
    assert "It needs more memory than it may have." in told
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
