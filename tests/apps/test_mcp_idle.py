"""``DEMO_IDLE=30 make demo APP=mcp``: an agent that merely listens keeps no pod awake.

bob's agent has a session open and asks for nothing; alice's has a note kept now and then. bob's pod
is stopped; his agent, which sees its stream end and asks for it again, starts nothing. The next
that asks for something does, and is answered.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.apps.agents import listening, made_tokens, use
from tests.apps.conftest import wait_for_pods
from tests.apps.idling import GONE, idling, state, stops

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.apps, pytest.mark.router]
#: Seconds without use; and those for which the agent of a stopped pod is looked at.
IDLE, LONGER = 30, 15


def test_an_agent_that_listens_keeps_no_pod_awake_and_one_that_asks_does(tmp_path: Path) -> None:
    with idling(tmp_path, "mcp", IDLE) as demo:
        wait_for_pods(demo)
        tokens = made_tokens(demo)
        with listening(demo, "bob", tokens["bob"]) as agent:
            before = {name: len(stops(demo, name)) for name in ("alice", "bob")}
            deadline = time.monotonic() + GONE
            while state(demo, "bob") != "stopped":
                assert time.monotonic() < deadline, "bob's pod is stopped"
                assert use(demo, "alice", tokens["alice"], "Milk").returncode == 0
                assert state(demo, "alice") == "ready"
                time.sleep(IDLE / 6)
            assert stops(demo, "bob")[before["bob"] :] == ["idle rule"]
            assert stops(demo, "alice")[before["alice"] :] == []

            until = time.monotonic() + LONGER
            while time.monotonic() < until:
                assert agent.poll() is None, "it goes on"
                assert state(demo, "bob") == "stopped"
                time.sleep(1)
        assert state(demo, "bob") == "stopped", "nor does the end of it"
        done = use(demo, "bob", tokens["bob"], "Bread")
        assert done.returncode == 0, done.stderr
        assert "Bread" in json.loads(done.stdout)["notes"]
        assert state(demo, "bob") == "ready"
