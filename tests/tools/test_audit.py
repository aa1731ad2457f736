"""``tools/audit.py`` with the real pip-audit, against a service that speaks as OSV does."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes
AUDIT = Path(__file__).resolve().parents[2] / "tools" / "audit.py"


def hole(package: str, fixed: str) -> dict[str, Any]:
    """A vulnerability of every release before *fixed*, as OSV describes it."""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    return {
        "id": f"TEST-{package}",
        "modified": "2026-01-01T00:00:00Z",
        "published": "2026-01-01T00:00:00Z",
        "summary": "anything may happen",
        "affected": [
            {
                "package": {"name": package, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }


@contextmanager
def service(known: dict[tuple[str, str | None], dict[str, Any]]) -> Iterator[str]:
    """The address of a service that knows these: package and version (None: any) to a hole."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["package"]["name"].lower()
            found = known.get((name, asked["version"])) or known.get((name, None))
            body = json.dumps({"vulns": [found]} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def audit(url: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "AUDIT_OSV_URL": url, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, str(AUDIT)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


PROBE: dict[tuple[str, str | None], dict[str, Any]] = {("django", "4.2.1"): hole("django", "4.2.2")}


def test_a_known_vulnerability_fails_and_is_named() -> None:
    with service(PROBE | {("pyyaml", None): hole("pyyaml", "99.1")}) as url:
        done = audit(url)
    assert done.returncode == 1, done.stdout
    assert "TEST-pyyaml, mended in 99.1" in done.stdout
    assert "1 known vulnerabilities in" in done.stdout


def test_nothing_known_passes_and_says_of_how_many() -> None:
    with service(PROBE) as url:
        done = audit(url)
    assert done.returncode == 0, done.stdout
    assert "no known vulnerabilities in" in done.stdout
    assert "NOT AUDITED" not in done.stdout


def test_a_service_that_knows_nothing_is_no_clean_bill() -> None:
    with service({}) as url:
        done = audit(url)
    assert done.returncode == 0
    assert "NOT AUDITED" in done.stdout
    assert "knows nothing against django==4.2.1" in done.stdout


def test_no_service_is_no_failure_and_is_said() -> None:
    with service({}) as url:
        pass
    done = audit(url)
    assert done.returncode == 0
    assert done.stdout.startswith("NOT AUDITED")
    assert "Traceback" not in done.stdout + done.stderr
