"""The site behind the router: what one client does to it, others do not feel.

The real example project under gunicorn with one process and eight threads, which is what an
attacker has to occupy, and the router with the settings that are shipped, but for what a test needs
otherwise: how many logins one client may try, and how long Django may take.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import (
    ROOT,
    Process,
    Response,
    Router,
    eventually,
    is_open,
    raw,
    read_response,
)
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.router

PROJECT = ROOT / "example_project"
#: Time for Django: forty passwords are a minute's work for a machine that does much else.
PATIENT = {"proxy_read_timeout 20s": "proxy_read_timeout 120s"}
#: Where the other clients come from; those of a test come from 127.0.0.1.
SOURCES = [f"127.0.1.{number}" for number in range(1, 6)]
LOGIN = b"POST /api/login HTTP/1.1\r\nHost: site.test\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    folder = tmp_path_factory.mktemp("guard")
    port = free_port()
    # One client's logins are a matter of their own, below.
    router = Router(folder / "nginx", port, workers=1, site=PATIENT | {"burst=20": "burst=2000"})
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "example.settings",
        "DATA_DIR": str(folder / "data"),
        "STATIC_ROOT": str(folder / "static"),
        "DEBUG": "off",
        "HTTPS": "off",
        "SECRET_KEY": "a secret of this test",
        "ALLOWED_HOSTS": "site.test",
        "CLIENT_ADDRESS_HEADER": "HTTP_X_REAL_IP",
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
        "WEB_THREADS": "8",
    }
    for command in (["migrate", "--verbosity=0"], ["collectstatic", "--noinput", "-v0"]):
        subprocess.run(
            [sys.executable, "manage.py", *command], cwd=PROJECT, env=environment, check=True
        )
    # Larger than what the sockets between nginx and its client take.
    (folder / "static" / "big.bin").write_bytes(b"x" * 8_000_000)
    command = [sys.executable, "-m", "gunicorn", "--chdir", str(PROJECT)]
    command += ["--config", str(PROJECT / "gunicorn.conf.py"), "example.wsgi:application"]
    with Process(command, folder / "gunicorn.log", environment), router:
        eventually(lambda: is_open(port), 30)
        eventually(lambda: router.get("/accounts/login/").status == 200, 30)
        yield router


def connection_from(router: Router, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", router.port), 20, source_address=(source, 0))


def seconds_of(call: Callable[[], Response]) -> tuple[int, float]:
    begin = time.monotonic()
    status = call().status
    return status, time.monotonic() - begin


def assert_others_are_served(router: Router) -> None:
    """A page and a login, each in time."""
    body = f'{{"user": "nobody{time.monotonic()}", "pwd": "wrong"}}'.encode()
    calls: list[tuple[Callable[[], Response], int]] = [
        (lambda: router.get("/accounts/login/"), 200),
        (
            lambda: router.get(
                "/api/login", ("Content-Type", "application/json"), method="POST", body=body
            ),
            401,
        ),
    ]
    for call, expected in calls:
        status, seconds = seconds_of(call)
        assert status == expected
        assert seconds < 5


def send_nothing_more(connection: socket.socket) -> None:
    connection.sendall(LOGIN + b"Content-Length: 9999\r\n\r\n{")


def send_a_chunk(connection: socket.socket) -> None:
    connection.sendall(LOGIN + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")


def send_half_of_the_headers(connection: socket.socket) -> None:
    connection.sendall(LOGIN + b"X-Slow: ")


def read_nothing(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(b"GET /static/big.bin HTTP/1.1\r\nHost: site.test\r\n\r\n")


@pytest.mark.parametrize(
    "begin", [send_nothing_more, send_a_chunk, send_half_of_the_headers, read_nothing]
)
def test_a_hundred_clients_that_dawdle_hold_up_nobody(
    site: Router, begin: Callable[[socket.socket], None]
) -> None:
    with contextlib.ExitStack() as stack:
        slow = []
        for number in range(20 if begin is read_nothing else 100):
            connection = connection_from(site, SOURCES[number % len(SOURCES)])
            slow.append(stack.enter_context(contextlib.closing(connection)))
            begin(connection)
        time.sleep(0.5)
        assert_others_are_served(site)
        if begin is not read_nothing:
            for connection in slow:
                # A byte at a time is no better.
                connection.sendall(b"x")
            assert_others_are_served(site)


def test_one_clients_simultaneous_requests_are_limited(site: Router) -> None:
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(contextlib.closing(connection_from(site, SOURCES[0])))
            for _ in range(70)
        ]
        for connection in slow:
            send_nothing_more(connection)
        refused = read_response(slow[-1])
        assert refused.status == 429
        assert refused.get("retry-after") == "2"
        assert refused.json()["error"] == "too many requests"
        assert_others_are_served(site)
    # Whoever hangs up may come again.
    eventually(lambda: _answer_to(site, SOURCES[0]).status == 200)


def _answer_to(router: Router, source: str) -> Response:
    with connection_from(router, source) as connection:
        connection.sendall(b"GET /accounts/login/ HTTP/1.1\r\nHost: site.test\r\n\r\n")
        return read_response(connection)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(site: Router) -> None:
    head = LOGIN + b"Content-Length: 3000000\r\n\r\n"
    answer = raw(site.port, head)
    assert answer.status == 413
    assert answer.json()["error"] == "too large"


def test_a_body_arrives_whole_however_it_was_cut(site: Router) -> None:
    body = b'{"user": "nobody", "pwd": "' + b"x" * 5000 + b'"}'
    with connection_from(site, SOURCES[1]) as connection:
        connection.sendall(LOGIN + b"Content-Length: %d\r\n\r\n" % len(body))
        for begin in range(0, len(body), 1000):
            connection.sendall(body[begin : begin + 1000])
            time.sleep(0.02)
        assert read_response(connection).status == 401


def test_a_pods_cookies_do_not_keep_anybody_from_signing_in(site: Router) -> None:
    """Three of 3,900 bytes are more than gunicorn takes; a pod on the site's host may set them."""
    cookies = "; ".join(f"app{number}={'x' * 3900}" for number in range(3))
    assert site.get("/accounts/login/", ("Cookie", cookies)).status == 200
    body = b'{"user": "nobody", "pwd": "wrong"}'
    headers = ("Cookie", cookies), ("Content-Type", "application/json")
    assert site.get("/api/login", *headers, method="POST", body=body).status == 401
    assert site.get("/", ("Cookie", f"{cookies}; sessionid=none")).status == 401


