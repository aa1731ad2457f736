"""A user's workload as a real process: HTTP/1.1 and WebSocket, says who it is, echoes headers.

Runs alone (``python workload.py --name alice --port 9001``), on the standard library only, and
can misbehave in the ways a router must survive: hang, close early, send its own errors, try to
set the site's cookies. `main` at the end lists the paths.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
from collections import deque
from dataclasses import dataclass
from urllib.parse import parse_qsl

WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass(frozen=True)
class Request:
    """One request as it came in: the target unparsed, every header in order."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.target.partition("?")[2], encoding="latin-1")

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


class Workload:
    """Answers connections. ``name`` is what it says of itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = itertools.count(1)
        self.requests = 0
        #: The last ones, but those that ask for these.
        self.seen: deque[str] = deque(maxlen=100)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side has enough."""
        number = next(self.connections)
        try:
            while (request := await read_request(reader)) is not None:
                self.requests += 1
                if not await self.answer(request, reader, writer, number):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def answer(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: int,
    ) -> bool:
        """Answer one request; whether the connection may be used again."""
        query = dict(request.query)
        if request.path != "/seen":
            self.seen.append(f"{request.method} {request.target}")
        # (Who asks for bytes of their own gets those in place of a handshake.)
        is_upgrade = (request.get("upgrade") or "").lower() == "websocket"
        if is_upgrade and request.path not in {"/raw", "/parts"}:
            await self.websocket(request, reader, writer)
            return False
        if await self.misbehaves(request, writer):
            return False
        if request.path == "/slow":
            await asyncio.sleep(float(query["seconds"]))
        size, digest = await read_body(request, reader)
        status, extra, body = "200 OK", [], b""
        if request.path.startswith("/status/"):
            status = request.path.removeprefix("/status/") + " Own"
        elif request.path == "/headers-back":
            # Every query pair becomes a response header, as latin-1.
            extra = request.query
        elif request.path == "/big-header":
            extra = [("X-Big", "x" * int(query["bytes"]))]
        elif request.path == "/big":
            body = bytes(int(query["bytes"]))
        elif request.path == "/seen":
            body = json.dumps(list(self.seen)).encode()
        if not body:
            words = {
                "name": self.name,
                "method": request.method,
                "target": request.target,
                "headers": request.headers,
                "body": size,
                "sha256": digest,
                "connection": connection,
                "requests": self.requests,
            }
            body = json.dumps(words).encode()
        head = [f"HTTP/1.1 {status}", "Content-Type: application/json"]
        head += [f"{key}: {value}" for key, value in extra]
        head.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
        if request.method != "HEAD":
            writer.write(body)
        await writer.drain()
        # "x-close": close without having said so.
        return (request.get("connection") or "").lower() != "close" and not request.get("x-close")

    async def misbehaves(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Do what this path asks for in place of an answer; False if it asks for nothing such."""
        query = dict(request.query)
        if request.path == "/hang":
            await asyncio.sleep(3600)
            return True
        if request.path == "/close":
            return True
        if request.path == "/half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            await writer.drain()
            return True
        if request.path == "/raw":
            writer.write(query["bytes"].encode("latin-1"))
            await writer.drain()
            return True
        if request.path == "/parts":
            # Each "bytes" in turn, some seconds apart; the first one at once.
            for number, part in enumerate(v for key, v in request.query if key == "bytes"):
                if number:
                    await asyncio.sleep(float(query["apart"]))
                writer.write(part.encode("latin-1"))
                await writer.drain()
            return True
        if request.path == "/sse":
            await self.events(writer, float(query.get("every", "0.1")))
            return True
        return False

    async def events(self, writer: asyncio.StreamWriter, every: float) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in itertools.count(1):
            writer.write(f"data: {self.name} {number}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(every)

    async def websocket(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Say hello, then send every text back with our name before it."""
        key = (request.get("sec-websocket-key") or "").encode()
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_GUID).digest()).decode()  # noqa: S324 - a WebSocket's handshake
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        writer.write(frame(f"hello from {self.name}".encode()))
        await writer.drain()
        while True:
            first, second = await reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await reader.readexactly(8), "big")
            mask = await reader.readexactly(4)
            payload = await reader.readexactly(length)
            if first & 0x0F == 8:
                return
            text = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
            writer.write(frame(self.name.encode() + b": " + text))
            await writer.drain()


def frame(payload: bytes) -> bytes:
    """One unmasked WebSocket text frame of at most 65,535 bytes."""
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return bytes([0x81, 126]) + len(payload).to_bytes(2, "big") + payload


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request's head, or None when the other side is done."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    # Blanks alone, as HTTP has it (RFC 9110, 5.5): to Python \x85 and \xa0 are some, too.
    return Request(method, target, tuple((key, value.strip(" \t")) for key, _, value in pairs))


async def read_body(request: Request, reader: asyncio.StreamReader) -> tuple[int, str]:
    """Read a body by length or in chunks; its size in bytes and its SHA-256."""
    size, digest = 0, hashlib.sha256()

    async def take(count: int) -> None:
        nonlocal size
        while count:
            data = await reader.read(min(count, 1 << 16))
            if not data:
                raise ConnectionError
            digest.update(data)
            size += len(data)
            count -= len(data)

    if (request.get("transfer-encoding") or "").lower() == "chunked":
        while count := int(await reader.readline(), 16):
            await take(count)
            await reader.readexactly(2)
        await reader.readline()
    elif length := request.get("content-length"):
        await take(int(length))
    return size, digest.hexdigest()


async def run(name: str, host: str, port: int) -> None:
    """Serve until killed; the first line printed is the port."""
    workload = Workload(name)
    server = await asyncio.start_server(workload.serve, host, port, limit=1 << 17)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(run(options.name, options.host, options.port))


if __name__ == "__main__":
    main()
