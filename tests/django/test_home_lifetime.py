"""My pods says when a pod will stop, and offers what makes sense of one in its state."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import add_pod
from django_userpods.models import Installation, UserPod

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)

HOME = "/userpods/"


def known() -> None:
    Installation.objects.current()
    Installation.objects.update(known_since=timezone.now())


def test_without_a_limit_nothing_is_said_of_an_end(signed_in: Client) -> None:
    known()
    assert "Will stop" not in signed_in.get(HOME).text


def test_an_idle_pod_is_said_to_stop_unless_it_is_used(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_IDLE_TIMEOUT = 3600
    known()
    UserPod.objects.update(last_activity=timezone.now(), looked_at=None)
    text = signed_in.get(HOME).text
    assert "Unless it is used before then." in text
    at = re.search(r'Will stop</dt><dd><time datetime="([^"]+)"', text)
    assert at is not None
    left = datetime.datetime.fromisoformat(at[1]) - timezone.now()
    assert 3500 < left.total_seconds() <= 3600


def test_an_old_pod_is_said_to_stop_anyway(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_IDLE_TIMEOUT, settings.USERPODS_MAX_AGE = 3600, 60
    known()
    assert "It will have reached its maximum lifetime." in signed_in.get(HOME).text
    UserPod.objects.update(wanted="stopped", state="stopped")
    assert "Will stop" not in signed_in.get(HOME).text


def test_a_limit_that_cannot_be_used_takes_the_page_from_nobody(
    signed_in: Client, settings: Any
) -> None:
    settings.USERPODS_MAX_AGE = lambda pod: "a while"
    answer = signed_in.get(HOME)
    assert answer.status_code == 200
    assert "Will stop" not in answer.text


def test_an_end_of_each_costs_no_query_of_each(
    signed_in: Client, alice: Any, settings: Any
) -> None:
    settings.USERPODS_MAX_PODS = 20
    settings.USERPODS_IDLE_TIMEOUT = lambda pod: 60 if pod.owner.is_staff else 3600
    known()
    counts = []
    for number in (0, 5):
        for item in range(number):
            add_pod(alice, f"p{item}")
        UserPod.objects.update(state="running", looked_at=timezone.now())
        with CaptureQueriesContext(connection) as queries:
            text = signed_in.get(HOME).text
        counts.append(len(queries))
        assert text.count("Will stop") == number + 1
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("wanted", "state", "offered"),
    [
        ("running", "running", ["stop", "restart"]),
        ("running", "pending", ["stop", "restart"]),
        ("running", "starting", ["stop", "restart"]),
        ("running", "failed", ["stop", "restart"]),
        ("stopped", "stopped", ["start"]),
        ("stopped", "failed", ["start", "stop"]),
    ],
)
def test_what_is_offered_fits_the_state(
    signed_in: Client, wanted: str, state: str, offered: list[str]
) -> None:
    UserPod.objects.update(wanted=wanted, state=state, looked_at="2999-01-01T00:00Z")
    text = signed_in.get(HOME).text
    assert re.findall(r'name="do" value="(\w+)"', text) == offered
    assert (">Try again<" in text) == ((wanted, state) == ("running", "failed"))


def test_a_failed_pod_can_be_started_where_it_may_not_be_restarted(
    signed_in: Client, settings: Any
) -> None:
    settings.USERPODS_SELF_SERVICE = ["start"]
    UserPod.objects.update(state="failed", looked_at="2999-01-01T00:00Z")
    assert re.findall(r'name="do" value="(\w+)"', signed_in.get(HOME).text) == ["start"]
