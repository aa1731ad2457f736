"""What must be true where pods have addresses, as pure functions like those of `oracles`."""

from __future__ import annotations

import posixpath
import re
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from django.http import parse_cookie

from tests.router.fuzz.oracles import SITE_COOKIES, SITE_PATHS, Finding, for_gunicorn, target_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.router.fuzz.pods import Received
    from tests.router.wire import Answer

#: What is ours of a pod's host, and the one spelling in which Django may get it.
RESERVED = "/.userpods"
#: The length from which the router takes a credential's value for a secret (cookies.lua).
SECRET = 16
_NO_TOKEN = re.compile(r"[^\w!#$%&'*+\-.^`|~]", re.ASCII)
#: What some server or other strips from a value.
_AROUND = re.compile(f"^{_NO_TOKEN.pattern}+|{_NO_TOKEN.pattern}+$", re.ASCII)
_PREFIX = re.compile("^__(?:host|secure)-")
_SPELLED = re.compile(r"/\.userpods/(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]*")
_OURS = {"userpods", "userpods_nonce", "userpods_owner", "userpods_wanted", "userpods_token"}
# (nginx takes several CRs at a line's end for one; RFC 9112, 2.2, has a bare CR read as a space.)
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t\r]*")


def lower(text: str) -> str:
    """Text of a header in lower case as HTTP has it: ASCII alone, whatever else there is."""
    return text.encode("latin-1").lower().decode("latin-1")


def fields_of(data: bytes) -> list[tuple[str, str]]:
    """The headers of a request that are some; names in lower case."""
    lines = data.lstrip(b"\r\n").split(b"\n")[1:]
    matches = filter(None, map(_FIELD.fullmatch, lines))
    return [(lower(it[1].decode()), it[2].decode("latin-1")) for it in matches]


def credentials_of(data: bytes) -> bytes:
    """The lines of a request that say who asks, with all cookies in one."""
    lines = for_gunicorn(data).lstrip(b"\r\n").split(b"\n")[1:]
    kept = [it.rstrip(b"\r") for it in lines if re.match(rb"(?i)(cookie|authorization):", it)]
    return b"".join(line + b"\r\n" for line in kept if _FIELD.fullmatch(line))


def readings(target: str) -> set[str]:
    """The paths that nginx or something of Python's may read a target as."""
    raw = re.split("[?#]", target)[0]
    found = {raw, unquote(raw, "latin-1")}
    found |= {re.sub("/+", "/", path) for path in found}
    folders = ("/", "/.", "/..")
    return found | {
        posixpath.normpath(path) + "/" * path.endswith(folders) for path in found if path
    }


def place_of(received: Received, has_hosts: bool) -> tuple[str, str]:
    """Host and path of a request as its pod sees them, as whoami would be told of them."""
    if has_hosts:
        return ", ".join(received.all("host")), ""
    path = re.match(r"/[^/]*/[^/?#]*/?", received.request.target)
    return "", path[0] if path else received.request.target


def is_ours(name: str, has_hosts: bool) -> bool:
    """Tell whether a cookie of this name is ours, or, where its host is shared, the site's."""
    site = set() if has_hosts else SITE_COOKIES
    return lower(name).startswith("__host-userpods") or name in _OURS | site


def is_started_elsewhere(method: str, fields: Iterable[tuple[str, str]]) -> bool:
    """Tell whether another origin started a request (docs/router.md), to https:// its host."""
    said: dict[str, list[str]] = {}
    for name, value in fields:
        said.setdefault(lower(name), []).append(value)
    origins, sites = said.get("origin", []), said.get("sec-fetch-site", [])
    own = "https://" + lower(said.get("host", [""])[0]).removesuffix(":443")
    if len(origins) > 1:
        return True
    if origins and lower(origins[0]) != own and (origins[0], sites) != ("null", ["same-origin"]):
        return True
    if sites in ([], ["same-origin"], ["none"]):
        return False
    navigates = said.get("sec-fetch-mode") == ["navigate"]
    is_one = len(sites) == 1
    return not (
        is_one and method == "GET" and navigates and said.get("sec-fetch-dest") == ["document"]
    )


