"""A reverse proxy in front of a real API server that does, on demand, what a bad day does.

    with FaultProxy(cluster.kubeconfig) as proxy:
        proxy.on(faults.status(503), method="POST", path=r"/services$", times=2)
        ... use proxy.kubeconfig ...
        assert [call.status for call in proxy.calls] == [...]

Rules are tried in the order in which they were made; the first that matches decides, and a call
that none matches goes through. An action is a callable that gets the ``Exchange``; the usual ones
are in ``tests.faults``. ``refuse()`` and ``listen()`` stop and start listening on the same port;
``clear()`` takes back all rules and frees what hangs.

The proxy speaks TLS to the API server, with the client certificate of the kubeconfig if it has
one, and to its own clients plain HTTP or, with ``tls=True``, TLS under an authority of its own.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import yaml

from tests.faults import Answer, Rule
from tests.testcluster.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults import Action

_UPSTREAM_TIMEOUT = 120.0
#: The headers of one hop only (RFC 9110, 7.6.1), and those that the proxy sets itself.
_OWN_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}


@dataclass(frozen=True)
class Call:
    """A request that came whole, and how it ended; ``status`` 0: without an answer."""

    method: str
    path: str
    query: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class FaultProxy:
    """See the module's docstring. ``kubeconfig`` is a file whose server is this proxy."""

    def __init__(self, kubeconfig: Path, *, tls: bool = False) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="faultproxy-"))
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._calls: list[Call] = []
        self._sockets: set[socket.socket] = set()
        self._freed = threading.Event()
        self._server: _Server | None = None
        self._tls: ssl.SSLContext | None = None
        config = yaml.safe_load(kubeconfig.read_text())
        self._read_upstream(config, kubeconfig.parent)
        if tls:
            authority = Authority(self._directory)
            pair = authority.issue("faultproxy", "faultproxy", hosts=["127.0.0.1"])
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*pair)
        self._port = 0
        self.listen()
        #: The proxy's own URL.
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._port}"
        self.kubeconfig = self._directory / "kubeconfig"
        entry: dict[str, Any] = {"server": self.url}
        if tls:
            entry["certificate-authority"] = str(authority.file)
        self._cluster["cluster"] = entry
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(config))

    def on(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str = "",
        query: str = "",
        nth: int | None = None,
        times: int | None = None,
    ) -> None:
        """Do ``action`` for calls of a method whose path and query match the expressions.

        Of those, for the ``nth`` only (from 1), or the first ``times``, or all.
        """
        rule = Rule(action, method, re.compile(path), re.compile(query), nth, times)
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Take back all rules and let go what hangs."""
        with self._lock:
            self._rules.clear()
            self._freed.set()
            self._freed = threading.Event()

    @property
    def calls(self) -> list[Call]:
        """The calls that were answered or broken off, in that order, since the last ``forget``."""
        with self._lock:
            return list(self._calls)

    def forget(self) -> None:
        """Empty ``calls``."""
        with self._lock:
            self._calls.clear()

    def refuse(self) -> None:
        """Refuse connections from now on, and break those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        self._break_connections()

    def listen(self) -> None:
        """Listen again, on the same port."""
        if self._server is None:
            self._server = _Server(("127.0.0.1", self._port), self, self._tls)
            self._port = self._server.server_address[1]
            threading.Thread(
                target=self._server.serve_forever, args=(0.05,), name="faultproxy", daemon=True
            ).start()

    def close(self) -> None:
        """End everything and remove the kubeconfig."""
        self.clear()
        self.refuse()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- inside

    def _read_upstream(self, config: dict[str, Any], folder: Path) -> None:
        contexts = {item["name"]: item["context"] for item in config["contexts"]}
        context = contexts[config["current-context"]]
        self._cluster = next(it for it in config["clusters"] if it["name"] == context["cluster"])
        cluster = self._cluster["cluster"]
        user = next(it for it in config["users"] if it["name"] == context["user"])["user"]
        self._upstream = urlsplit(cluster["server"])
        self._context = ssl.create_default_context(
            cafile=self._file(cluster, "certificate-authority", folder)
        )
        certificate = self._file(user, "client-certificate", folder)
        if certificate is not None:
            self._context.load_cert_chain(certificate, self._file(user, "client-key", folder))

    def _file(self, entry: dict[str, Any], name: str, folder: Path) -> str | None:
        """Return the path of a file that a kubeconfig names or holds."""
        if f"{name}--data" in entry:
            path = self._directory / name
            path.write_bytes(base64.b64decode(entry[f"{name}--data"]))
            path.chmod(0o600)
            return str(path)
        return str(folder / entry[name]) if name in entry else None

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._upstream.hostname or "", self._upstream.port
        wait = _UPSTREAM_TIMEOUT
        if self._upstream.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=wait)
        return http.client.HTTPSConnection(host, port, timeout=wait, context=self._context)

    def _action(self, method: str, path: str, query: str) -> Action | None:
        with self._lock:
            fired = (rule.action for rule in self._rules if rule.fires(method, path, query))
            return next(fired, None)

    def _note(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def _break_connections(self) -> None:
        with self._lock:
            sockets = list(self._sockets)
        for item in sockets:
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)


