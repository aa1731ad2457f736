"""The example project's workload, which every user of the demo gets."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.django.test_example_project import PROJECT, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "workload.py"), "--host", "127.0.0.1"],
        env={"PORT": str(port), "USERPODS_USER": "älice <b>"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "serving" in process.stdout.readline()
    yield port
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_tells_whose_it_is_and_refuses_others_but_guests(port: int, tmp_path: Path) -> None:
    pod = Site(port, tmp_path, {})
    name = "%C3%A4lice%20%3Cb%3E"
    status, headers, text = pod.ask("GET", "/x?<script>", X_Userpods_User=name)
    assert status == 200
    assert "älice &lt;b&gt;" in text
    assert "<script>" not in text
    assert headers["cache-control"] == "no-store"
    status, _, text = pod.ask("POST", "/headers", "some body", X_Userpods_User=name)
    told = json.loads(text)
    assert told["user"] == told["owner"] == "älice <b>"
    assert ["X-Userpods-User", name] in told["headers"]
    status, _, text = pod.ask("GET", "/headers", X_Userpods_User="bob")
    assert status == 421
    assert "another user" in text
    status, _, text = pod.ask("GET", "/headers", X_Userpods_User="bob", X_Userpods_Guest="1")
    assert (status, json.loads(text)["user"]) == (200, "bob")
    assert pod.ask("GET", "/healthz")[0] == 200


def test_it_keeps_connections_open(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as link:
        for method, body in (("GET", None), ("POST", "x" * 100_000), ("HEAD", None)):
            link.request(method, "/headers", body)
            answer = link.getresponse()
            answer.read()
            assert answer.status == 200
            assert not answer.will_close
