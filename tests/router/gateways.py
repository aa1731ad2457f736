"""Gateways in front of the router, as sites have them: they keep connections and share them.

``go`` is Go's own ``httputil.ReverseProxy``; ``trusting`` the same over a pool that believes all
framing, the way Varnish and home-made proxies do; ``traefik`` is itself; the others are HAProxy
with each way of reusing connections. All but Traefik keep a single idle connection, so that
requests that come one after the other share it, whoever sends them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.router.harness import Process, Response, Router, eventually, is_open, read_response
from tests.router.wire import Answer, Gone, Wire
from tests.testcluster import apt, build
from tests.testcluster.certificates import Authority
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GO = {"go": "go", "trusting": "trusting"}
HAPROXY = {f"haproxy-{mode}": mode for mode in ("safe", "always", "aggressive")}
KINDS = (*GO, *HAPROXY)
#: Takes minutes to build where it is not cached, and speaks TLS alone here.
TRAEFIK = "traefik"
#: The names that a gateway's certificate is for: two hosts, so that browsers may coalesce.
HOSTS = ("one.site.test", "two.site.test")

_HAPROXY = """
global
    nbthread 1
    # The default admits fewer headers than the router.
    tune.http.maxhdr 1000
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 30s
    http-reuse {mode}
frontend clients
    bind 127.0.0.1:{plain}
    bind 127.0.0.1:{secure} ssl crt {pem} alpn h2,http/1.1
    option forwardfor
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Client-Port %[src_port]
    default_backend router
backend router
    server router 127.0.0.1:{router} pool-max-conn 1
"""


@dataclass(frozen=True)
class Gateway:
    """A running gateway: its ports for plain HTTP/1.1, and for TLS with HTTP/2."""

    kind: str
    plain: int
    secure: int
    #: What it is to be trusted for, as Chromium wants to be told (SHA-256 of the public key).
    pin: str
    access_log: Path


@contextlib.contextmanager
def gateway(
    kind: str, router: int, folder: Path, hosts: tuple[str, ...] = HOSTS
) -> Iterator[Gateway]:
    """Run a gateway of this kind for these hosts in front of the router at this port."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = Authority(folder).issue("site", "site.test", hosts=hosts)
    public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    running = Gateway(kind, free_port(), free_port(), pin, folder / "access.log")
    if kind in GO:
        command = [str(build.binary("gateway")), f"-pool={GO[kind]}"]
        command += [f"-router=127.0.0.1:{router}", f"-listen=127.0.0.1:{running.plain}"]
        command += [f"-tls=127.0.0.1:{running.secure}", f"-certificate={certificate}"]
        command += [f"-key={key}"]
    elif kind == TRAEFIK:
        command = _traefik(running, router, folder, (certificate, key), hosts)
    else:
        pem = folder / "site.pem"
        pem.write_bytes(certificate.read_bytes() + key.read_bytes())
        configuration = folder / "haproxy.cfg"
        configuration.write_text(
            _HAPROXY.format(
                mode=HAPROXY[kind],
                plain=running.plain,
                secure=running.secure,
                pem=pem,
                router=router,
            )
        )
        command = [haproxy_binary(), "-db", "-f", str(configuration)]
    with Process(command, folder / "log") as process:
        eventually(
            lambda: (
                process.process.poll() is not None
                or (is_open(running.secure) and (kind == TRAEFIK or is_open(running.plain)))
            )
        )
        assert process.process.poll() is None, (folder / "log").read_text()
        yield running


def _traefik(
    running: Gateway, router: int, folder: Path, pair: tuple[Path, Path], hosts: tuple[str, ...]
) -> list[str]:
    certificate, key = pair
    rule = " || ".join(f"Host(`{host}`)" for host in hosts)
    service = {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{router}"}]}}
    # JSON is YAML, too.
    file = folder / "traefik.yaml"
    words = {
        "http": {
            "routers": {"site": {"rule": rule, "service": "site", "tls": {}}},
            "services": {"site": service},
        },
        "tls": {"certificates": [{"certFile": str(certificate), "keyFile": str(key)}]},
    }
    file.write_text(json.dumps(words))
    return [
        str(build.binary("traefik")),
        f"--entrypoints.secure.address=127.0.0.1:{running.secure}",
        f"--providers.file.filename={file}",
        "--accesslog=true",
        "--accesslog.format=json",
        f"--accesslog.filepath={running.access_log}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]


def haproxy_binary() -> str:
    """The path of HAProxy; fails loudly where it is missing."""
    found = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise RuntimeError(f"HAProxy is missing: {apt.command('test')}")
    return found


class Second:
    """The user who comes next: bob, on a connection of his own that the gateway keeps."""

    #: What bob may never see: the others' pods say their names in what they send.
    MARKS = (b"alice", b"mallory", b"pwned", b"EVIL")

    def __init__(self, port: int) -> None:
        self.port = port
        self.wire: Wire | None = None

    def close(self) -> None:
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def follows(self) -> None:
        """Bob's next request is answered by his own pod; nothing of another pod's ever comes."""
        for _ in range(3):
            try:
                status = self._ask()
            except Gone:
                # The gateway had closed it.
                self.close()
                continue
            # A gateway may find the kept connection closed at the very moment it writes.
            if status != 502:
                return
        raise AssertionError("bob was not served")

    def _ask(self) -> int:
        if self.wire is None:
            self.wire = Wire(self.port)
        try:
            answer = of_bob(self.wire)
        finally:
            for mark in self.MARKS:
                assert mark not in self.wire.seen, bytes(self.wire.seen)
        if not answer.keeps:
            self.close()
        return answer.status


def of_bob(wire: Wire) -> Answer:
    """Send bob's request over this connection; his pod's answer, or a 502 of the gateway's own."""
    try:
        wire.send(b"GET /of-bob HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-bob\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        raise Gone from None
    answer = wire.answer()
    if answer.status != 502:
        words = json.loads(answer.body)
        assert (words["name"], words["target"]) == ("bob", "/of-bob"), words
    return answer


class Behind(Router):
    """A router as clients of a gateway see it, and bob's requests after every one of theirs."""

    def __init__(self, router: Router, running: Gateway, second: Second) -> None:
        vars(self).update(vars(router), port=running.plain)
        self.gateway_kind = running.kind
        self.second = second

    def wire(self) -> Wire:
        """A client's connection as the gateway shares it best: one that was used before."""
        wire = Wire(self.port)
        for _ in range(2):
            of_bob(wire)
        return wire

    def exchange(self, port: int, data: bytes, method: str) -> Response:
        if port != self.port:
            return super().exchange(port, data, method)
        wire = self.wire()
        try:
            wire.send(data)
            return read_response(wire.connection, method)
        finally:
            self.second.follows()
            wire.close()