def pod_findings(
    data: bytes, name: str, received: Received, has_hosts: bool, secrets: Iterable[bytes]
) -> list[Finding]:
    """What reached the pod of ``name`` is no path of ours, nobody else's, and holds no secret."""
    found = []
    request = received.request
    paths = readings(request.target)
    if request.target != target_of(data):
        found.append(Finding("path", "changed", f"{data[:200]!r} became {request.target!r}"))
    if has_hosts and any(path.startswith(RESERVED) for path in paths):
        found.append(Finding("path", "ours", f"{name}'s pod got {request.target!r}"))
    if not has_hosts and not all(path.startswith(f"/pods/{name}/") for path in paths):
        found.append(Finding("path", "another pod's", f"{name}'s pod got {request.target!r}"))
    hosts = [value for key, value in fields_of(data) if key == "host"]
    if received.all("host") != hosts[:1]:
        found.append(Finding("host", "differs", f"{received.all('host')}, {hosts}"))
    if received.all("x-userpods-user") != [name]:
        found.append(Finding("forged", "user", f"{name}'s: {received.all('x-userpods-user')}"))
    prefix = [] if has_hosts else [f"/pods/{name}"]
    if received.all("x-forwarded-prefix") != prefix:
        found.append(Finding("forged", "prefix", repr(received.all("x-forwarded-prefix"))))
    for key, value in request.headers:
        if re.match("x[-_]userpods[-_](?!user$)", lower(key)):
            found.append(Finding("forged", lower(key), value))
    if is_started_elsewhere(request.method, request.headers):
        found.append(Finding("origin", "to a pod", repr(received.bytes[:500])))
    names = set().union(*map(_names, received.all("cookie")))
    if taken := {it for it in names if is_ours(it, has_hosts)}:
        found.append(Finding("secret", "a cookie of ours", f"{taken}: {received.all('cookie')}"))
    told = _without_what_the_client_tells(data, received, has_hosts)
    if any(secret in told for secret in secrets):
        found.append(Finding("secret", "a credential", repr(received.bytes[:500])))
    return found


def _without_what_the_client_tells(data: bytes, received: Received, has_hosts: bool) -> bytes:
    """What the pod got of ``data``, but for what the client itself tells it.

    That is what stands in a cookie that nothing in it says to be ours, or in a header of which
    nobody takes a credential (``Authorzation``).
    """
    values = _values_of_credentials(data, has_hosts)
    sent = set(fields_of(data))
    lines = [f"{received.request.method} {received.request.target}"]
    for key, value in received.request.headers:
        if not _holds_credentials(key) and (lower(key), value) in sent:
            continue
        pairs = value.split(";") if key.lower() == "cookie" else []
        ours = [
            pair
            for pair in pairs
            if _has_name_of_ours(pair, has_hosts) or any(it in pair for it in values)
        ]
        lines.append(f"{key}: {';'.join(ours) if pairs else value}")
    return "\n".join(lines).encode("latin-1") + b"\n\n" + received.body


def _holds_credentials(name: str) -> bool:
    """Tell whether a header says who asks, in any case of letters, odd bytes or not."""
    plain = lower(_NO_TOKEN.sub("", name)).replace("_", "-")
    return plain in {"authorization", "cookie", "proxy-authorization"}


def _has_name_of_ours(pair: str, has_hosts: bool) -> bool:
    """Tell whether a cookie, or what a comma in it begins, has a name that is taken for ours."""
    parts = [pair, *(part for part in pair.split(",") if "=" in part)]
    return any(_is_taken_for_ours(part.partition("=")[0], has_hosts) for part in parts)


def _is_taken_for_ours(name: str, has_hosts: bool) -> bool:
    """Tell whether a name is ours in any case of letters, with any prefix, and odd bytes in it."""
    name = lower(_NO_TOKEN.sub("", name))
    return is_ours(name, has_hosts) or is_ours(_PREFIX.sub("", name), has_hosts)


