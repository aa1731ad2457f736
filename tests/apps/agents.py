"""People's agents, which come to the MCP server in a pod with an access token."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import demo_apps

from tests.testcluster import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.demos import Demo

LISTENER = Path(__file__).with_name("listener.py")
CLIENT = demo_apps.EXAMPLES / "mcp" / "client.py"
#: Runs a program with ``alice.localhost`` on this machine: Python asks DNS, which does not know.
LOCAL = """
import runpy, socket, sys
ask = socket.getaddrinfo
def resolve(host, *words, **more):
    name = host.decode() if isinstance(host, bytes) else host
    return ask("127.0.0.1" if name and name.endswith(".localhost") else host, *words, **more)
socket.getaddrinfo = resolve
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def made_tokens(demo: Demo) -> dict[str, str]:
    """Access tokens of alice and bob, made in the admin."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def page(path: str, **fields: str) -> str:
        with opener.open(demo.site.rstrip("/") + path) as answer:
            url, text = answer.url, str(answer.read(), "utf-8")
        if fields:
            found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)
            assert found, text
            data = urlencode({**fields, "csrfmiddlewaretoken": found[1]}).encode()
            with opener.open(url, data) as answer:
                text = str(answer.read(), "utf-8")
        return text

    page("/admin/", username="admin", password=demo.passwords["admin"])
    made = {}
    for name in ("alice", "bob"):
        user = re.search(r"/admin/auth/user/(\d+)/change/", page(f"/admin/auth/user/?q={name}"))
        assert user
        about = {"user": user[1], "label": "agent", "scope": "reach"}
        shown = page("/admin/userpods/accesstoken/add/", **about)
        made[name] = re.findall(r"upt_[\w-]{43}", shown)[0]
    return made


def _at(demo: Demo, name: str, program: Path, *words: str) -> list[str]:
    """The command that runs a program of the ``mcp`` package's at somebody's address."""
    path = demo_apps.installed(demo_apps.load("mcp"), build.cache_dir() / "apps")
    python = shutil.which("python", path=path)
    assert python
    return [python, "-c", LOCAL, str(program), f"{demo.pods[name]}mcp", *words]


def use(demo: Demo, name: str, token: str, note: str) -> subprocess.CompletedProcess[str]:
    """Run the example's client at somebody's address."""
    return subprocess.run(
        _at(demo, name, CLIENT, note),
        env={**os.environ, "USERPODS_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def listening(demo: Demo, name: str, token: str) -> Iterator[subprocess.Popen[str]]:
    """An agent that has a session open at somebody's address, listens, and asks for nothing."""
    with subprocess.Popen(
        _at(demo, name, LISTENER),
        env={**os.environ, "USERPODS_TOKEN": token},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        try:
            assert agent.stdout is not None
            assert agent.stdout.readline() == "listening\n"
            yield agent
        finally:
            agent.kill()
