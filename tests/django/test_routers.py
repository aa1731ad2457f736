"""Routers are told to forget a user: in the background, and never in anyone's way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command

from django_userpods.access import router_client
from django_userpods.models import AccessToken
from django_userpods.reconcile import reconcile
from tests.django.pretended_router import Router, router
from tests.django.support import row, service
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

    from django_userpods.testing import MemoryCluster

__all__ = ["router"]


def test_a_purge_tells_the_router_who(router: Router, settings: Any) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    router_client.purge("7")
    router_client.wait_idle()
    ((method, path, headers, body),) = router.told
    assert (method, path, body) == ("POST", "/purge", {"user_id": "7"})
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == "127.0.0.1"


def test_a_path_in_the_routers_url_is_kept(router: Router, settings: Any) -> None:
    settings.USERPODS_ROUTERS = [f"{router.url}/internal/"]
    router_client.purge("7")
    router_client.wait_idle()
    assert router.told[0][1] == "/internal/purge"


def test_every_router_and_every_address_of_a_name_is_told(
    router: Router, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host == "routers.example":
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1")
            ]
        return original(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = router.url.rpartition(":")[2]
    settings.USERPODS_ROUTERS = [f"http://routers.example:{port}", router.url]
    router_client.purge("7")
    router_client.wait_idle()
    # 127.0.0.2 does not answer, which keeps nobody else from being told.
    assert router.user_ids == ["7", "7"]
    assert {headers["Host"] for _, _, headers, _ in router.told} == {"routers.example", "127.0.0.1"}


def test_without_routers_nothing_is_started(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Thread", lambda **_: pytest.fail("started"))
    router_client.purge("7")
    assert router_client.wait_idle(0)


@pytest.fixture
def dead() -> Iterator[str]:
    """The URL of a router that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        assert router_client.wait_idle(10)


def test_a_dead_router_delays_no_other(router: Router, dead: str, settings: Any) -> None:
    settings.USERPODS_ROUTERS = [dead, router.url]
    started = time.monotonic()
    for number in range(20):
        router_client.purge(str(number))
        time.sleep(0.01)
    while len(router.told) < 20:
        assert time.monotonic() - started < router_client.TIMEOUT / 2
        time.sleep(0.01)
    assert router.user_ids == [str(number) for number in range(20)]


