"""What the fault proxy can do with a call instead of letting it through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from tests.faultproxy import Exchange

#: How long ``hang`` hangs if nobody frees it.
_LONGEST = 120.0

#: What is done with a call instead of letting it through.
Action: TypeAlias = "Callable[[Exchange], None]"


@dataclass(frozen=True)
class Answer:
    """An answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Rule:
    """Which calls an action is for."""

    action: Action
    method: str | None
    path: re.Pattern[str]
    query: re.Pattern[str]
    nth: int | None
    times: int | None
    seen: int = 0

    def fires(self, method: str, path: str, query: str) -> bool:
        """Count a call, and tell whether the action is for it."""
        if self.method not in (None, method):
            return False
        if not self.path.search(path) or not self.query.search(query):
            return False
        self.seen += 1
        if self.nth is not None:
            return self.seen == self.nth
        return self.times is None or self.seen <= self.times


def delay(seconds: float) -> Action:
    """Wait, then let the call through."""

    def act(exchange: Exchange) -> None:
        exchange.freed.wait(seconds)
        exchange.pass_through()

    return act


def status(
    code: int,
    *,
    reason: str = "",
    message: str = "made up by the fault proxy",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    carried_out: bool = False,
) -> Action:
    """Answer a Kubernetes ``Status`` of that code, or ``body`` (give its Content-Type).

    With ``carried_out`` the API server does what was asked before, and its answer is dropped.
    """

    def act(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        said = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": {"name": exchange.path.partition("?")[0].rpartition("/")[2]},
            "code": code,
        }
        content = json.dumps(said).encode() if body is None else body
        exchange.answer(
            Answer(code, {"Content-Type": "application/json", **(headers or {})}, content)
        )

    return act


def html(code: int = 200, *, carried_out: bool = False) -> Action:
    """Answer as a captive portal or a proxy's error page does."""
    page = b"<html><head><title>Welcome</title></head><body><h1>Please log in</h1></body></html>"
    return status(code, headers={"Content-Type": "text/html"}, body=page, carried_out=carried_out)


def reset(*, carried_out: bool = False) -> Action:
    """Break the connection off without an answer; with ``carried_out`` after the deed."""

    def act(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        exchange.reset()

    return act


def cut(part: float = 0.5) -> Action:
    """Let the API server do it, send that part of its answer, and break the connection off."""

    def act(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.answer(answer, length=int(len(answer.body) * part))

    return act


def short(part: float = 0.5) -> Action:
    """Let the API server do it, and send that part of its answer as if it were the whole."""

    def act(exchange: Exchange) -> None:
        answer = exchange.forward()
        body = answer.body[: int(len(answer.body) * part)]
        exchange.answer(Answer(answer.status, answer.headers, body))

    return act


def trickle(pause: float = 0.2) -> Action:
    """Send the API server's answer a byte at a time, ``pause`` seconds apart."""

    def act(exchange: Exchange) -> None:
        exchange.answer(exchange.forward(), pause=pause)

    return act


def drip_headers(pause: float = 0.1) -> Action:
    """Begin an answer and send headers that do not end, a byte at a time."""

    def act(exchange: Exchange) -> None:
        exchange.forward()
        exchange.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not exchange.freed.wait(pause):
            exchange.write(b"a")
        exchange.reset()

    return act


def hang(*, carried_out: bool = False) -> Action:
    """Say nothing until ``clear`` or ``close``, then break the connection off."""

    def act(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        exchange.freed.wait(_LONGEST)
        exchange.reset()

    return act


def stream(
    body: bytes, *, size: int = 1 << 16, pause: float = 0.0, end: Literal["", "hang"] = ""
) -> Action:
    """Answer a watch with these lines, in chunks of ``size`` bytes, ``pause`` seconds apart.

    It ends well, or with ``hang`` not before ``clear`` or ``close``.
    """

    def act(exchange: Exchange) -> None:
        exchange.note(200)
        exchange.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            exchange.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if pause and exchange.freed.wait(pause):
                break
        if end == "hang":
            exchange.freed.wait(_LONGEST)
            exchange.reset()
        else:
            exchange.write(b"0\r\n\r\n")

    return act
