"""What must be true of every exchange, as pure functions: they return what is wrong, as findings.

A finding's first word names its oracle. `docs/fuzzing.md` lists them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import parse_cookie

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.router.fuzz.pods import Received
    from tests.router.wire import Answer

#: The cookies that are the site's own, in the test site.
SITE_COOKIES = {"sessionid", "csrftoken", "messages", "userpods_token"}
#: The paths that are the site's own.
SITE_PATHS = ("/accounts/", "/admin/", "/api/", "/static/", "/userpods/")
_FORGED = (
    "x-target-",
    "x-userpods-",
    "x-remote-user",
    "x-auth-",
    "remote-user",
    "x-forwarded-user",
)
_LOGGED = re.compile(
    r"exited on signal|\[emerg\]|\[alert\](?!.*open socket)|lua entry thread aborted|failed to run"
    r"|whoami gave no usable answer"
)
# nginx takes line ends before it, CRs alone as well, and blanks behind the version for nothing, as
# RFC 9112, 2.2 and 3, let a server.
_REQUEST_LINE = re.compile(rb"[\r\n]*[A-Za-z_-]+ +([^\s\x00-\x1f]+) +HTTP/1\.\d+ *\r?\n")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*\r?")
# nginx takes a bare LF for the end of a line here, too.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,7})[ \t]*(;[^\r\n]*)?\r?\n")


class Finding(NamedTuple):
    """Something that must not be: which oracle, what kind of thing, and the details."""

    oracle: str
    kind: str
    detail: str


def log_findings(lines: Iterable[str]) -> list[Finding]:
    """Nothing in nginx's error log says that it, or the Lua in it, went wrong."""
    return [Finding("log", match[0], line) for line in lines if (match := _LOGGED.search(line))]


def is_silence(finding: Finding) -> bool:
    """Tell whether this is Django's not answering whoami in time (nginx.conf: 5 s)."""
    return finding.oracle == "log" and "whoami gave no usable answer: cut short" in finding.detail


# -- answers of pods --------------------------------------------------------------------------


def set_cookie_findings(answer: Answer) -> list[Finding]:
    """No answer of a pod sets a cookie that Django would take for the site's, or for all hosts."""
    found = []
    for value in answer.all(b"set-cookie"):
        pair, *attributes = value.decode("latin-1").split(";")
        name, equals, text = (part.strip(" \t") for part in pair.partition("="))
        sent_back = f"{name}={text}" if equals and name else pair.strip(" \t").lstrip("=")
        if taken := SITE_COOKIES & set(parse_cookie(sent_back)):
            found.append(Finding("set-cookie", "the site's", f"{sorted(taken)}: {value!r}"))
        if any(part.partition("=")[0].strip().lower() == "domain" for part in attributes):
            found.append(Finding("set-cookie", "for all hosts", repr(value)))
    return found


def next_user_findings(seen: bytes, answer: Answer | None, body: bytes) -> list[Finding]:
    """The next user on a connection has their own pod's answer, to the byte."""
    if answer is None:
        return []
    if (answer.status, answer.body) != (200, body):
        return [Finding("leak", "another answer", f"wanted {body!r}, came {seen[:500]!r}")]
    if any(mark in seen for mark in (b"pwned", b"EVIL", b"canary-of-mallory")):
        return [Finding("leak", "bytes of another pod", repr(seen[:500]))]
    return []


# -- requests of clients ----------------------------------------------------------------------


def most_requests(data: bytes) -> int:
    """How many requests these bytes can be, read with care (RFC 9112): one that frames its body in
    a way that can be read in two is the last. Line ends before one are none.
    """
    count = 0
    while data := data.lstrip(b"\r\n"):
        count += 1
        end = re.search(rb"\r?\n\r?\n", data)
        if end is None:
            return count
        head, data = data[: end.start()], data[end.end() :]
        length = _framed(head)
        if length == "chunked":
            after = _after_chunks(data)
            if after is None:
                return count
            data = after
        elif isinstance(length, int):
            data = data[length:]
        else:
            return count
    return count


_FRAMES = {b"content-length", b"transfer-encoding"}
#: Not where a name only ends like one of the two.
_FRAMING = re.compile(rb"(?<![!#$%&'*+\-.^_`|~0-9a-z])(content-length|transfer-encoding):")


def _framed(head: bytes) -> int | str | None:
    """Return the body's length, "chunked", or None where it can be read in two ways."""
    framing: list[tuple[bytes, bytes]] = []
    for line in head.lstrip(b"\r\n").split(b"\n")[1:]:
        # Blanks, control characters and the like, which some strip from the ends of a name.
        plain = re.sub(rb"^[^\x21-\x7e]+|[^\x21-\x7e]+(?=:)", b"", line.lower())
        if not _FRAMING.search(plain):
            continue
        if not (match := _HEADER.fullmatch(line)):
            return None
        name = match[1].lower()
        if name not in _FRAMES and b"\r" not in match[2]:
            continue  # the value of another header, which nobody takes for two
        framing.append((name, match[2]))
    match framing:
        case []:
            return 0
        case [(b"content-length", value)] if value.isdigit():
            return int(value)
        case [(b"transfer-encoding", value)] if value.lower() == b"chunked":
            return "chunked"
    return None


