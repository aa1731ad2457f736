"""``run_userpods --listen``: where it may be told to answer, over IPv4 and IPv6."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command

from django_userpods.controller.metrics import Metrics
from django_userpods.management.commands import run_userpods

if TYPE_CHECKING:
    from collections.abc import Iterator


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def _signals() -> Iterator[None]:
    """The command sets some for good, as its process is its own."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def answers(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own address
        return str(answer.read().decode())


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize(
    ("listen", "hosts"),
    [
        ("127.0.0.1:0", ["127.0.0.1"]),
        ("localhost:0", ["127.0.0.1"]),
        pytest.param("[::1]:0", ["[::1]"], marks=needs_ipv6),
        pytest.param("[::]:0", ["[::1]", "127.0.0.1"], marks=needs_ipv6),
    ],
)
def test_it_answers_there_and_says_where(
    monkeypatch: pytest.MonkeyPatch, settings: Any, listen: str, hosts: list[str]
) -> None:
    told = StringIO()
    heard: list[str] = []

    class Controller:
        """One that asks itself how it is, and ends."""

        metrics = Metrics()

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def healthy(self) -> str:
            return ""

        ready = healthy

        def run(self) -> bool:
            found = re.search(r" at http://(.+):(\d+)/$", told.getvalue().strip())
            assert found, told.getvalue()
            assert found[1] == listen.rpartition(":")[0]
            heard.extend(answers(f"http://{host}:{found[2]}/healthz") for host in hosts)
            return True

    monkeypatch.setattr(run_userpods, "Controller", Controller)
    settings.USERPODS_CONTROLLER = True
    call_command("run_userpods", listen=listen, stdout=told)
    assert heard == ["ok\n"] * len(hosts)


@pytest.mark.parametrize(
    "listen", ["::1:8090", "[::1]", "[::1]:", "[::1]:70000", "[127.0.0.1]:8090", "[]:1", ":1", "1"]
)
def test_what_is_no_address_is_refused_with_an_example(listen: str) -> None:
    with pytest.raises(CommandError, match=r"is not HOST:PORT, as in 0\.0\.0\.0:8090 or \[::\]"):
        call_command("run_userpods", f"--listen={listen}")