def _values_of_credentials(data: bytes, has_hosts: bool) -> set[str]:
    """What the client itself says to be a credential, where it is long enough to be one."""
    credentials = {"__host-userpods" if has_hosts else "sessionid", "userpods_token"}
    found = set()
    for pair in ";".join(value for key, value in fields_of(data) if key == "cookie").split(";"):
        name, _, value = pair.partition("=")
        name = lower(_NO_TOKEN.sub("", name))
        if {name, _PREFIX.sub("", name)} & credentials:
            found.add(_AROUND.sub("", value))
    return {value for value in found if len(value) >= SECRET}


def _names(cookies: str) -> set[str]:
    names = set(parse_cookie(cookies))
    try:
        return names | set(SimpleCookie(cookies))
    except CookieError:
        return names


def told_findings(data: bytes, told: Sequence[tuple[str, str]], has_hosts: bool) -> list[Finding]:
    """Of where the pod is, whoami heard what the request line and Host say, and nothing else."""
    hosts = {lower(value) for key, value in fields_of(data) if key == "host"}
    target = target_of(data) or ""
    return [
        Finding("told", "whoami", f"{(host, path)}, of {data[:300]!r}")
        for host, path in told
        if not (
            (host in hosts and not path)
            if has_hosts
            else (not host and re.fullmatch("/pods/[^/]+/", path) and target.startswith(path))
        )
    ]


def site_findings(data: bytes, through: Mapping[str, Any], has_hosts: bool) -> list[Finding]:
    """What reached Django beside whoami is the site's or ours, in its one spelling."""
    found = []
    if through["raw"] != target_of(data):
        found.append(Finding("path", "changed", f"{data[:200]!r} became {through['raw']!r}"))
    if not has_hosts:
        if any(path.startswith("/pods/") for path in readings(through["raw"])):
            found.append(Finding("path", "a pod's", repr(through["raw"])))
        # As nginx reads it. Django gets it as it came, and has no such page.
        if not any(path.startswith(SITE_PATHS) for path in readings(through["raw"])):
            found.append(Finding("path", "not the site's", repr(through["path"])))
        if through["forged"]:
            found.append(Finding("forged", "to the site", repr(through["forged"])))
        return found
    if not _SPELLED.fullmatch(through["raw"].partition("?")[0]):
        found.append(Finding("path", "not ours", f"Django got {through['raw']!r}"))
    hosts = [value for key, value in fields_of(data) if key == "host"]
    if hosts[:1] != through["told"][:1] or through["forged"] != ["HTTP_X_USERPODS_HOST"]:
        detail = f"{through['told']}, {through['forged']}, of {hosts}"
        found.append(Finding("told", "the site", detail))
    if through["host"] != "site.test":
        found.append(Finding("host", "not the site's", repr(through["host"])))
    # Names of ours with another prefix pass, too, and with blanks and the like in them, which some
    # servers strip: Django takes them for none.
    names = [lower(_NO_TOKEN.sub("", key)).removeprefix("__secure-") for key in through["cookies"]]
    if others := [name for name in names if not is_ours(name, has_hosts)]:
        found.append(Finding("site", "cookies of the application's", repr(others)))
    if is_started_elsewhere(through["method"], fields_of(data)):
        found.append(Finding("origin", "to the site", repr(data[:500])))
    return found


def set_cookie_findings(answer: Answer, has_hosts: bool) -> list[Finding]:
    """No pod sets a cookie with a name of ours, in any case, or for more hosts than its own."""
    found = []
    for value in answer.all(b"set-cookie"):
        pair, *attributes = value.decode("latin-1").split(";")
        name = pair.partition("=")[0].strip()
        if is_ours(lower(name), has_hosts):
            found.append(Finding("set-cookie", "ours", repr(value)))
        if any(lower(part.partition("=")[0].strip()) == "domain" for part in attributes):
            found.append(Finding("set-cookie", "for all hosts", repr(value)))
    return found
