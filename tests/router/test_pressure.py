"""The router under pressure: many at once, a clock that jumps, a Django that hangs."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import Router, eventually

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    """Remembered for longer than fifty requests take to come on a busy machine."""
    return {"cache_seconds": 60, "recheck_seconds": 2, "grace_seconds": 3}


def at_once(router: Router, count: int, *headers: tuple[str, str]) -> list[int]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: router.get("/", *headers).status, range(count)))


def test_fifty_requests_of_a_new_session_ask_once(router: Router, django: FakeDjango) -> None:
    """Once in each of the two workers."""
    django.delay = 1
    assert at_once(router, 50, ALICE) == [200] * 50
    assert 1 <= django.count["/whoami"] <= 2


def test_fifty_requests_of_nobody_ask_once_too(router: Router, django: FakeDjango) -> None:
    django.delay = 3
    assert at_once(router, 50, ("Cookie", "sessionid=nobody")) == [401] * 50
    assert 1 <= django.count["/whoami"] <= 2


@pytest.mark.parametrize("linger", [b"", struct.pack("ii", 1, 0)], ids=["closed", "reset"])
def test_who_asked_first_and_goes_away_takes_no_answer_from_those_who_wait(
    tmp_path: Path, django: FakeDjango, linger: bytes
) -> None:
    django.delay = 1
    with (
        Router(tmp_path / "nginx", django.port, workers=1) as router,
        ThreadPoolExecutor(1) as pool,
    ):
        with socket.create_connection(("127.0.0.1", router.port)) as first:
            first.sendall(b"GET / HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-alice\r\n\r\n")
            eventually(lambda: django.count["/whoami"] == 1)
            second = pool.submit(router.get, "/", ALICE)
            if linger:
                first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        assert second.result().status == 200
    assert django.count["/whoami"] == 1


def test_who_comes_after_a_purge_does_not_wait_for_an_older_answer(
    router: Router, django: FakeDjango
) -> None:
    django.delay = 1
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(router.get, "/", ALICE)
        time.sleep(0.3)
        router.purge("id-alice")
        assert router.get("/", ALICE).status == 200
        assert first.result().status == 200
    assert django.count["/whoami"] == 2


def connections(router: Router) -> list[int]:
    """How many connections of clients each worker has."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port, established = f":{router.port:04X}", "01"
    ours = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(port) and row[3] == established}
    master = router.process.process.pid
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    links = (Path(f"/proc/{worker}/fd").iterdir() for worker in workers)
    return [sum(str(link.readlink()) in ours for link in its) for its in links]


def test_connections_are_shared_evenly_among_workers(tmp_path: Path, django: FakeDjango) -> None:
    """Those that a gateway opens and keeps, while nothing else is to do."""
    with Router(tmp_path / "nginx", django.port) as router, contextlib.ExitStack() as stack:
        for _ in range(64):
            address = ("127.0.0.1", router.port)
            stack.enter_context(socket.create_connection(address))
        eventually(lambda: sum(connections(router)) == 64)
        # Of 64 thrown coins: less than once in a million times, one side has fewer.
        assert min(connections(router)) >= 13


def test_without_a_cache_everybody_asks(tmp_path: Path, django: FakeDjango) -> None:
    django.delay = 0.5
    with Router(tmp_path / "nginx", django.port, options={"cache_seconds": 0}) as router:
        assert at_once(router, 10, ALICE) == [200] * 10
        assert django.count["/whoami"] == 10


def test_a_django_that_hangs_is_said_to(tmp_path: Path) -> None:
    """Of pods within the time for whoami, of the site within that of settings/site.conf."""
    site = {"proxy_read_timeout 20s": "proxy_read_timeout 3s"}
    # What a stopped process looks like: the kernel takes connections, nobody answers.
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        port = frozen.getsockname()[1]
        with Router(tmp_path / "nginx", port, site=site) as router:
            for path, bound in (("/", 7), ("/accounts/login/", 5)):
                begin = time.monotonic()
                answer = router.get(path, ALICE)
                assert time.monotonic() - begin < bound
                assert answer.status == 503
                assert answer.json()["error"] == "unavailable"
                assert answer.get("retry-after") == "2"


class FakedTime(Router):
    """A router whose clock on the wall is as far from the machine's as the file ``time`` says."""

    @property
    def command(self) -> list[str]:
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        said = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "time"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        # nginx's workers have no environment but what its configuration names.
        names = " ".join(f"env {name};" for name in said)
        command = [part for part in super().command if part not in {"-g", "user root;"}]
        user = "user root;" if os.geteuid() == 0 else ""
        pairs = [f"{name}={value}" for name, value in said.items()]
        return ["env", *pairs, *command, "-g", f"{user} {names}"]


def test_a_clock_that_is_set_back_makes_no_answer_younger(
    tmp_path: Path, django: FakeDjango
) -> None:
    """An hour back while an answer is remembered: it is believed for its second all the same."""
    (tmp_path / "time").write_text("+0")
    with FakedTime(tmp_path, django.port, options={"cache_seconds": 1}) as router:
        first = router.get("/", ALICE)
        assert first.status == 200
        (tmp_path / "time").write_text("-1h")
        django.inactive.add("alice")
        time.sleep(1.5)
        last = router.get("/", ALICE)
        before, after = (
            parsedate_to_datetime(answer.get("date") or "") for answer in (first, last)
        )
        assert after < before
        assert last.status == 403
