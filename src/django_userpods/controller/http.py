"""Whether a controller is well, over HTTP: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.controller.metrics import Metrics

logger = logging.getLogger("django_userpods.controller")

_TEXT = "text/plain; charset=utf-8"
#: Seconds that a client may take to say what it wants.
_PATIENCE = 10.0
_NO_METRICS = b"prometheus-client is not installed: pip install django-userpods[controller]\n"


class Server:
    """Answers until it is closed. ``port`` is the one it has got, also where 0 was asked for."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        healthy: Callable[[], str],
        ready: Callable[[], str],
        metrics: Metrics,
    ) -> None:
        """Listen. ``healthy`` and ``ready`` return what is wrong, or ""; raises OSError."""
        answers = {"/healthz": healthy, "/readyz": ready}

        class Handler(_Handler):
            def answer(self) -> tuple[HTTPStatus, str, bytes]:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    found = metrics.exposition()
                    if found is None:
                        return HTTPStatus.NOT_IMPLEMENTED, _TEXT, _NO_METRICS
                    return HTTPStatus.OK, found[1], found[0]
                if path not in answers:
                    return HTTPStatus.NOT_FOUND, _TEXT, b"not found\n"
                wrong = answers[path]()
                status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
                return status, _TEXT, f"{wrong or 'ok'}\n".encode()

        self._server = (_Listener6 if ":" in host else _Listener)((host, port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="userpods-http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop to answer."""
        self._server.shutdown()
        self._server.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    #: Maximum number of connections that wait, others try again a second later. (Python: 5.)
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        logger.debug("a client of /healthz, /readyz or /metrics went away", exc_info=True)


class _Listener6(_Listener):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        # ``::`` is all of this machine's addresses, whatever the system takes it for by itself.
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE

    def answer(self) -> tuple[HTTPStatus, str, bytes]:
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer."""
        try:
            status, content_type, body = self.answer()
        finally:
            # This thread asked the database, maybe, and ends.
            connections.close_all()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:  # noqa: ANN401
        """Say nothing: probes come every few seconds."""
