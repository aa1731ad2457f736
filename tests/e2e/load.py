"""A steady load of requests from users who are signed in, that counts every failure."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.e2e.client import GATEWAY, HOST
from tests.e2e.report import Disruption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.client import Client
    from tests.e2e.report import Report
    from tests.e2e.site import Site


@dataclass(frozen=True)
class Kind:
    """One kind of request: whose, what for, and whether its connection is kept."""

    user: str
    host: str
    path: str
    client: Client
    kept: bool

    def wrong(self, status: int, body: bytes) -> str:
        """What is wrong with an answer; empty for nothing."""
        if status != 200:
            return str(status)
        if self.path == "/" and json.loads(body)["user"] != self.user:
            return "another user's pod"
        return ""


@dataclass
class Load:
    """Requests at a fixed rate to the node's own addresses while the block runs.

    Each user asks for the own pod over new connections and over kept ones, for what is Django's
    there, and for a page of the site: *rate* is that of all together, per second. A request that is
    late does not slow the others down, so a stall of the site shows as slow requests, and none is
    left out.
    """

    clients: dict[str, Client]
    rate: float = 24
    total: int = 0
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: float = 0

    def __enter__(self) -> Self:
        self._kinds = [
            Kind(user, host, path, client, kept)
            for user, client in self.clients.items()
            for host, path, kept in (
                (client.host, "/", False),
                (client.host, "/", True),
                (client.host, "/.userpods/status/", False),
                (HOST, "/accounts/", False),
            )
        ]
        self._stop = threading.Event()
        self._lock = threading.Lock()
        interval = 2 * len(self._kinds) / self.rate
        self._threads = [
            # Two threads for each kind, in turn: one slow request does not hold the next one up.
            threading.Thread(target=self._ask, args=(kind, interval, turn * interval / 2))
            for kind in self._kinds
            for turn in range(2)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def failures(self, user: str | None = None) -> int:
        """How many requests failed, of all or of one user."""
        return sum(count for (whose, _), count in self.failed.items() if user in (None, whose))

    def summary(self) -> str:
        """The failures in a few words: what, and how many times."""
        kinds: Counter[str] = Counter()
        for (_, what), count in self.failed.items():
            kinds[what] += count
        return ", ".join(f"{count} x {what}" for what, count in kinds.most_common()) or "none"

    def _ask(self, kind: Kind, interval: float, first: float) -> None:
        connection: http.client.HTTPConnection | None = None
        due = time.monotonic() + first
        while not self._stop.wait(max(0, due - time.monotonic())):
            due += interval
            started = time.monotonic()
            try:
                connection = connection or kind.client.connect(kind.host)
                wrong, keep = self._once(kind, connection)
            except (OSError, http.client.HTTPException) as error:
                wrong, keep = type(error).__name__, False
            with self._lock:
                self.total += 1
                self.slowest = max(self.slowest, time.monotonic() - started)
                if wrong:
                    self.failed[kind.user, f"{wrong} ({kind.path})"] += 1
            if connection and not keep:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _once(self, kind: Kind, connection: http.client.HTTPConnection) -> tuple[str, bool]:
        jar = kind.client.jars[kind.host]
        cookies = "; ".join(f"{key}={value}" for key, value in jar.items())
        headers = {
            "Host": kind.host,
            "Cookie": cookies,
            "Accept": "application/json",
            **GATEWAY,
            "Connection": "keep-alive" if kind.kept else "close",
        }
        connection.request("GET", kind.path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        keep = kind.kept and response.getheader("Connection", "").lower() != "close"
        return kind.wrong(response.status, body), keep


@contextmanager
def under_load(site: Site, report: Report, name: str) -> Iterator[Load]:
    """A load during the block and two seconds before and after, and its line in the report."""
    clients = {user: site.signed_in(user) for user in ("alice", "bob")}
    started = time.monotonic()
    with Load(clients) as load:
        time.sleep(2)
        yield load
        time.sleep(2)
    report.disruptions.append(
        Disruption(
            name=name,
            requests=load.total,
            failed=load.failures(),
            detail=load.summary(),
            slowest=load.slowest,
            seconds=time.monotonic() - started,
        )
    )
    assert load.total > 20, "there was no load"
