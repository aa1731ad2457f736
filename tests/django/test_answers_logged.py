"""What is normal is no error: Django's own logging mails nobody for it and warns of nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import django
import pytest
from django.contrib.auth.decorators import login_not_required
from django.core import mail
from django.db import OperationalError
from django.http import HttpResponse
from django.urls import include, path

from django_userpods.access.authenticators import SessionAuthenticator
from django_userpods.models import UserPod
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.test import AsyncClient, Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
BAD_TOKEN = {"Authorization": "Bearer upt_x"}


@login_not_required
def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=503)


urlpatterns = [path("broken", broken), path("", include("django_userpods.urls"))]


@pytest.fixture(autouse=True)
def admins(settings: Any) -> None:
    """Have Django's default logging mail somebody, as it does in production."""
    settings.ROOT_URLCONF = __name__
    settings.ADMINS = (
        ["root@example.org"] if django.VERSION >= (6, 0) else [("root", "root@example.org")]
    )
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    mails = logging.getLogger("django").handlers
    assert any(type(handler).__name__ == "AdminEmailHandler" for handler in mails)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [item.getMessage() for item in caplog.records if item.levelno >= logging.WARNING]


def test_a_503_of_the_projects_own_is_mailed(client: Client) -> None:
    client.get("/broken")
    assert [item.to for item in mail.outbox] == [["root@example.org"]]


@pytest.mark.parametrize(
    ("url", "headers", "status"),
    [
        ("/userpods/waiting/", BROWSER, 503),
        ("/userpods/waiting/", {"Accept": "application/json"}, 503),
        ("/whoami", BAD_TOKEN, 403),
        ("/userpods/status/", BAD_TOKEN, 403),
    ],
)
def test_an_answer_of_every_day_is_neither_mailed_nor_logged(
    signed_in: Client,
    url: str,
    headers: dict[str, str],
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    UserPod.objects.update(state="starting")
    if "Authorization" in headers:
        signed_in.logout()

    assert signed_in.get(url, headers=headers).status_code == status

    assert not mail.outbox
    assert not complaints(caplog)


@pytest.mark.parametrize("url", ["/whoami", "/userpods/waiting/", "/userpods/status/"])
def test_a_request_of_nobody_is_not_logged(
    client: Client, memory: MemoryCluster, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get(url, headers=BROWSER).status_code == 401
    assert not complaints(caplog)


def test_nor_is_anything_logged_under_asgi(
    async_client: AsyncClient, alice: Any, caplog: Any
) -> None:
    async_client.force_login(alice)
    UserPod.objects.update(state="starting")

    async def ask() -> list[int]:
        waiting = await async_client.get("/userpods/waiting/", headers=BROWSER)
        await async_client.alogout()
        return [waiting.status_code, (await async_client.get("/whoami")).status_code]

    assert asyncio.run(ask()) == [503, 401]
    assert not mail.outbox
    assert not complaints(caplog)


def test_a_refusal_on_the_way_to_a_pod_is_not_logged(
    client: Client, memory: MemoryCluster, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.USERPODS_URL = "/pods/{pod}/"
    client.force_login(UserFactory(username="alice"))
    assert client.get("/userpods/enter/", {"to": "/pods/bob/"}).status_code == 403
    assert not complaints(caplog)


def test_what_really_went_wrong_is_logged_once(
    signed_in: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: object) -> None:
        raise OperationalError("could not connect to server")

    monkeypatch.setattr(SessionAuthenticator, "authenticate", down)

    assert signed_in.get("/whoami").status_code == 503

    assert complaints(caplog) == ["the database could not tell who is asking"]


def test_who_wants_them_has_the_answers_at_debug(
    client: Client, memory: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "django_userpods.request")
    client.get("/whoami")
    assert "Unauthorized: /whoami" in [item.getMessage() for item in caplog.records]
