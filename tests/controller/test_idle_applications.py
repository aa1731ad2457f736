"""Applications that are asked themselves before their idle pods are stopped."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from django_userpods.controller import applications
from django_userpods.core.objects import DEPLOYMENT
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.controller.unused import HOUR, Routers, tick, wanted
from tests.django.support import template_with
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

RULES = "ignore /api/*\nask /status\n"


class Application:
    """An application that says itself when it was used."""

    def __init__(self) -> None:
        self.words: Any = {}
        self.status = 200
        self.asked: list[dict[str, str]] = []
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                application.asked.append({"path": self.path, **dict(self.headers)})
                body = json.dumps(application.words).encode()
                self.send_response(application.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def application(
    memory: MemoryCluster, settings: Any, old: UserPod, routers: Routers
) -> Iterator[Application]:
    """The application in alice's pod, whose template says where it is to be asked."""
    found = Application()
    template = template_with()
    template[0]["metadata"]["annotations"] = {"django-userpods/activity": RULES}
    settings.USERPODS_TEMPLATE = template
    reconcile()
    long_ago = timezone.now() - 2 * HOUR
    UserPod.objects.update(address=found.address, state="running", looked_at=long_ago)
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_the_rules_of_a_template_are_on_the_row_and_in_whoamis_answer(
    memory: MemoryCluster, application: Application, client: Any, settings: Any
) -> None:
    pod = UserPod.objects.get()
    assert pod.activity == "ignore /api/*; ask /status"
    annotations = memory.objects[next(ref for ref in memory.objects if ref.kind == DEPLOYMENT)][
        "metadata"
    ]["annotations"]
    assert annotations["django-userpods/activity"] == RULES
    client.force_login(pod.owner)
    answer = client.get("/whoami")
    assert answer["X-Userpods-Activity"] == pod.activity
    assert answer["X-Userpods-State"] == "running"
    settings.USERPODS_TEMPLATE = template_with()
    reconcile()
    assert UserPod.objects.get().activity == ""


def test_an_application_at_work_is_not_stopped(application: Application) -> None:
    application.words = [{"execution_state": "busy", "last_activity": "2020-01-01T00:00:00Z"}]
    tick()
    assert wanted() == "running"
    assert application.asked[0]["path"] == "/status"
    assert application.asked[0]["X-Userpods-User"] == "alice"
    # Not asked again before its time is over anew.
    tick()
    assert len(application.asked) == 1


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens while applications are asked."""
    things: list[Callable[[], None]] = []
    last_uses = applications.last_uses

    def slowly(*arguments: Any, **more: Any) -> Any:
        for thing in things:
            thing()
        return last_uses(*arguments, **more)

    monkeypatch.setattr(applications, "last_uses", slowly)
    return things


def test_who_comes_back_while_applications_are_asked_is_not_stopped(
    application: Application, routers: Routers, meanwhile: list[Callable[[], None]]
) -> None:
    meanwhile.append(lambda: routers.used.update({"user-alice": timezone.now()}))
    tick()
    assert wanted() == "running"
    assert len(application.asked) == 1


def test_nothing_is_stopped_where_routers_fall_silent_while_applications_are_asked(
    application: Application, routers: Routers, meanwhile: list[Callable[[], None]]
) -> None:
    meanwhile.append(lambda: setattr(routers, "silent", True))
    tick()
    assert wanted() == "running"


def test_those_that_need_not_be_asked_are_stopped_before_others_are(
    application: Application, meanwhile: list[Callable[[], None]]
) -> None:
    UserFactory(username="bob")
    reconcile()
    long_ago = timezone.now() - 2 * HOUR
    UserPod.objects.update(started_at=long_ago, looked_at=long_ago)
    UserPod.objects.filter(name="user-alice").update(address=application.address)
    UserPod.objects.filter(name="user-bob").update(state="failed")
    found: list[str] = []
    meanwhile.append(lambda: found.extend([wanted(), wanted("user-bob")]))
    tick()
    assert found == ["running", "stopped"]
    assert wanted() == "stopped"


def test_an_application_without_work_is_stopped(application: Application) -> None:
    application.words = [{"execution_state": "idle", "last_activity": "2020-01-01T00:00:00Z"}]
    tick()
    assert wanted() == "stopped"


@pytest.mark.parametrize("status", [500, 404, 302])
def test_an_application_that_cannot_be_asked_is_not_stopped(
    application: Application, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    application.status = status
    tick()
    assert wanted() == "running"
    assert f"answered {status} at /status" in caplog.text
    assert [asked["path"] for asked in application.asked] == ["/status"], "it follows nobody"


def test_one_that_nobody_reaches_is_not_stopped_and_that_is_said(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    application.server.server_close()
    UserPod.objects.update(address="127.0.0.1:9")
    tick()
    assert wanted() == "running"
    assert "cannot be asked at /status" in caplog.text


def test_a_pod_that_failed_is_not_asked(application: Application) -> None:
    UserPod.objects.update(state="failed")
    tick()
    assert wanted() == "stopped"
    assert application.asked == []
