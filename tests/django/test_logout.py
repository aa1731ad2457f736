"""A logout counts from the moment the session is gone, whatever keeps sessions."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import alogout, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.signals import user_logged_out
from django.core.cache import cache as django_cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from django_userpods import receivers
from django_userpods.access import router_client
from django_userpods.pages.whoami import whoami

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

ENGINES = "django.contrib.sessions.backends"


@login_not_required
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("bye")


def log_out_in_vain(request: HttpRequest) -> HttpResponse:
    logout(request)
    message = "rolled back"
    raise RuntimeError(message)


urlpatterns = [
    path("logout", log_out),
    path("logout-in-vain", log_out_in_vain),
    path("whoami", whoami),
]


class Told(list[int]):
    """The answers of whoami to the session at the moments at which routers are told."""


@pytest.fixture
def told(signed_in: Client, alice: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What a router would hear that asks again as soon as it is told."""
    told = Told()
    key = signed_in.cookies["sessionid"].value

    def purge(user_pk: str) -> None:
        assert user_pk == str(alice.pk)
        if settings.SESSION_ENGINE.endswith("db"):
            # Nobody else sees before the commit that the row is gone.
            assert not connection.in_atomic_block
        client = Client()
        client.cookies["sessionid"] = key
        told.append(client.get("/whoami").status_code)

    monkeypatch.setattr(router_client, "purge", purge)
    return told


@pytest.fixture(params=["db", "cached_db", "cache", "file"])
def engine(request: pytest.FixtureRequest, settings: Any, tmp_path: Any) -> Iterator[None]:
    settings.SESSION_ENGINE = f"{ENGINES}.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    yield
    django_cache.clear()


@pytest.fixture(params=[False, True], ids=["autocommit", "ATOMIC_REQUESTS"])
def is_atomic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", request.param)
    return bool(request.param)


@pytest.fixture(params=[None, "default"], ids=["no cache", "USERPODS_CACHE"])
def _cache(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.USERPODS_CACHE = request.param


@pytest.mark.usefixtures("engine", "is_atomic", "_cache")
def test_routers_are_told_when_the_session_is_gone(signed_in: Client, told: Told) -> None:
    assert signed_in.get("/whoami").status_code == 200
    assert signed_in.get("/logout").status_code == 200
    assert told[-1] == 401


@pytest.mark.usefixtures("engine")
def test_a_logout_in_a_thread_counts_as_one_in_a_request(
    signed_in: Client, alice: Any, told: Told
) -> None:
    request = HttpRequest()
    request.session = signed_in.session
    request.user = alice
    logout(request)
    assert told[-1] == 401


def test_an_asynchronous_logout_counts_too(
    signed_in: Client, alice: Any, told: Told, settings: Any
) -> None:
    settings.SESSION_ENGINE = f"{ENGINES}.cache"
    signed_in.force_login(alice)
    request = HttpRequest()
    request.session = signed_in.session

    async def auser() -> Any:
        return alice

    request.auser = auser
    told_before: list[bool] = []

    def purge(user_pk: str) -> None:
        told_before.append(request.session.is_empty())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(router_client, "purge", purge)
        asyncio.run(alogout(request))
    assert told_before == [False, True]


def test_a_logout_that_is_rolled_back_leaves_the_session(
    signed_in: Client, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with pytest.raises(RuntimeError):
        signed_in.get("/logout-in-vain")
    assert told == []
    assert signed_in.get("/whoami").status_code == 200


def test_a_signal_without_a_session_is_heard(alice: Any, told: Told) -> None:
    """As apps send it that keep tokens of their own."""
    user_logged_out.send(sender=type(alice), request=HttpRequest(), user=alice)
    user_logged_out.send(sender=type(alice), request=None, user=alice)
    assert len(told) == 2


def test_nobody_logs_out(told: Told) -> None:
    assert Client().get("/logout").status_code == 200
    assert told == []


def test_a_logout_waits_for_routers_but_not_for_dead_ones(
    signed_in: Client, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.USERPODS_ROUTERS = [f"http://127.0.0.1:{silent.getsockname()[1]}"]
        monkeypatch.setattr(router_client, "TIMEOUT", 1.0)
        begun = time.monotonic()
        assert signed_in.get("/logout").status_code == 200
        assert time.monotonic() - begun < receivers.ROUTERS_WAIT + 0.5
        assert not router_client.wait_idle(0)
        router_client.wait_idle()
