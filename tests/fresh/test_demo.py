"""``make demo`` as somebody runs it who has just cloned the repository on a bare machine."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.browser.demos import read_until_up
from tests.fresh.machine import CHECKOUT
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fresh.machine import Machine

pytestmark = pytest.mark.fresh
# What a demo has no reason to leave anything in.
PLACES = ("/tmp", "/var/tmp", "/run", "/dev/shm", "/home")  # noqa: S108 - looked at only


@dataclass
class Demo:
    process: subprocess.Popen[str]
    site: str
    passwords: dict[str, str]
    pods: dict[str, str]


class Curl:
    """Somebody outside of the machine. curl knows that ``alice.localhost`` is here, too."""

    def __init__(self, site: str, jar: Path) -> None:
        self.site = site
        self._words = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "30"]
        self._words += ["--cookie-jar", str(jar), "--cookie", str(jar)]

    def get(self, url: str, *more: str, accept: str = "text/html") -> str:
        """What a URL leads to, and below it in a line of its own status and address."""
        words = [*self._words, "--location", "--header", f"Accept: {accept}", *more]
        told = "\n%{http_code} %{url_effective}"
        command = [*words, "--write-out", told, url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def sign_in(self, name: str, password: str, url: str) -> str:
        """Go to a URL, fill in the login form that it leads to; return what that leads to."""
        form, _, told = self.get(url).rpartition("\n")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert token, form
        where = re.search(r'name="next" value="([^"]*)"', form)
        assert where, form
        said = {"csrfmiddlewaretoken": token[1], "username": name, "password": password}
        said["next"] = html.unescape(where[1])
        fields = [word for key in said for word in ("--data-urlencode", f"{key}={said[key]}")]
        login = told.partition(" ")[2]
        return self.get(login, "--referer", login, *fields)


@pytest.fixture(scope="module")
def before(machine: Machine) -> set[str]:
    """The files of the bare machine in places that a demo should leave as they are."""
    return machine.files(*PLACES)


@pytest.fixture(scope="module")
def demo(machine: Machine, before: set[str]) -> Iterator[Demo]:
    port = free_port()
    process = machine.start("exec make demo", folder=CHECKOUT, env={"DEMO_PORT": str(port)})
    try:
        found = read_until_up(process)
        people = [(name, password) for name, password, _ in found]
        pods = {name: url for name, _, url in found}
        yield Demo(process, f"http://localhost:{port}", dict(people), pods)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def curl(demo: Demo, tmp_path: Path) -> Curl:
    return Curl(demo.site, tmp_path / "jar")


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_everybody_gets_to_their_own_pod(demo: Demo, curl: Curl, name: str) -> None:
    page = curl.sign_in(name, demo.passwords[name], f"{demo.pods[name]}some/page?x=1")
    assert f"This is <b>{name}</b>'s own pod" in page
    assert page.endswith(f"\n200 http://{name}.{demo.site.partition('//')[2]}/some/page?x=1")


def test_a_stranger_is_refused(demo: Demo, curl: Curl) -> None:
    page = curl.get(demo.pods["alice"])
    assert f"\n200 {demo.site}/accounts/login/" in page, "a browser is sent to the login page"
    answer, _, told = curl.get(demo.pods["alice"], accept="application/json").rpartition("\n")
    assert told == f"401 {demo.pods['alice']}"
    assert json.loads(answer)


def test_somebody_elses_pod_is_refused(demo: Demo, curl: Curl) -> None:
    page = curl.sign_in("alice", demo.passwords["alice"], demo.pods["bob"])
    assert "own pod" not in page
    assert "\n403 " in page


def test_a_wrong_password_is_refused(demo: Demo, curl: Curl) -> None:
    page = curl.sign_in("alice", demo.passwords["bob"], demo.pods["alice"])
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
