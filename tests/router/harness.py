"""Runs what the router tests need: nginx with the shipped files, workloads, a pretended Django.

Everything is a real process or a real socket on loopback with a port of its own, and ends by
process id. The pretended Django answers whoami as told, also in ways that a real one should
never; tests with a real Django are in ``test_django.py``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.testcluster import apt
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
ROUTER = ROOT / "manifests" / "router"
WORKLOAD = Path(__file__).with_name("workload.py")


def nginx_binary() -> str:
    """The path of nginx; fails loudly where nginx, its Lua or a module of that is missing."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None or apt.missing("router"):
        raise RuntimeError(f"nginx with Lua is missing: {apt.command('router')}")
    return found


def load_modules() -> str:
    """The lines of the shipped main.conf that load nginx's modules."""
    text = (ROUTER / "settings" / "main.conf").read_text()
    return "\n".join(re.findall("^load_module .*;$", text, re.MULTILINE))


def eventually(true: Callable[[], Any], timeout: float = 10) -> Any:
    """Wait for something to become true and return it; AssertionError after ``timeout`` s."""
    end = time.monotonic() + timeout
    while True:
        if found := true():
            return found
        assert time.monotonic() < end, f"not true within {timeout} s"
        time.sleep(0.02)


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


@dataclass
class Process:
    """A child process that is ended by its id when its block ends."""

    command: list[str]
    log: Path
    #: All of its environment; None for this process's own.
    environment: dict[str, str] | None = None
    process: subprocess.Popen[bytes] = field(init=False)

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=self.environment
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait; kill what does not listen."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def workload(name: str, folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """A running workload; yields its ``host:port``."""
    port = port or free_port(host)
    command = [sys.executable, str(WORKLOAD), "--name", name, "--host", host, "--port", str(port)]
    with Process(command, folder / f"{name}.log"):
        eventually(lambda: is_open(port, host))
        yield f"{host}:{port}"


@dataclass(frozen=True)
class Response:
    """A whole response: header names in lower case, in order, duplicates kept."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    def json(self) -> Any:
        return json.loads(self.body)

    def sent(self, name: str) -> list[str]:
        """The values of one header as they reached the workload that answered."""
        return [value for key, value in self.json()["headers"] if key.lower() == name.lower()]


def read_response(connection: socket.socket, method: str = "GET") -> Response:
    """Read one response from a socket."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    headers = tuple((key.lower(), value) for key, value in response.getheaders())
    body = response.read()
    return Response(response.status, headers, body)


def raw(port: int, data: bytes, method: str = "GET", timeout: float = 20) -> Response:
    """Send bytes as they are and read one response."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(data)
        return read_response(connection, method)


