"""An MCP server in users' pods: their agents come with a token, and nobody else does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.apps.agents import made_tokens, use

if TYPE_CHECKING:
    from tests.browser.demos import Demo

pytestmark = [pytest.mark.apps, pytest.mark.router]
WAYS = ["host", "path"]
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
    return made_tokens(demo)


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
