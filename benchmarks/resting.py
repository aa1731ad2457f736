"""A controller that has nothing to do, with all that it does then: what that takes.

It looks at everything once (``--resync``), asks a router who is used, looks which pods are idle,
keeps to a rollout's rule, and is scraped as by Prometheus.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real.controllers import Controller

#: Seconds that it is looked at for: between two looks at everything, as shipped.
REST = 300.0
#: Seconds between scrapes.
SCRAPE = 15.0
#: An idle timeout that nobody comes to meanwhile.
SETTINGS = """
USERPODS_IDLE_TIMEOUT = 6 * 3600.0
USERPODS_ROLLOUT = {{"MAX_UNREADY": 10, "MAX_FAILURES": 3}}
USERPODS_ROUTERS = [{router!r}]
"""


class Rest(NamedTuple):
    """MB at the end and at most since its start, the part of a core, and the number of looks."""

    memory: float
    most: float
    share: float
    looks: int


@contextmanager
def router(used: list[str]) -> Iterator[str]:
    """Yield the URL of what answers as a router does that has been up for a day.

    It says that these pods were used just now.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path.startswith("/activity?within="), self.path
            # In fractions of a second, as a router has it.
            ago = {name: number % 25 + number % 1000 / 1000 for number, name in enumerate(used)}
            said = {"since": 86400, "pods": ago}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def at_rest(controller: Controller) -> Rest:
    """Look at it for ``REST`` seconds, and until a look at everything has ended in them."""
    folder = Path("/proc") / str(controller.process.pid)
    tick = os.sysconf("SC_CLK_TCK")

    def spent() -> float:
        # (The command in parentheses may have spaces.)
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / tick

    time.sleep(5)
    looks, before, began = looks_at_everything(controller), spent(), time.monotonic()
    while True:
        time.sleep(SCRAPE)
        passed, ended = time.monotonic() - began, looks_at_everything(controller) - looks
        if passed >= REST and ended:
            break
        assert passed < 2 * REST, "it does not look at everything"
    share = (spent() - before) / (time.monotonic() - began)
    memory, most = (megabytes(controller, name) for name in ("VmRSS", "VmHWM"))
    return Rest(memory, most, share, ended)


def megabytes(controller: Controller, name: str) -> float:
    """Return a controller's memory in 10^6 bytes: ``VmRSS`` now, ``VmHWM`` at most so far."""
    status = (Path("/proc") / str(controller.process.pid) / "status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024 / 1e6


def looks_at_everything(controller: Controller) -> int:
    """Return how many looks at everything have come to their end."""
    lines = controller.get("/metrics")[1].splitlines()
    counts = [line for line in lines if line.startswith("userpods_reconcile_seconds_count")]
    return int(sum(float(line.split()[-1]) for line in counts if 'what="everything"' in line))
