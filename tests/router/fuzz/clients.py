"""Clients' connections to the router, each of which can be told by what reaches a pod.

Each comes from a loopback address of its own, which the router tells pods and whoami of in
X-Forwarded-For. So a request that arrives late, of a client that is gone, is held against that one
and not against the example that runs by then; and the bytes of an example stay what they are.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tests.router.fuzz.oracles import Finding
from tests.router.wire import Wire

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from tests.router.fuzz.pods import Pod, Received

LATE = "requests that arrived after their client had given up"


class Clients:
    """Connects to the router's ``port``; says in ``count`` how many requests came late."""

    def __init__(self, port: int, count: Counter[str]) -> None:
        self._port = port
        self._count = count
        self._numbers = itertools.count(1)
        #: Address -> how many more requests of it may arrive.
        self._left: dict[str, int] = {}
        #: Address -> what was sent from it, for those of an example's bytes.
        self._bytes: dict[str, bytes] = {}

    def connect(self, timeout: float = 10) -> Wire:
        """A connection from an address that none had before."""
        number = next(self._numbers)
        # 127.64.0.1 and on: 127.0.0.1 is everybody else's.
        source = f"127.{64 + (number >> 16) % 64}.{number >> 8 & 255}.{number & 255}"
        self._left[source] = 0
        return Wire(self._port, timeout, source)

    def sent(self, wire: Wire, most: int = 1, data: bytes = b"") -> None:
        """So many requests at most were sent on this connection just now, in these bytes."""
        self._left[wire.source] += most
        if data:
            self._bytes[wire.source] = data

    def is_one(self, source: str) -> bool:
        """Tell whether a client has, or had, this address."""
        return source in self._left

    def arrived(
        self, wire: Wire, pods: Iterable[Pod]
    ) -> tuple[list[tuple[Pod, Received]], list[Finding]]:
        """What reached these pods from this connection since this was asked last; what is wrong.

        No connection may have more requests arrive than it sent, however late, and no request may
        arrive that none of them sent.
        """
        own, found = [], []
        for pod in pods:
            # Pods go on meanwhile, in a thread of their own.
            count = len(pod.received)
            for received in pod.received[:count]:
                source = ", ".join(received.all("x-forwarded-for"))
                if not self.is_one(source):
                    detail = f"{pod.name}'s pod heard of {source!r}: {received.bytes[:300]!r}"
                    found.append(Finding("forged", "x-forwarded-for", detail))
                    continue
                self._left[source] -= 1
                if self._left[source] < 0:
                    data = self._bytes.get(source, b"")[:600]
                    detail = f"{received.bytes[:300]!r} is one too many, of {data!r}"
                    found.append(Finding("smuggled", "a request", detail))
                if source == wire.source:
                    own.append((pod, received))
                else:
                    self._count[LATE] += 1
            del pod.received[:count]
        return own, found
