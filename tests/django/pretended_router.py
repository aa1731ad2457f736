"""A server that takes purges as a router does, and notes them."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.access import router_client

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Router:
    """An HTTP server that notes what it is told."""

    url: str = ""
    told: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    status: int = 204
    delay: float = 0.0
    location: str = ""

    @property
    def user_ids(self) -> list[str]:
        return [body["user_id"] for _, _, _, body in self.told]


@pytest.fixture
def router() -> Iterator[Router]:
    found = Router()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(found.delay)
            found.told.append((self.command, self.path, dict(self.headers), body))
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    router_client.wait_idle()
    server.shutdown()
    thread.join()
    server.server_close()
