"""Everything that the fuzzer plays with: nginx, gunicorn with Django, and two pods."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.router.fuzz.clients import Clients
from tests.router.fuzz.pods import Pod, Pods
from tests.router.harness import ROOT, Process, Router, eventually, is_open
from tests.router.wire import Gone, Malformed, Wire
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.wire import Answer

#: Seconds after which a request that is not answered is taken for one that is not whole.
PATIENCE = 0.15
#: How many hostile pods there are, to go on with another while the router leaves one alone.
HOSTILE = 16


@dataclass
class World:
    """Runs it all in ``folder``; ``options`` are more settings of the router.

    ``pods_url`` says where pods are found, as USERPODS_URL; "" is at / of the site's host.
    """

    folder: Path
    options: dict[str, object] = field(default_factory=dict)
    pods_url: str = ""
    #: How often what was compared came about at all.
    count: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            hostile = 0 if self.pods_url else HOSTILE
            names = ["alice", "bob", *(f"mallory{number}" for number in range(hostile))]
            self.pods = stack.enter_context(Pods(*names))
            self.alice, self.bob, *self._hostile = self.pods.pods
            self.site, self.direct = free_port(), free_port()
            options = {"login_url": "/admin/login/", "recheck_seconds": 60, **self.options}
            if self.pods_url:
                options |= {"pods_url": self.pods_url, "site_url": "https://site.test/"}
            self.router = Router(self.folder / "nginx", self.site, options=options, workers=1)
            self.environment = os.environ | {
                "DJANGO_SETTINGS_MODULE": "tests.router.fuzz.settings",
                "SITE_DATABASE": str(self.folder / "db.sqlite3"),
                "SITE_ROUTER": f"http://127.0.0.1:{self.router.internal}",
                "SITE_DIRECT": str(self.direct),
                "SITE_PODS": self.pods_url,
                # The cluster in memory would move pods to addresses of its own.
                "SITE_INLINE_TIMEOUT": "0",
                "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
            }
            self.clients = Clients(self.router.port, self.count)
            stack.enter_context(self.router)
            self._command("prepare", *(pod.peer for pod in (self.alice, self.bob)))
            if self._hostile:
                words = (f"{pod.name}={pod.peer}" for pod in self._hostile)
                sessions = self._command("people", *words).split()
                for pod, session in zip(self._hostile, sessions, strict=True):
                    pod.session = session
            self.secrets: dict[bytes, bytes] = {b"@CS@": b"c5" * 16}
            stands = (b"@SA@", b"@TA@", b"@HA@", b"@SB@", b"@TB@", b"@HB@")
            values = self._command("credentials", self.alice.name, self.bob.name).split()
            self.secrets |= dict(zip(stands, values, strict=True))
            command = ["env", *(f"{key}={value}" for key, value in self._changed().items())]
            command += [sys.executable, "-m", "gunicorn", "--threads=8", "--keep-alive=5"]
            command += ["-b", f"127.0.0.1:{self.site}", "-b", f"127.0.0.1:{self.direct}"]
            command += ["--worker-tmp-dir", str(self.folder)]
            command += ["django.core.wsgi:get_wsgi_application()"]
            stack.enter_context(Process(command, self.folder / "gunicorn.log"))
            eventually(lambda: self._is_up(), 90)
            self._log = stack.enter_context((self.router.folder / "log").open(errors="replace"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def hostile(self) -> Pod:
        """A hostile pod that the router still speaks to."""
        pod = min(self._hostile, key=lambda pod: pod.rests)
        time.sleep(max(0.0, pod.rests - time.monotonic()))
        pod.rests = max(pod.rests, time.monotonic())
        return pod

    def filled(self, data: bytes) -> bytes:
        """An example's bytes with this run's credentials in place of their names."""
        for name, value in self.secrets.items():
            data = data.replace(name, value)
        return data

    def unfilled(self, text: str) -> str:
        """The other way round, for what is printed."""
        for name, value in self.secrets.items():
            text = text.replace(value.decode(), name.decode())
        return text

    def logged(self) -> list[str]:
        """What nginx wrote to its error log since this was asked last."""
        return self._log.read().splitlines()

    def reading(self, data: bytes) -> dict[str, Any] | None:
        """Django's own reading of a client's bytes; None where gunicorn refuses them."""
        wire = Wire(self.direct, timeout=PATIENCE)
        try:
            wire.send(data)
            answer = wire.answer()
        except (Gone, Malformed, TimeoutError, OSError):
            return None
        finally:
            wire.close()
        if answer.status >= 500:
            raise RuntimeError(f"Django fails: {answer.body[:500]!r}")
        return reading_of(answer.body) if answer.status == 200 else None

    def told(self, wire: Wire) -> list[tuple[str, str]]:
        """Which host and path whoami was told of (X-Userpods-*), since this was asked last.

        For this client, and for one that is none of ours; but not for another one, who came
        before, and not where the router asks by itself about a request of before that still runs.
        """
        return [
            (host, path)
            for host, path, client in self._told()
            if client == wire.source or (client and not self.clients.is_one(client))
        ]

    def _told(self) -> list[list[str]]:
        answer = self._ask(self.direct, b"GET /told HTTP/1.1\r\nHost: site.test\r\n\r\n")
        told: list[list[str]] = json.loads(answer.body)
        return told

    def granted(self, host: str, path: str, credentials: bytes) -> str | None:
        """Whom whoami itself, without the router, lets in there; "" for nobody.

        ``credentials`` are lines of headers. None where gunicorn refuses them.
        """
        lines = [b"GET /whoami HTTP/1.1", b"Host: site.test"]
        lines += [b"X-Userpods-Host: " + host.encode("latin-1")] if host else []
        lines += [b"X-Userpods-Path: " + path.encode("latin-1")] if path else []
        answer = self._ask(self.site, b"\r\n".join([*lines, credentials, b""]))
        self._told()
        if answer.status in {200, 401, 403}:
            return b"".join(answer.all(b"x-userpods-user")).decode()
        return None

    def _ask(self, port: int, data: bytes) -> Answer:
        wire = Wire(port)
        try:
            wire.send(data)
            return wire.answer()
        finally:
            wire.close()

    def _is_up(self) -> bool:
        request = b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n"
        return is_open(self.direct) and self.reading(request) is not None

    def _changed(self) -> dict[str, str]:
        before = os.environ
        return {key: value for key, value in self.environment.items() if before.get(key) != value}

    def _command(self, *arguments: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "tests.router.site_command", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.strip()


def reading_of(body: bytes) -> dict[str, Any] | None:
    """The reading that an answer of the site holds, if it is one."""
    if not re.match(rb'\{"user": ', body):
        return None
    words: dict[str, Any] = json.loads(body)
    return words
