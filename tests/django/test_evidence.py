"""Events and logs of a pod: who sees them and where, only when asked, whatever the cluster does."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import Client

from django_userpods import evidence
from django_userpods.clusters.base import PodEvent, PodLog
from django_userpods.core.objects import DEPLOYMENT, Ref
from django_userpods.exceptions import (
    ClusterConfigurationError,
    ClusterTimeout,
    ClusterUnavailable,
    Forbidden,
)
from tests.django.http_api import ask, bearer, signed_in
from tests.django.support import row, sync
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.exceptions import ClusterError
    from django_userpods.testing import MemoryCluster

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.django.admin_urls")]

OWN = "/userpods/pods/user-alice/logs/"
API = "pods/user-alice/logs/"
EVENT = PodEvent(
    datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "Warning",
    "BackOff",
    "Back-off <restarting> it",
    7,
    "Pod user-alice-1",
)
LOG = PodLog("user-alice-1", "app", "<script>alert(1)</script>\n\x1b[31mred\x1b[0m \x00& blue")
BEFORE = PodLog("user-alice-1", "app", "it was killed", is_previous=True, is_cut=True)


@pytest.fixture(autouse=True)
def alice(memory: MemoryCluster) -> Any:
    """Alice has a pod that wrote something; so has bob."""
    cache.clear()
    alice = UserFactory(username="alice")
    UserFactory(username="bob")
    sync()
    for name in ("user-alice", "user-bob"):
        memory.put_evidence(
            Ref(DEPLOYMENT, "default", name), EVENT, BEFORE, LOG._replace(container=name)
        )
    memory.calls.clear()
    return alice


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.USERPODS_SELF_SERVICE = ["logs"]


def staff(*codenames: str) -> Client:
    user = UserFactory(username=f"staff{len(codenames)}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return signed_in(user)


def admin_url(alice: Any, page: str = "logs") -> str:
    return f"/admin/userpods/userpod/{row(alice).pk}/{page}/"


def asked(memory: MemoryCluster) -> list[str]:
    return [call.verb for call in memory.calls if call.verb in ("events", "logs")]


def holds_all(text: str) -> None:
    assert "Back-off &lt;restarting&gt; it" in text
    assert "(7" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nred &amp; blue</pre>" in text
    assert "it was killed" in text
    assert "before its last restart" in text
    assert "Log of user-alice" in text
    assert "user-bob" not in text


# --- staff


def test_staff_with_the_permission_see_them_in_the_admin(alice: Any, memory: MemoryCluster) -> None:
    client = staff("view_userpod", "view_userpod_logs")
    page = client.get(admin_url(alice, "change")).text
    for what in ("events", "logs"):
        assert f'href="{admin_url(alice, what)}"' in page
        answer = client.get(admin_url(alice, what))
        assert f'href="{admin_url(alice, what)}" aria-current="page"' in answer.text
        assert "no-store" in answer["Cache-Control"]
        assert client.post(admin_url(alice, what)).status_code == 405
        assert asked(memory)[-1] == what, "and nothing else"
    assert asked(memory) == ["events", "logs"]
    holds_all(client.get(admin_url(alice, "events")).text + answer.text)


def test_the_logs_of_several_containers_are_named_first(alice: Any) -> None:
    page = staff("view_userpod", "view_userpod_logs").get(admin_url(alice)).text
    for number in (1, 2):
        assert f'href="#userpods-log-{number}"' in page
        assert f'id="userpods-log-{number}"' in page


@pytest.mark.parametrize("codenames", [["view_userpod"], ["view_userpod_logs"], []])
def test_staff_need_both_permissions(
    alice: Any, memory: MemoryCluster, codenames: list[str]
) -> None:
    client = staff(*codenames)
    for what in ("events", "logs"):
        assert client.get(admin_url(alice, what)).status_code == 403
        assert client.get(f"/admin/userpods/userpod/nobody/{what}/").status_code == 403
        assert admin_url(alice, what) not in client.get(admin_url(alice, "change")).text
    assert asked(memory) == []


def test_a_pod_that_is_not_there_is_not_found(alice: Any) -> None:
    client = staff("view_userpod", "view_userpod_logs")
    assert client.get("/admin/userpods/userpod/nobody/logs/").status_code == 404


# --- the owner


def test_a_user_sees_their_own_where_that_is_allowed(alice: Any, allowed: None) -> None:
    client = signed_in(alice)
    assert f'href="{OWN}"' in client.get("/userpods/").text
    answer = client.get(OWN)
    holds_all(answer.text)
    assert "no-store" in answer["Cache-Control"]
    assert client.post(OWN).status_code == 405


def test_unless_somebody_said_so_a_user_does_not(alice: Any, memory: MemoryCluster) -> None:
    client = signed_in(alice)
    assert OWN not in client.get("/userpods/").text
    assert client.get(OWN).status_code == 403
    ask(client, "get", API, status=403)
    assert asked(memory) == []


def test_those_of_others_are_not_found(alice: Any, memory: MemoryCluster, allowed: None) -> None:
    client = signed_in(alice)
    for url in ("/userpods/pods/user-bob/logs/", "/userpods/pods/nobody/logs/"):
        assert client.get(url).status_code == 404
    ask(client, "get", "pods/user-bob/logs/", status=404)
    ask(Client(), "get", "pods/user-bob/logs/", status=404, headers=bearer(alice))
    ask(Client(), "get", API, status=401)
    assert Client().get(OWN).status_code == 302
    assert asked(memory) == []


# --- the API


def test_the_api_has_the_same(alice: Any, allowed: None) -> None:
    for client, headers in ((signed_in(alice), {}), (Client(), bearer(alice))):
        found = ask(client, "get", API, headers=headers)
        assert found["problems"] == []
        (event,) = found["events"]
        assert event["at"] == "2026-01-02T03:04:05+00:00"
        assert (event["reason"], event["times"]) == ("BackOff", 7)
        before, now = found["logs"]
        assert (before["previous"], before["cut"], before["text"]) == (True, True, "it was killed")
        assert now["text"] == "<script>alert(1)</script>\nred & blue"
    ask(Client(), "get", API, status=403, headers=bearer(alice, "reach"))


def test_staff_have_everybodys_by_the_api_with_the_permissions(alice: Any) -> None:
    found = ask(staff("view_userpod", "view_userpod_logs"), "get", API)
    assert len(found["logs"]) == 2
    ask(staff("view_userpod"), "get", API, status=403)
    ask(staff(), "get", API, status=404)


# --- only when asked


def test_no_other_page_asks_the_cluster_for_them(
    alice: Any, memory: MemoryCluster, allowed: None
) -> None:
    everything = staff("view_userpod", "view_userpod_logs")
    mine = signed_in(alice)
    for client, url in (
        (everything, "/admin/userpods/userpod/"),
        (everything, admin_url(alice, "change")),
        (everything, admin_url(alice, "comparison")),
        (everything, admin_url(alice, "history")),
        (mine, "/userpods/"),
        (mine, "/userpods/api/pods/"),
        (mine, "/userpods/api/pods/user-alice/"),
        (mine, "/userpods/status/"),
    ):
        assert client.get(url).status_code == 200, url
    sync()
    assert asked(memory) == []
    mine.get(OWN)
    assert asked(memory) == ["events", "logs"]


# --- a cluster that does not show them


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Forbidden("secret words"), "The cluster does not let this site see all of it."),
        (ClusterTimeout("secret words"), "The cluster did not answer in time."),
        (ClusterUnavailable("secret words"), "The cluster cannot be reached at the moment."),
        (ClusterConfigurationError("secret words"), "The cluster could not show all of it."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_is_wrong_with_the_cluster_is_said_in_one_sentence(
    alice: Any, memory: MemoryCluster, allowed: None, error: ClusterError, sentence: str
) -> None:
    memory.fail_with(error, kind="Pod")
    for client, url in (
        (staff("view_userpod", "view_userpod_logs"), admin_url(alice)),
        (signed_in(alice), OWN),
    ):
        answer = client.get(url)
        assert answer.status_code == 200
        assert answer.text.count(sentence) == 1
        assert "secret words" not in answer.text
    assert ask(signed_in(alice), "get", API) == {"events": [], "logs": [], "problems": [sentence]}


def test_what_can_be_had_is_shown_beside_what_cannot(alice: Any, memory: MemoryCluster) -> None:
    memory.fail_with(Forbidden("no"), verb="logs")
    found = evidence.of(row(alice))
    assert (list(found.events), found.logs, len(found.problems)) == ([EVENT], [], 1)


def test_no_more_than_a_few_wait_for_the_cluster(alice: Any, memory: MemoryCluster) -> None:
    turns = [evidence._turns.acquire(blocking=False) for _ in range(2)]
    try:
        assert all(turns)
        assert evidence.of(row(alice)).problems == [
            "Too many people are asking at the moment. Try again soon."
        ]
        assert asked(memory) == []
    finally:
        for _ in turns:
            evidence._turns.release()
    assert evidence.of(row(alice)).problems == []


def test_a_pod_without_a_name_has_nothing(alice: Any, memory: MemoryCluster) -> None:
    pod = row(alice)
    pod.name = None
    assert evidence.of(pod) == evidence.Evidence()
    assert asked(memory) == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m \x1b[>4;2mkeys", "red keys"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://example.org/\x1b\\a link\x1b]8;;\x1b\\", "a link"),
        ("\x1b(Btext\x1b=\x1bM", "text=M"),
        ("\x1b]never ended\nnext", "]never ended\nnext"),
        ("a\tb\nc\x00\x9b", "a\tb\nc"),
        ("denied\u202e dewolla\u2066", "denied dewolla"),
    ],
)
def test_what_is_for_terminals_is_taken_out(written: str, shown: str) -> None:
    assert evidence.plain(written) == shown


def test_no_text_takes_long_to_be_made_plain() -> None:
    began = time.monotonic()
    for text in ("\x1b]" * 100_000, "\x1b[" + "0" * 500_000, "\x1b " * 100_000):
        evidence.plain(text)
    assert time.monotonic() - began < 5
