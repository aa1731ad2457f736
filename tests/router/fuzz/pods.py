"""Two users' pods in this process: an honest one, and one that answers as a program says."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import Self

from tests.router.workload import Request, read_request


@dataclass(frozen=True)
class Program:
    """What a hostile pod sends: some bytes, a pause before each next; then it keeps or closes."""

    parts: tuple[bytes, ...]
    keeps: bool = False
    #: Seconds between two parts, and before closing.
    pause: float = 0.005


@dataclass(frozen=True)
class Received:
    """One request as it reached a pod."""

    request: Request
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.request.headers if key.lower() == name]

    @property
    def bytes(self) -> bytes:
        lines = [f"{self.request.method} {self.request.target}"]
        lines += [f"{key}: {value}" for key, value in self.request.headers]
        return "\n".join(lines).encode("latin-1") + b"\n\n" + self.body


class Pod:
    """One pod: ``canary`` is in every answer of its own, ``received`` what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.canary = f"canary-of-{name}"
        self.program: Program | None = None
        #: More headers of honest answers, as lines.
        self.more = b""
        #: Its user's session, where the fuzzer asks as that user.
        self.session = b""
        #: Until when (``time.monotonic``) the router may leave its address alone.
        self.rests = 0.0
        self.received: list[Received] = []
        #: What came and was no request: nobody but nginx speaks to a pod.
        self.broken: list[str] = []
        self.port = 0

    @property
    def peer(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = None
        try:
            request = await read_request(reader)
            if request is None:
                return False
            body = await _body(request, reader)
        except (ValueError, asyncio.LimitOverrunError) as error:
            self.broken.append(f"{error!r}, of {request}")
            return False
        self.received.append(Received(request, body))
        program = self.program
        if program is None:
            said = b"" if request.method == "HEAD" else self.says(request.target)
            length = len(self.says(request.target))
            head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (self.more, length)
            writer.write(head + said)
            await writer.drain()
            return True
        for part in program.parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(program.pause)
        return program.keeps

    def says(self, target: str) -> bytes:
        """The whole body of an honest answer."""
        return f"{self.canary} {target}".encode("latin-1")


async def _body(request: Request, reader: asyncio.StreamReader) -> bytes:
    if request.get("transfer-encoding"):
        body = b""
        # A line that has no end is one of a client that went away, which nginx passes on.
        while size := int(await reader.readuntil(b"\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readuntil(b"\n")
        return body
    return await reader.readexactly(int(request.get("content-length") or 0))


class Pods:
    """Runs pods on ports of loopback, in a thread of their own."""

    def __init__(self, *names: str) -> None:
        self.pods = [Pod(name) for name in names]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._servers = []
        for pod in self.pods:
            server = await asyncio.start_server(pod.serve, "127.0.0.1", 0, limit=1 << 18)
            pod.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
