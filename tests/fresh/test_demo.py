"""``make demo`` as somebody runs it who has just cloned the repository on a bare machine."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.fresh.machine import CHECKOUT

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.fresh.machine import Machine

pytestmark = pytest.mark.fresh
# What a demo has no reason to leave anything in.
PLACES = ("/tmp", "/var/tmp", "/run", "/dev/shm", "/home")  # noqa: S108 - looked at only


@dataclass
class Demo:
    process: subprocess.Popen[str]
    site: str
    passwords: dict[str, str]


class Browser:
    """Somebody outside of the machine: keeps cookies and follows where it is sent."""

    def __init__(self, site: str) -> None:
        self.site = site
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        # No proxy stands between this machine and itself.
        self._opener = urllib.request.build_opener(jar, urllib.request.ProxyHandler({}))

    def get(self, path: str, data: bytes | None = None, accept: str = "text/html") -> str:
        request = urllib.request.Request(f"{self.site}{path}", data, {"Accept": accept})  # noqa: S310 - our own address
        request.add_header("Referer", f"{self.site}/accounts/login/")
        with self._opener.open(request, timeout=30) as answer:
            return str(answer.read().decode())

    def sign_in(self, name: str, password: str) -> str:
        """Fill the login form in; what it leads to."""
        form = self.get("/accounts/login/?next=/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert token, form
        said = {"csrfmiddlewaretoken": token[1], "username": name, "password": password}
        fields = urllib.parse.urlencode({**said, "next": "/"})
        return self.get("/accounts/login/?next=/", fields.encode())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def before(machine: Machine) -> set[str]:
    """The files of the bare machine in places that a demo should leave as they are."""
    return machine.files(*PLACES)


@pytest.fixture(scope="module")
def demo(machine: Machine, before: set[str]) -> Iterator[Demo]:
    port = free_port()
    process = machine.start("exec make demo", folder=CHECKOUT, env={"DEMO_PORT": str(port)})
    try:
        assert process.stdout is not None
        told: list[str] = []
        for line in process.stdout:
            told.append(line)
            if "Ctrl-C ends everything" in line:
                break
        else:
            pytest.fail("make demo ended:\n" + "".join(told))
        found = re.findall(r"^    (alice|bob|admin) +(\S+) +\S+$", "".join(told), re.MULTILINE)
        yield Demo(process, f"http://127.0.0.1:{port}", dict(found))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_everybody_gets_to_their_own_pod(demo: Demo, name: str) -> None:
    page = Browser(demo.site).sign_in(name, demo.passwords[name])
    assert f"This is <b>{name}</b>'s own pod" in page


def test_a_stranger_is_refused(demo: Demo) -> None:
    stranger = Browser(demo.site)
    assert "own pod" not in stranger.get("/"), "a browser is sent to the login page"
    with pytest.raises(urllib.error.HTTPError) as refused:
        stranger.get("/", accept="application/json")
    with refused.value as answer:
        assert answer.code == 401
        assert json.load(answer)


def test_a_wrong_password_is_refused(demo: Demo) -> None:
    page = Browser(demo.site).sign_in("alice", demo.passwords["bob"])
    assert "own pod" not in page
    assert "enter a correct username and password" in page


def test_ctrl_c_leaves_nothing(demo: Demo, machine: Machine, before: set[str]) -> None:
    """What a terminal does at Ctrl-C: SIGINT for everybody in the foreground."""
    assert len(machine.processes()) > 5
    os.killpg(demo.process.pid, signal.SIGINT)
    told, _ = demo.process.communicate(timeout=60)
    assert "Nothing is left running" in told
    assert machine.processes() == []
    assert machine.mounts() == []
    assert machine.files(*PLACES) - before == set()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(demo.site.rpartition(":")[2])), timeout=5)


def test_the_checkout_is_as_it_was_cloned(demo: Demo, machine: Machine) -> None:
    assert demo.process.poll() is not None
    told = machine.run("git status --porcelain", folder=CHECKOUT)
    assert (told.returncode, told.stdout) == (0, "")