class Exchange:
    """One call, for an action to deal with."""

    def __init__(self, handler: _Handler, method: str, path: str, body: bytes) -> None:
        self._handler = handler
        self.method = method
        self.path = path
        self.body = body
        #: Set by ``FaultProxy.clear`` and ``close``.
        self.freed = handler.server.proxy._freed
        self._noted = False

    def forward(self) -> Answer:
        """Send the call to the API server and read its answer."""
        response = self._handler.ask_upstream(self.method, self.path, self.body)
        headers = {k: v for k, v in response.getheaders() if k.lower() not in _OWN_HEADERS}
        return Answer(response.status, headers, response.read())

    def answer(self, answer: Answer, *, length: int | None = None, pause: float = 0.0) -> None:
        """Send an answer: only its first ``length`` bytes, or byte after byte with pauses."""
        handler = self._handler
        self.note(answer.status)
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if pause:
            for index in range(len(answer.body)):
                handler.wfile.write(answer.body[index : index + 1])
                if self.freed.wait(pause):
                    return
            return
        handler.wfile.write(answer.body[:length])
        if length is not None:
            self.reset()

    def pass_through(self, *, limit: int | None = None) -> None:
        """Do what a proxy without faults does, as it comes (a watch, too).

        With ``limit`` the connection breaks after so many bytes of a body without a length.
        """
        handler = self._handler
        response = handler.ask_upstream(self.method, self.path, self.body)
        self.note(response.status)
        handler.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _OWN_HEADERS:
                handler.send_header(name, value)
        length = response.getheader("Content-Length")
        if length is not None or response.status in {204, 304}:
            handler.send_header("Content-Length", length or "0")
            handler.end_headers()
            handler.wfile.write(response.read())
            return
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while piece := response.read1(65536):
            if limit is not None and len(piece) >= limit:
                handler.wfile.write(b"%x\r\n%b\r\n" % (limit, piece[:limit]))
                self.reset()
                return
            limit = limit - len(piece) if limit is not None else None
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    def write(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self._handler.wfile.write(raw)

    def note(self, status: int) -> None:
        """Enter the call in the log, once, and before the client can know of its answer."""
        if not self._noted:
            self._noted = True
            path, _, query = self.path.partition("?")
            headers = dict(self._handler.headers.items())
            call = Call(self.method, path, query, status, headers, self.body)
            self._handler.server.proxy._note(call)

    def reset(self) -> None:
        """Break the client's connection off, with a reset."""
        handler = self._handler
        self.note(0)
        handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with suppress(OSError):
            super().finish()

    def log_message(self, *args: object) -> None:
        """Say nothing; ``FaultProxy.calls`` is the log."""

    def _serve(self) -> None:
        proxy = self.server.proxy
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            # Its client went away within it: to an API server this is no request (RFC 9112, 8).
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        action = proxy._action(self.command, path, query)
        exchange = Exchange(self, self.command, self.path, body)
        try:
            if action is None:
                exchange.pass_through()
            else:
                action(exchange)
        except (OSError, http.client.HTTPException):
            # The API server or the client has gone; either way there is nobody to answer to.
            with suppress(OSError, ValueError):
                exchange.reset()
            self.close_connection = True
        finally:
            exchange.note(0)

    def ask_upstream(self, method: str, path: str, body: bytes) -> http.client.HTTPResponse:
        headers = {
            k: v for k, v in self.headers.items() if k.lower() not in _OWN_HEADERS | {"host"}
        }
        fresh = self._upstream is None
        while True:
            if self._upstream is None:
                self._upstream = self.server.proxy._connect()
            try:
                self._upstream.request(method, path, body or None, headers)
                return self._upstream.getresponse()
            except (OSError, http.client.HTTPException):
                self._upstream.close()
                self._upstream = None
                if fresh:
                    raise
                fresh = True  # it was only a kept connection that the API server had closed


for _method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._serve)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], proxy: FaultProxy, tls: ssl.SSLContext | None
    ) -> None:
        self.proxy = proxy
        super().__init__(address, _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.proxy._lock:
            self.proxy._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.proxy._lock:
            self.proxy._sockets.discard(request)
        # Not shut down first: with SO_LINGER set, closing is what sends the reset.
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away, or do not trust the certificate, are what is being tested."""