def _after_chunks(data: bytes) -> bytes | None:
    while match := _CHUNK.match(data):
        size = int(match[1], 16)
        data = data[match.end() :]
        if size == 0:
            end = re.search(rb"(?:^|\r?\n)\r?\n", data)
            return data[end.end() :] if end else None
        if not (end := re.match(rb"\r?\n", data[size:])):
            return None
        data = data[size + end.end() :]
    return None


def target_of(data: bytes) -> str | None:
    """The path and query of the first request, as the pod must get them; None if unclear."""
    if not (match := _REQUEST_LINE.match(data)):
        return None
    target = match[1].decode("latin-1")
    if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\\]*", target):
        target = target[scheme.end() :]
        target = target if target.startswith("/") else "/" + target
    return target


def pod_findings(
    data: bytes, name: str, received: Received, reading: Mapping[str, Any] | None
) -> list[Finding]:
    """What reached the pod of ``name`` is what the client asked and what Django would say of it."""
    found = []
    users = received.all("x-userpods-user")
    if users != [name]:
        found.append(Finding("forged", "user", f"{name}'s pod was told of {users}"))
    for key, value in received.request.headers:
        lower = key.lower().replace("_", "-").strip()
        if lower.startswith(_FORGED) and lower not in {"x-userpods-user"}:
            found.append(Finding("forged", lower, f"{key}: {value}"))
    if len(received.all("host")) > 1:
        found.append(Finding("host", "not one", repr(received.all("host"))))
    target = target_of(data)
    if target is not None and received.request.target != target:
        found.append(Finding("path", "changed", f"{target!r} became {received.request.target!r}"))
    if any("upt_" in value for value in received.all("authorization")):
        found.append(Finding("secret", "token", repr(received.all("authorization"))))
    if reading is None:
        return found
    if reading["user"] != name:
        kind = f"Django says {'nobody' if reading['user'] is None else 'another'}"
        found.append(Finding("identity", kind, f"{name}'s pod, but Django says {reading['user']}"))
    if reading["host"] is not None and received.all("host") not in ([], [reading["raw_host"]]):
        found.append(Finding("host", "differs", f"{received.all('host')}, {reading['raw_host']}"))
    if reading["path"].startswith(SITE_PATHS) and "/." not in reading["path"]:
        found.append(Finding("path", "the site's", f"{name}'s pod got {reading['path']!r}"))
    for key in SITE_COOKIES & set(reading["cookies"]):
        value = reading["cookies"][key]
        if len(value) > 8 and value.encode("latin-1", "replace") in received.bytes:
            found.append(Finding("secret", key, repr(received.bytes[:500])))
    return found


def site_findings(
    data: bytes, through: Mapping[str, Any], reading: Mapping[str, Any]
) -> list[Finding]:
    """Django reads a request through the router as it reads the client's own bytes.

    Of cookies it is the site's that count: those of applications stay with the pods. A body in
    chunks is none to Django alone, which goes by the length; the router gives it one.
    """
    keys = ["user", "path", "query", "method", "host", "authorization"]
    if b"chunked" not in data.lower():
        keys.append("body")
    found = [
        Finding("site", key, f"{through[key]!r} through the router, {reading[key]!r} without")
        for key in keys
        if through[key] != reading[key]
    ]
    sides = [
        [side["cookies"].get(key) for key in sorted(SITE_COOKIES)] for side in (through, reading)
    ]
    if sides[0] != sides[1]:
        found.append(
            Finding("site", "cookies", f"{sides[0]} through the router, {sides[1]} without")
        )
    if through["forged"]:
        found.append(Finding("forged", "to the site", repr(through["forged"])))
    return found


def for_gunicorn(data: bytes) -> bytes:
    """The same bytes without line ends in front, the first request's Cookie headers in one.

    gunicorn refuses the former, which RFC 9112, 2.2, has ignored. Of cookies clients send one;
    HTTP/2 may split it, and whoever makes HTTP/1.1 of that joins the parts with "; " (RFC 9113,
    8.2.3), as nginx does. gunicorn joins with a comma, which no cookie survives.
    """
    data = data.lstrip(b"\r\n")
    end = re.search(rb"\r?\n\r?\n", data)
    if end is None:
        return data
    lines = data[: end.start()].split(b"\n")
    cookies = [at for at, line in enumerate(lines) if re.match(rb"cookie:", line, re.IGNORECASE)]
    if len(cookies) < 2:
        return data
    values = [lines[at].partition(b":")[2].strip(b" \t\r") for at in cookies]
    lines[cookies[0]] = b"Cookie: " + b"; ".join(values) + b"\r"
    kept = [line for at, line in enumerate(lines) if at not in cookies[1:]]
    return b"\n".join(kept).rstrip(b"\r") + data[end.start() :]