def test_a_dead_address_delays_no_other_of_the_same_name(
    router: Router, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(router.url.rpartition(":")[2])
    original = socket.getaddrinfo

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        names = ["127.0.0.2", "127.0.0.1", "127.0.0.3"] if host == "routers.example" else [host]
        return [info for name in names for info in original(name, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(router_client, "TIMEOUT", 1.0)
    settings.USERPODS_ROUTERS = [f"http://routers.example:{port}"]
    with (
        socket.create_server(("127.0.0.2", port)),
        socket.create_server(("127.0.0.3", port)),
    ):
        started = time.monotonic()
        for user_pk in ("7", "8"):
            router_client.purge(user_pk)
            while user_pk not in router.user_ids:
                assert time.monotonic() - started < 0.5
                time.sleep(0.01)
        assert router_client.wait_idle(5)


def test_a_name_that_takes_long_to_look_up_delays_no_other(
    router: Router, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, answered = socket.getaddrinfo, threading.Event()

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "routers.example":
            answered.wait(5)
            raise socket.gaierror("no answer")
        return original(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    settings.USERPODS_ROUTERS = ["http://routers.example:80", router.url]
    router_client.purge("7")
    started = time.monotonic()
    while not router.told:
        assert time.monotonic() - started < 2
        time.sleep(0.01)
    answered.set()
    assert router_client.wait_idle(5)


def test_a_dead_router_is_given_up_once_for_all_that_wait(
    dead: str, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.USERPODS_ROUTERS = [dead]
    monkeypatch.setattr(router_client, "TIMEOUT", 0.5)
    started = time.monotonic()
    for number in range(100):
        router_client.purge(str(number))
    assert router_client.wait_idle(5)
    assert time.monotonic() - started < 3
    assert "are left to expire" in caplog.text


def test_a_purge_never_goes_to_a_proxy(
    router: Router, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    settings.USERPODS_ROUTERS = [router.url]
    router_client.purge("7")
    router_client.wait_idle()
    assert router.user_ids == ["7"]


def test_a_redirect_is_not_followed(
    router: Router, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    router.status, router.location = 307, f"{router.url}/elsewhere"
    router_client.purge("7")
    router_client.wait_idle()
    assert [path for _, path, _, _ in router.told] == ["/purge"]
    assert "answered 307" in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1", "http://" + 99 * "x"])
def test_a_url_that_leads_nowhere_is_in_nobodys_way(
    settings: Any, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.USERPODS_ROUTERS = [url]
    router_client.purge("7")
    assert router_client.wait_idle(5)
    assert "router" in caplog.text


def test_a_process_that_ends_tells_routers_first(router: Router) -> None:
    router.delay = 0.3
    script = f"""
        import django
        from django.conf import settings
        settings.USERPODS_ROUTERS = [{router.url!r}]
        django.setup()
        from django_userpods.access import router_client
        router_client.purge("7")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=30)
    assert router.user_ids == ["7"]


def test_a_child_that_was_forked_meanwhile_tells_routers_itself(
    router: Router, dead: str, settings: Any
) -> None:
    settings.USERPODS_ROUTERS = [dead]
    router_client.purge("7")
    settings.USERPODS_ROUTERS = [router.url]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        child = os.fork()
    if child == 0:
        try:
            router_client.purge("8")
            os._exit(0 if router_client.wait_idle(5) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert router.user_ids == ["8"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid:80"])
def test_a_router_that_is_not_there_is_logged_and_the_others_told(
    router: Router, settings: Any, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.USERPODS_ROUTERS = [url, router.url]
    router_client.purge("7")
    router_client.wait_idle()
    assert router.user_ids == ["7"]
    assert "router" in caplog.text


def test_a_router_that_is_slow_or_broken_slows_nobody(router: Router, settings: Any) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    router.delay, router.status = 0.2, 500
    started = time.monotonic()
    for number in range(3):
        router_client.purge(str(number))
    assert time.monotonic() - started < 0.1
    router_client.wait_idle()
    assert router.user_ids == ["0", "1", "2"]


def test_a_router_for_whom_too_many_wait_is_spared_the_rest(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[list[str]] = []
    go_on = threading.Event()

    def tell(_router: Any, whom: list[Any]) -> None:
        told.append([one.value for one in whom])
        go_on.wait(5)

    monkeypatch.setattr(router_client, "_MOST_WAITING", 2)
    monkeypatch.setattr(router_client, "_tell", tell)
    settings.USERPODS_ROUTERS = ["http://127.0.0.1:1"]
    router_client.purge("0")
    while not told:
        time.sleep(0.01)
    for number in range(1, 5):
        router_client.purge(str(number))
        time.sleep(0.05)
    go_on.set()
    router_client.wait_idle()
    assert told == [["0"], ["1", "2"]]
    assert "user 4 is left to expire" in caplog.text


def test_a_user_who_waits_already_is_told_of_once(router: Router, settings: Any) -> None:
    router.delay = 0.2
    settings.USERPODS_ROUTERS = [router.url]
    for _ in range(50):
        router_client.purge("7")
    router_client.wait_idle()
    assert 1 <= len(router.told) <= 3
    # Whatever came while one was under way was told after it.
    assert router.user_ids[-1] == "7"


@pytest.mark.django_db
def test_routers_are_told_of_users_whose_address_changes_once(
    router: Router, settings: Any, memory: MemoryCluster, commit: Any
) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    first, second = UserFactory(username="first"), UserFactory(username="second")
    with commit():
        reconcile()
    router_client.wait_idle()
    # There was nothing to forget of them before they had one.
    assert router.user_ids == []
    # The first's Service was made again elsewhere, and the second's has its address now.
    one = str(row(first).address).partition(":")[0]
    for name, address in (("user-first", "10.96.9.9"), ("user-second", one)):
        spec = service(memory, name)["spec"]
        spec["clusterIP"], spec["clusterIPs"] = address, [address]
    with commit():
        reconcile([str(second.pk)])
    router_client.wait_idle()
    assert set(router.user_ids) == {str(first.pk), str(second.pk)}
    router.told.clear()
    with commit():
        reconcile()
    router_client.wait_idle()
    assert router.user_ids == []


@pytest.mark.django_db(transaction=True)
def test_a_sync_does_not_end_before_routers_know(
    router: Router, settings: Any, memory: MemoryCluster
) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    router.delay = 0.5
    user = UserFactory(username="alice")
    reconcile()
    router_client.wait_idle()
    router.told.clear()
    spec = service(memory, "user-alice")["spec"]
    spec["clusterIP"], spec["clusterIPs"] = "10.96.9.9", ["10.96.9.9"]
    call_command("sync_userpods", verbosity=0)
    assert router.user_ids == [str(user.pk)]


def test_waiting_for_routers_has_an_end(router: Router, settings: Any) -> None:
    settings.USERPODS_ROUTERS = [router.url]
    router.delay = 0.5
    router_client.purge("7")
    assert not router_client.wait_idle(0.05)
    assert router_client.wait_idle(5)


@pytest.mark.django_db
def test_routers_are_told_of_what_ends_access_alone(
    router: Router, settings: Any, memory: MemoryCluster, client: Client, commit: Any
) -> None:
    user = UserFactory(username="alice")
    pk = str(user.pk)
    reconcile()
    client.force_login(user)
    settings.USERPODS_ROUTERS = [router.url]

    def told_after(change: Any) -> list[str]:
        router.told.clear()
        with commit():
            change()
            router_client.wait_idle()
            # Not before the commit: a router that asks anew must get the new answer.
            assert router.told == []
        router_client.wait_idle()
        return router.user_ids

    def deactivate() -> None:
        user.is_active = False
        user.save()

    assert told_after(lambda: client.get("/whoami")) == []
    token, _ = AccessToken.objects.issue(user)
    assert told_after(client.logout) == [pk]
    assert told_after(lambda: AccessToken.objects.all().revoke()) == [pk]
    assert told_after(token.delete) == [pk]
    assert told_after(deactivate) == [pk]
    assert told_after(user.delete) == [pk]


@pytest.mark.parametrize("end", ["deleted", "deactivated"])
def test_a_user_is_out_when_their_end_is_answered(
    db: None, router: Router, settings: Any, commit: Any, end: str
) -> None:
    with commit():
        alice = UserFactory()
    router_client.wait_idle()
    settings.USERPODS_ROUTERS = [router.url]
    router.delay = 0.1
    key = str(alice.pk)
    with commit():
        if end == "deleted":
            alice.delete()
        else:
            alice.is_active = False
            alice.save()
    assert key in router.user_ids
