"""A pretended Django: answers whoami and the waiting page as a test tells it to.

It runs as threads of the test process, keeps its connections open as gunicorn's threaded
workers do, and counts what it is asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from django_userpods.core.addresses import MAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.core.addresses import Addresses


class FakeDjango(ThreadingHTTPServer):
    """Give `sessions` and `tokens` users, and `odd` a function that answers in Django's place."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port: int = self.server_address[1]
        self.sessions: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.inactive: set[str] = set()
        self.peers: dict[str, str] = {}
        self.answer: dict[str, str] = {}
        #: More headers of every answer.
        self.headers: list[tuple[str, str]] = []
        #: Where pods are: whoami then answers for the pod that is asked about alone.
        self.where: Addresses | None = None
        #: With whom a pod is shared, by whose it is: the seconds that are left, or None.
        self.shares: dict[str, dict[str, float | None]] = {}
        #: The session's cookie; "" for the one that goes with `where`, over TLS.
        self.cookie = ""
        self.odd: Callable[[Handler], None] | None = None
        self.waiting_is_broken = False
        self.delay = 0.0
        self.count: Counter[str] = Counter()
        self.seen: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()

    def handle_error(self, *_: object) -> None:
        """A router that hangs up is not worth a traceback."""

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the headers (names in lower case) of each request for this path."""
        return [
            {key.lower(): value for key, value in request["headers"]}
            for request in self.seen
            if request["path"].partition("?")[0] == path
        ]

    def user(self, name: str, peer: str | None) -> None:
        """A user with the session and the token of their own name."""
        self.sessions[f"s-{name}"] = name
        self.tokens[f"upt_{name}"] = name
        if peer is None:
            self.peers.pop(name, None)
        else:
            self.peers[name] = peer


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: FakeDjango
    timeout = 30
    # One write for each answer: header and body apart would wait for each other's TCP ACK.
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.count["connections"] += 1

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def say(
        self, status: int, body: bytes = b"", *headers: tuple[str, str], length: bool = True
    ) -> None:
        self.send_response_only(status)
        for name, value in (*headers, *self.server.headers):
            self.send_header(name, value)
        if length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.server.count[path] += 1
        self.server.seen.append({"path": self.path, "headers": self.headers.items()})
        if path == "/whoami":
            self.whoami()
        elif path == "/userpods/waiting/" and self.server.waiting_is_broken:
            self.close_connection = True
        elif path == "/userpods/waiting/":
            words = {"state": "starting", "message": "Django says wait"}
            if "text/html" in (self.headers.get("Accept") or ""):
                html = b"<p>Django says wait</p>"
                self.say(503, html, ("Content-Type", "text/html"), ("Retry-After", "2"))
            else:
                body = json.dumps(words).encode()
                self.say(503, body, ("Content-Type", "application/json"), ("Retry-After", "2"))
        elif path == "/accounts/logout/":
            self.server.sessions.pop(self.session() or "", None)
            self.say(302, b"", ("Location", "/"), ("Set-Cookie", 'sessionid=""; Max-Age=0; Path=/'))
        else:
            page: dict[str, Any] = {
                "name": "django",
                "target": self.path,
                "headers": self.headers.items(),
            }
            self.say(200, json.dumps(page).encode(), ("Set-Cookie", "csrftoken=abc; Path=/"))

    def session(self) -> str | None:
        """As Django reads it: the last of two cookies of one name."""
        where, name = self.server.where, self.server.cookie
        if not name:
            has_hosts = where is not None and where.host
            name = "__Host-userpods" if has_hosts else "sessionid"
        found = None
        for pair in (self.headers.get("Cookie") or "").split(";"):
            try:
                cookie = SimpleCookie(pair.strip())
            except CookieError:
                continue
            if name in cookie:
                found = cookie[name].value
        return found

    def whoami(self) -> None:
        server = self.server
        if server.delay:
            time.sleep(server.delay)
        if server.odd is not None:
            server.odd(self)
            return
        name = server.sessions.get(self.session() or "")
        authorization = self.headers.get("Authorization") or ""
        if name is None and authorization.startswith("Bearer "):
            name = server.tokens.get(authorization.removeprefix("Bearer "))
            if name is None:
                self.say(403, b'{"error": "invalid token"}')
                return
        if name is None:
            self.say(401, b'{"error": "no token"}')
        elif name in server.inactive:
            self.say(403, b'{"error": "invalid token"}')
        elif owner := self.shared_with(name):
            left = server.shares[owner][name]
            more = [("X-Userpods-Guest", "1"), ("X-Userpods-Owner-Id", f"id-{owner}")]
            if left is not None:
                more.append(("X-Userpods-Seconds", f"{left:.3f}"))
            said = dict(self.target(owner)) | {
                "X-Userpods-User": name,
                "X-Userpods-User-Id": f"id-{name}",
            }
            self.say(200, b"{}", *said.items(), *more)
        elif not self.is_about(name):
            self.say(403, b'{"error": "not your pod"}')
        else:
            self.say(200, b"{}", *self.target(name))

    def is_about(self, name: str) -> bool:
        """Tell whether the pod that the router names is this user's, or anybody's."""
        where = self.server.where
        if where is None:
            return True
        host = self.headers.get("X-Userpods-Host", "")
        return where.at(host, self.headers.get("X-Userpods-Path", "")) in (name, MAIN)

    def shared_with(self, name: str) -> str:
        """Return whose pod the router names, if it is shared with this user."""
        where = self.server.where
        if where is None:
            return ""
        host = self.headers.get("X-Userpods-Host", "")
        label = where.at(host, self.headers.get("X-Userpods-Path", ""))
        shared = isinstance(label, str) and name in self.server.shares.get(label, {})
        return str(label) if shared else ""

    def target(self, name: str) -> list[tuple[str, str]]:
        headers = {
            "X-Target-Service": f"user-{name}",
            "X-Target-Address": f"user-{name}.default.svc.cluster.local:8000",
            "X-Userpods-User": name,
            "X-Userpods-User-Id": f"id-{name}",
        }
        if peer := self.server.peers.get(name):
            headers["X-Target-Peer"] = peer
        headers.update(self.server.answer)
        return list(headers.items())

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one  # noqa: N815 - http.server's names
