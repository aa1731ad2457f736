"""The kubelet of pretended nodes, as far as the API server asks it for what containers wrote."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.testcluster.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.testcluster.cluster import Cluster


@dataclass
class Kubelet:
    """What containers wrote, by pod and whether it was before the last restart."""

    texts: dict[tuple[str, bool], str] = field(default_factory=dict)
    #: Whether it answers with an error instead.
    is_out_of_order: bool = False


@contextmanager
def kubelet(cluster: Cluster, folder: Path) -> Iterator[Kubelet]:
    """One for all pretended nodes, which otherwise have an address that nobody answers at."""
    made = Kubelet()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            _, kind, _namespace, pod, _container = address.path.split("/")
            text = made.texts.get((pod, "previous" in parse_qs(address.query)))
            is_there = kind == "containerLogs" and text is not None and not made.is_out_of_order
            self.send_response(200 if is_there else 500)
            self.end_headers()
            self.wfile.write((text or "").encode() if is_there else b"out of order")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(folder).issue("kubelet", "kubelet", hosts=["127.0.0.1"]))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        nodes = cluster.get("nodes", "-l", "type=fake")["items"]
        for node in nodes:
            # The API server takes the hostname before the address.
            addresses = [
                {"type": kind, "address": "127.0.0.1"} for kind in ("InternalIP", "Hostname")
            ]
            _place(cluster, node, addresses, server.server_port)
        try:
            yield made
        finally:
            for node in nodes:
                _place(cluster, node, node["status"]["addresses"], 0)
            server.shutdown()


def _place(cluster: Cluster, node: Any, addresses: list[dict[str, str]], port: int) -> None:
    endpoint = {"kubeletEndpoint": {"Port": port}}
    patch = json.dumps({"status": {"addresses": addresses, "daemonEndpoints": endpoint}})
    name = node["metadata"]["name"]
    cluster.kubectl("patch", "node", name, "--subresource=status", f"--patch={patch}")