@pytest.fixture
def impatient(tmp_path: Path, site: Router) -> Iterator[Router]:
    """The same site behind a router that gives a body two seconds."""
    router = Router(
        tmp_path / "nginx",
        site.django,
        options={"site_body_seconds": 2},
        gateway=True,
        workers=1,
        site=PATIENT | {"burst=20": "burst=2000"},
    )
    with router:
        yield router


def test_a_body_has_a_time_for_all_of_it(impatient: Router) -> None:
    with connection_from(impatient, SOURCES[2]) as connection:
        send_nothing_more(connection)
        begin = time.monotonic()
        while time.monotonic() - begin < 5:
            try:
                connection.sendall(b"x")
            except OSError:
                break
            time.sleep(0.2)
        assert 1.5 < time.monotonic() - begin < 4


def test_clients_behind_one_gateway_are_counted_apart(impatient: Router) -> None:
    """And one that says it is somebody else is still itself: the gateway's word comes last."""

    def begin(connection: socket.socket, said: str) -> None:
        connection.sendall(
            LOGIN + f"X-Forwarded-For: {said}\r\nContent-Length: 99\r\n\r\n{{".encode()
        )

    with contextlib.ExitStack() as stack:
        for client, status in (("198.51.100.1", 429), ("198.51.100.2", None), ("2001:db8::1", 429)):
            for number in range(70 if status else 5):
                last = stack.enter_context(connection_from(impatient, "127.0.0.1"))
                # Any address of an IPv6 network is the same client.
                client_now = f"{client}{number:x}" if ":" in client else client
                begin(last, f"203.0.113.{number}, {client_now}")
            last.settimeout(1)
            if status:
                assert read_response(last).status == status
            else:
                with pytest.raises(TimeoutError):
                    last.recv(1)
        assert impatient.get("/accounts/login/").status == 200


def test_the_passwords_that_one_client_tries_are_limited_over_all_accounts(
    tmp_path: Path, site: Router
) -> None:
    with Router(tmp_path / "nginx", site.django, gateway=True, workers=1, site=PATIENT) as router:

        def log_in(client: str, number: int) -> Response:
            body = f'{{"user": "nobody{number}", "pwd": "wrong"}}'.encode()
            headers = ("X-Forwarded-For", client), ("Content-Type", "application/json")
            return router.get("/api/login", *headers, method="POST", body=body)

        # At once: one after the other they take a busy machine as long as others are allowed in.
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(partial(log_in, "198.51.100.1"), range(40)))
        assert {answer.status for answer in answers} == {401, 429}
        refused = [answer for answer in answers if answer.status == 429]
        assert {answer.get("retry-after") for answer in refused} == {"2"}
        assert len(answers) - len(refused) >= 20
        assert log_in("198.51.100.2", 0).status == 401
        assert router.get("/accounts/login/", ("X-Forwarded-For", "198.51.100.1")).status == 200


def test_what_a_client_says_of_its_address_is_not_believed(site: Router) -> None:
    """The site counts failures by X-Real-IP, which is the router's to say."""
    body = b'{"user": "somebody", "pwd": "wrong"}'
    statuses = []
    for number in range(6):
        said = ("X-Real-IP", f"198.51.100.{number}"), ("X-Forwarded-For", f"198.51.100.{number}")
        answer = site.get(
            "/api/login", *said, ("Content-Type", "application/json"), method="POST", body=body
        )
        statuses.append(answer.status)
    assert statuses == [401, 401, 401, 401, 429, 429]
