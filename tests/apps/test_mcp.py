"""An MCP server in users' pods: their agents come with a token, and nobody else does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import demo_apps
import pytest

from tests.testcluster import build

if TYPE_CHECKING:
    from tests.browser.demos import Demo

pytestmark = [pytest.mark.apps, pytest.mark.router]
WAYS = ["host", "path"]
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
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture(scope="module")
def tokens(demo: Demo) -> dict[str, str]:
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


def use(demo: Demo, name: str, token: str, note: str) -> subprocess.CompletedProcess[str]:
    """Run the example's client at somebody's address."""
    path = demo_apps.installed(demo_apps.load("mcp"), build.cache_dir() / "apps")
    python = shutil.which("python", path=path)
    assert python
    return subprocess.run(
        [python, "-c", LOCAL, str(CLIENT), f"{demo.pods[name]}mcp", note],
        env={**os.environ, "USERPODS_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def status(demo: Demo, name: str, *, token: str = "") -> int:
    """Say how the first request of an MCP client to somebody's address is answered."""
    url = urlsplit(demo.pods[name])
    request = urllib.request.Request(
        f"http://127.0.0.1:{url.port}{url.path}mcp",
        json.dumps(INITIALIZE).encode(),
        {
            "Host": url.netloc,
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_an_agent_lists_and_calls_tools_with_its_users_token(
    demo: Demo, tokens: dict[str, str]
) -> None:
    for name in ("alice", "bob"):
        done = use(demo, name, tokens[name], f"Milk for {name}")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["notes"].pop() == f"Milk for {name}"
        assert told["owner"] == name
        assert told["server"] == "notes"
        assert told["tools"] == ["owner", "add_note", "list_notes"]


def test_nobody_else_gets_there(demo: Demo, tokens: dict[str, str]) -> None:
    wrong = tokens["alice"][:-1] + ("a" if tokens["alice"][-1] != "a" else "b")
    assert status(demo, "alice", token=tokens["alice"]) == 200
    assert status(demo, "bob", token=tokens["alice"]) == 403
    assert status(demo, "alice", token=wrong) == 403
    assert status(demo, "alice", token="somebody-elses") == 401
    assert status(demo, "alice") == 401
    done = use(demo, "bob", tokens["alice"], "I was here")
    assert "Server returned an error response" in done.stderr
    seen = use(demo, "bob", tokens["bob"], "Bread")
    assert "I was here" not in json.loads(seen.stdout)["notes"]
