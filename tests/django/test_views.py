"""The waiting page, the status, the wake: what a person sees whose pod is not up."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F
from django.test import Client
from django.urls import reverse

from django_userpods import tasks
from django_userpods.access.authenticators import SessionAuthenticator
from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import bulk, deployment, row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

# With commits, after which what is asked for is done.
pytestmark = pytest.mark.django_db(transaction=True)

BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}


def stop() -> None:
    UserPod.objects.update(wanted=UserPod.Wanted.STOPPED)
    reconcile()


def a_moment_ago() -> None:
    UserPod.objects.update(looked_at=F("looked_at") - datetime.timedelta(seconds=5))


def test_pages_have_their_documented_urls() -> None:
    assert reverse("userpods:whoami") == "/whoami"
    assert reverse("userpods:waiting") == "/userpods/waiting/"
    assert reverse("userpods:status") == "/userpods/status/"
    assert reverse("userpods:wake") == "/userpods/wake/"


def test_a_person_who_comes_by_wakes_a_stopped_pod(
    signed_in: Client, alice: Any, memory: MemoryCluster
) -> None:
    stop()
    response = signed_in.get("/userpods/waiting/", headers=BROWSER)
    assert response.status_code == 503
    assert response["Retry-After"] == "3"
    assert response["Content-Type"].startswith("text/html")
    assert "no-store" in response["Cache-Control"]
    assert row(alice).wanted == UserPod.Wanted.RUNNING
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/json"},
        {"Accept": "*/*"},
        {},
        {"Accept": "text/html", "Sec-Fetch-Mode": "cors"},
        {"Accept": "text/html", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_a_script_gets_json_and_wakes_nothing(
    signed_in: Client, alice: Any, headers: dict[str, str]
) -> None:
    stop()
    response = signed_in.get("/userpods/waiting/", headers=headers)
    assert response.status_code == 503
    assert response["Retry-After"] == "3"
    assert response.json() == {"state": "stopped", "message": "", "service": "user-alice"}
    assert row(alice).wanted == UserPod.Wanted.STOPPED


def test_what_is_wrong_is_said_and_escaped(signed_in: Client, alice: Any) -> None:
    alice.is_staff = True
    alice.save()
    UserPod.objects.update(state="failed", message="ImagePullBackOff: <script>alert(1)</script>")
    text = signed_in.get("/userpods/waiting/", headers=BROWSER).content.decode()
    assert "ImagePullBackOff" in text
    assert "<script>alert" not in text


def test_status_tells_state_and_service(signed_in: Client, memory: MemoryCluster) -> None:
    response = signed_in.get("/userpods/status/")
    assert response.status_code == 200
    assert response.json() == {"state": "running", "message": "", "service": "user-alice"}
    assert not memory.calls


def test_the_status_of_a_pod_that_starts_is_looked_at_now_and_then(
    signed_in: Client, memory: MemoryCluster
) -> None:
    UserPod.objects.update(state="starting")
    a_moment_ago()
    assert signed_in.get("/userpods/status/").json()["state"] == "running"
    UserPod.objects.update(state="starting")
    calls = len(memory.calls)
    assert calls > 0
    # A page that polls does not ask the cluster each time.
    for _ in range(5):
        signed_in.get("/userpods/status/")
    assert len(memory.calls) == calls


def test_a_look_that_finds_nothing_new_leaves_the_time_of_the_last_change(
    signed_in: Client, alice: Any, memory: MemoryCluster
) -> None:
    deployment(memory, "user-alice")["status"]["readyReplicas"] = 0
    reconcile()
    before = row(alice)
    a_moment_ago()
    memory.calls.clear()
    assert signed_in.get("/userpods/status/").json()["state"] == "starting"
    assert memory.calls
    assert row(alice).updated_at == before.updated_at


def test_a_wake_starts_a_stopped_pod(signed_in: Client, alice: Any, memory: MemoryCluster) -> None:
    stop()
    response = signed_in.post("/userpods/wake/")
    assert response.status_code == 202
    assert response.json()["service"] == "user-alice"
    assert row(alice).wanted == UserPod.Wanted.RUNNING
    assert deployment(memory, "user-alice")["spec"]["replicas"] == 1


@pytest.mark.parametrize("path", ["/userpods/wake/", "/userpods/waiting/"])
def test_a_wake_is_asked_for_after_the_commit(
    signed_in: Client, alice: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    stop()
    asked: list[bool] = []

    def ask(pods: list[str]) -> tasks.Asked:
        asked.append(connection.in_atomic_block)
        return tasks.Asked(enqueued=len(pods))

    monkeypatch.setattr(tasks, "ask_for_pods", ask)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    is_wake = path.endswith("wake/")
    method = signed_in.post if is_wake else signed_in.get
    assert method(path, headers=BROWSER).status_code == (303 if is_wake else 503)
    assert asked == [False]


def test_wake_needs_no_csrf_token_and_only_post(alice: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/userpods/wake/").status_code == 202
    assert client.get("/userpods/wake/").status_code == 405


def test_a_wake_is_kept_while_the_cluster_is_down(
    signed_in: Client, alice: Any, memory: MemoryCluster
) -> None:
    stop()
    memory.fail_with(ClusterUnavailable("no route to host"))
    response = signed_in.post("/userpods/wake/")
    assert response.status_code == 202
    assert row(alice).message == "no route to host"
    told = response.json()
    assert told.pop("steps")[0]["status"] == "current"
    assert told == {"state": "pending", "message": "", "service": "user-alice"}
    memory.heal()
    assert reconcile().counts()["updated"] == 1
    # The new pod is looked at by the next.
    assert reconcile().ok
    assert row(alice).state == UserPod.State.RUNNING


def test_wake_starts_no_other_users_pod(signed_in: Client, memory: MemoryCluster) -> None:
    bob = UserFactory(username="bob")
    reconcile()
    stop()
    signed_in.post("/userpods/wake/", {"user": "bob", "service": "user-bob"})
    assert row(bob).wanted == UserPod.Wanted.STOPPED


@pytest.mark.parametrize("path", ["/userpods/waiting/", "/userpods/status/"])
def test_who_may_not_come_in_gets_a_401_or_403(
    client: Client, memory: MemoryCluster, path: str
) -> None:
    assert client.get(path, headers=BROWSER).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer upt_x"}).status_code == 403


def test_a_user_without_a_row_gets_one(client: Client, memory: MemoryCluster) -> None:
    client.force_login(bulk(1)[0])
    response = client.get("/userpods/waiting/", headers={"Accept": "application/json"})
    assert response.json()["state"] == "pending"
    a_moment_ago()
    assert client.get("/userpods/status/").json()["state"] == "running"


@pytest.fixture(params=[OperationalError, InterfaceError])
def database_is_down(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise request.param("could not connect to server")

    monkeypatch.setattr(SessionAuthenticator, "authenticate", down)


@pytest.mark.usefixtures("database_is_down")
@pytest.mark.parametrize("path", ["waiting/", "status/", "wake/", "whoami"])
def test_a_database_that_is_down_is_no_traceback(
    signed_in: Client, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = signed_in.post("/whoami" if path == "whoami" else f"/userpods/{path}")

    assert answer.status_code == 503
    assert answer["Retry-After"] == "3"
    assert answer.json() == {"error": "unavailable"}
    assert "could not connect to server" in caplog.text


@pytest.mark.usefixtures("database_is_down")
def test_a_person_sees_the_waiting_page_while_the_database_is_down(signed_in: Client) -> None:
    answer = signed_in.get("/userpods/waiting/", headers=BROWSER)

    assert answer.status_code == 503
    assert answer["Retry-After"] == "3"
    assert "<h1>One moment, please</h1>" in answer.text


def test_a_select_that_raises_lets_nobody_in(
    signed_in: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.USERPODS_SELECT = lambda user: user.no_such_field

    answer = signed_in.get("/whoami")

    assert answer.status_code == 503
    assert "X-Target-Service" not in answer
    assert "USERPODS_SELECT" in caplog.text