def lua(value: object) -> str:
    """A Python value as Lua source: strings, numbers, booleans, lists, dictionaries."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        escaped = "".join(f"\\{b:03d}" if b < 32 or b in b'"\\' else chr(b) for b in value.encode())
        return f'"{escaped}"'
    if isinstance(value, list):
        return "{ " + ", ".join(lua(item) for item in value) + " }"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {lua(item)}" for key, item in value.items()) + " }"
    raise TypeError(type(value))


def pods_conf(pods_url: str) -> str:
    """Return what settings/pods.conf has to be for a `pods_url`."""
    has_host = "://" in pods_url
    lines = ["include reserved.conf;"] if has_host else []
    if not has_host or "{pod}" not in pods_url:
        lines.append("include shared-host.conf;")
    return "\n".join([*lines, ""])


@dataclass
class Router:
    """The shipped nginx.conf and Lua, unchanged, with settings of this test.

    ``django`` is the port of Django on loopback; ``options`` go into settings.lua;
    ``public`` are more lines for the public server, ``gateway`` whether loopback counts as the
    gateway in front.
    """

    folder: Path
    django: int
    options: dict[str, object] = field(default_factory=dict)
    public: str = "proxy_connect_timeout 2s; proxy_read_timeout 5s;"
    gateway: bool = False
    workers: int = 2
    # Lines of settings/site.conf and what takes their place.
    site: dict[str, str] = field(default_factory=dict)
    # Paths that are the site's; none where pods have hosts.
    site_paths: tuple[str, ...] = ("/accounts/", "/admin/", "/api/", "/static/", "/userpods/")
    # Lines of settings/servers.conf: more servers.
    servers: str = ""
    port: int = field(default_factory=free_port)
    internal: int = field(default_factory=free_port)
    process: Process = field(init=False)

    def write(self) -> None:
        """Lay out the folder that nginx runs in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "run").mkdir(exist_ok=True)
        (self.folder / "settings").mkdir(exist_ok=True)
        for file in (*ROUTER.glob("*.conf"), ROUTER / "lua"):
            link = self.folder / file.name
            if not link.exists():
                link.symlink_to(file)
        options = {
            "allow_loopback": True,
            "internal": f"127.0.0.1:{self.internal}",
            **self.options,
        }
        believed = "127.0.0.0/8" if self.gateway else "192.0.2.0/24"
        site = (ROUTER / "settings" / "site.conf").read_text()
        for old, new in self.site.items():
            assert old in site, old
            site = site.replace(old, new)
        site_paths = () if "://" in str(options.get("pods_url", "")) else self.site_paths
        paths = "\n".join(f"location {path} {{ include site.conf; }}" for path in site_paths)
        settings = {
            "main.conf": f"worker_processes {self.workers};\n{load_modules()}",
            "http.conf": f"""
                upstream django {{ server 127.0.0.1:{self.django}; }}
                upstream userpods_whoami {{ server 127.0.0.1:{self.django}; keepalive 64; }}
                map $server_port $userpods_site_host {{ default site.test; }}
                map $server_port $userpods_site_proto {{ default https; }}
            """,
            "public.conf": f"""
                listen 127.0.0.1:{self.port} reuseport;
                set_real_ip_from {believed}; real_ip_header X-Forwarded-For;
                client_header_timeout 20s;
                {self.public}
                {paths}
            """,
            "pods.conf": pods_conf(str(options.get("pods_url", ""))),
            "servers.conf": self.servers,
            "site.conf": site,
            "internal.conf": f"listen 127.0.0.1:{self.internal};\n",
            "settings.lua": f"return {lua(options)}\n",
        }
        for name, text in settings.items():
            (self.folder / "settings" / name).write_text(text)

    @property
    def command(self) -> list[str]:
        command = [nginx_binary(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        return [*command, "-g", "user root;"] if os.geteuid() == 0 else command

    def __enter__(self) -> Self:
        self.write()
        self.process = Process(self.command, self.folder / "log").__enter__()
        eventually(lambda: is_open(self.port) or self.process.process.poll() is not None)
        assert self.process.process.poll() is None, self.log()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()
        log = self.log()
        # A Lua error, a crashed worker, a misused API: never acceptable, whatever was tested.
        for line in log.splitlines():
            assert "lua entry thread aborted" not in line, line
            assert "failed to run" not in line, line
            assert "exited on signal" not in line, line
            assert "[alert]" not in line or "open socket" in line, line
            assert "[emerg]" not in line, line

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def get(
        self,
        path: str = "/",
        *headers: tuple[str, str],
        method: str = "GET",
        body: bytes = b"",
        host: str = "site.test",
        port: int | None = None,
    ) -> Response:
        """One request on a connection of its own; the path and headers as they are given."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{key}: {value}" for key, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return self.exchange(port or self.port, head + body, method)

    def exchange(self, port: int, data: bytes, method: str) -> Response:
        """Send a request to this port and read the answer."""
        return raw(port, data, method)

    def purge(self, user_id: str) -> Response:
        body = json.dumps({"user_id": user_id}).encode()
        return self.get("/purge", method="POST", body=body, port=self.internal)
