"""Where a pod is found: from ``USERPODS_URL`` to a pod's URL, and from a host or path to a pod.

There are three ways, told apart by what the setting looks like:

- ``https://{pod}.pods.example.org/``: a host for each pod,
- ``https://app.example.org/``: one host for all; who asks decides which pod,
- ``/pods/{pod}/``: a path below the site's own host.

What stands for ``{pod}``, the *label*, is the pod's name without ``USERPODS_NAME_PREFIX``. Reading
is strict: what is not exactly what we would write is the address of no pod, so that Django, the
router and a browser can never take one address for two pods. Two liberties are those of HTTP (RFC
9110, section 4.2.3): a host's upper case, and a default port that is spelled out.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple
from urllib.parse import urlsplit

from django_userpods.core import naming

POD = "{pod}"
#: What is ours of a pod's host; everything else of it is the pod's.
RESERVED_PREFIX = "/.userpods/"
#: The longest name of a host (RFC 1035, section 2.3.4, without the last dot).
_MAX_HOST = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH = r"/(?:[A-Za-z0-9._~-]+/)*\{pod\}/\Z"
_SEGMENT = r"(?:\A|/)\.{1,2}/"
#: No white space, control characters or backslash, which browsers drop or read as a slash
#: (WHATWG URL, section 4.4), and nothing beyond ASCII.
_PLAIN = r"[!-\[\]-~]*\Z"


class Way(Enum):
    """How pods are told apart."""

    HOSTS = "a host for each pod"
    ONE_HOST = "one host for all pods"
    PATHS = "a path for each pod"


class _Main(Enum):
    MAIN = "the main pod of whoever asks"


#: What an address names that is everybody's own.
MAIN = _Main.MAIN


class Addresses(NamedTuple):
    """A valid ``USERPODS_URL``; see ``parse``."""

    way: Way
    #: "http" or "https"; that of the site, if known, where pods are paths.
    scheme: str
    #: What follows the label in a host's name (".pods.example.org"), or the whole name; "" for
    #: pods that are paths below a site that nobody named.
    host: str
    #: None for the scheme's own.
    port: int | None
    #: What precedes the label in a path ("/pods/").
    prefix: str = "/"

    @property
    def is_secure(self) -> bool:
        """Whether there is TLS, and so a cookie that only its own host can set."""
        return self.scheme == "https"

    def origin(self, label: str) -> str:
        """Return a pod's origin (``https://alice.pods.example.org``), "" where not known."""
        if not self.host:
            return ""
        port = "" if self.port is None else f":{self.port}"
        name = label + self.host if self.way is Way.HOSTS else self.host
        return f"{self.scheme}://{name}{port}"

    def path(self, label: str) -> str:
        """Return the path of a pod: ``/``, or ``/pods/alice/``."""
        return f"{self.prefix}{label}/" if self.way is Way.PATHS else "/"

    def url(self, label: str) -> str:
        """Return a pod's own URL, which ends with a slash."""
        return self.origin(label) + self.path(label)

    def at(self, host: str, path: str = "/") -> str | _Main | None:
        """Return the label at a host (as in ``Host``) or path; MAIN for everybody's; else None.

        The path is the request's own, as it was sent, up to the question mark.
        """
        if self.way is Way.PATHS:
            return self._at_path(path)
        if not host.isascii():
            return None
        name, colon, port = host.lower().partition(":")
        if colon and port != str(self.port or _DEFAULT_PORTS[self.scheme]):
            return None
        if not colon and self.port is not None and self.port != _DEFAULT_PORTS[self.scheme]:
            return None
        if self.way is Way.ONE_HOST:
            return MAIN if name == self.host else None
        label = name.removesuffix(self.host)
        return label if label != name and is_label(label) else None

    def covers(self, host: str) -> bool:
        """Tell whether a host's name, without a port, may be that of a pod."""
        if self.way is Way.ONE_HOST:
            return host.lower() == self.host
        label = host.lower().removesuffix(self.host)
        return self.way is Way.HOSTS and label != host.lower() and is_label(label)

    def split(self, url: str) -> tuple[str | _Main, str] | None:
        """Return the label that a URL names and the path and query to open; None for no pod's.

        Nothing that a browser may read in another way than we do is a pod's. Of our own prefix
        none is to be opened: it becomes the pod's root.
        """
        if not re.match(_PLAIN, url):
            return None
        if self.way is Way.PATHS and url.startswith("/") and not url.startswith("//"):
            authority, rest = "", url
        else:
            scheme, separator, after = url.partition("://")
            if not separator or scheme != self.scheme:
                return None
            end = min((at for at in map(after.find, "/?#") if at >= 0), default=len(after))
            authority, rest = after[:end], after[end:]
            if self.way is Way.PATHS and f"{scheme}://{authority}" != self.origin(""):
                return None
        rest = rest.partition("#")[0]
        path, mark, query = rest.partition("?")
        label = self.at(authority, path or "/")
        if label is None:
            return None
        if self.way is not Way.PATHS and (path + "/").startswith(RESERVED_PREFIX):
            path, mark, query = "/", "", ""
        return label, (path or "/") + mark + query

    def _at_path(self, path: str) -> str | None:
        label, slash, _ = path.removeprefix(self.prefix).partition("/")
        is_below = path.startswith(self.prefix) and bool(slash)
        return label if is_below and is_label(label) else None


def is_label(text: str) -> bool:
    """Tell whether a pod could be found under this label; no punycode can be one."""
    return naming.is_valid_label(text) and text[2:4] != "--"


def label_of(name: str, *, prefix: str) -> str | None:
    """Return the label of a pod's name; None where it has none.

    A name that was given under another ``USERPODS_NAME_PREFIX`` has none: what two names could
    stand for is the address of no pod.
    """
    label = name.removeprefix(prefix)
    return label if label != name and is_label(label) else None


def parse(url: str, site: str | None = None) -> Addresses:
    """Read ``USERPODS_URL``; raise ValueError, which says what is wrong.

    ``site`` is ``USERPODS_SITE_URL``, below which pods of the third way are.
    """
    if not re.match(_PLAIN, url):
        message = "has blanks, backslashes, control characters or letters beyond ASCII"
        raise ValueError(message)
    if "?" in url or "#" in url:
        message = "has a query or fragment"
        raise ValueError(message)
    if url.count(POD) > 1 or "{" in url.replace(POD, "") or "}" in url.replace(POD, ""):
        message = "may have one placeholder, {pod}, once"
        raise ValueError(message)
    if url.startswith("/") and not url.startswith("//"):
        return _parse_path(url, site)
    scheme, host, port = _parse_origin(url.replace(POD, "x"))
    if POD not in url:
        return Addresses(Way.ONE_HOST, scheme, host, port)
    authority = url.partition("://")[2]
    if not authority.startswith(f"{POD}."):
        message = "has {pod} elsewhere than as the first part of the host's name"
        raise ValueError(message)
    if _is_address(host):
        message = "has {pod} before an IP address"
        raise ValueError(message)
    if len(host) - 1 + naming.MAX_LABEL > _MAX_HOST:
        message = f"makes host names longer than {_MAX_HOST} characters"
        raise ValueError(message)
    return Addresses(Way.HOSTS, scheme, host[1:], port)


def parse_site(url: str) -> Addresses:
    """Read ``USERPODS_SITE_URL``, an origin and a slash; raise ValueError, which says what."""
    if not re.match(_PLAIN, url):
        message = "has blanks, backslashes, control characters or letters beyond ASCII"
        raise ValueError(message)
    return Addresses(Way.ONE_HOST, *_parse_origin(url))


def _parse_path(url: str, site: str | None) -> Addresses:
    if not url.endswith("/"):
        message = "does not end with '/'"
        raise ValueError(message)
    if POD not in url:
        message = "is a path without {pod}"
        raise ValueError(message)
    if not re.match(_PATH, url) or re.search(_SEGMENT, url):
        message = "is a path whose last part is not {pod}, or with other than plain parts before it"
        raise ValueError(message)
    prefix = url.removesuffix(f"{POD}/")
    if prefix == "/":
        message = "leaves the site no path of its own"
        raise ValueError(message)
    if site is None:
        return Addresses(Way.PATHS, "", "", None, prefix)
    of_site = parse_site(site)
    return Addresses(Way.PATHS, of_site.scheme, of_site.host, of_site.port, prefix)


def _parse_origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL that is an origin and a slash, in its only spelling."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:
        message = "begins with neither 'https://', 'http://' nor '/'"
        raise ValueError(message)
    authority, slash, path = rest.partition("/")
    if not slash:
        message = "does not end with '/'"
        raise ValueError(message)
    if path:
        message = "has a path behind the host"
        raise ValueError(message)
    if "@" in authority:
        message = "has a user's name in it"
        raise ValueError(message)
    if authority != authority.lower():
        message = "has upper case in the host's name"
        raise ValueError(message)
    try:
        port = urlsplit(url).port
    except ValueError:
        message = "has an invalid port"
        raise ValueError(message) from None
    host = authority if port is None else authority.removesuffix(f":{port}")
    if port == 0 or (port is not None and host == authority) or host.endswith(":"):
        message = "has an invalid port"
        raise ValueError(message)
    if len(host) > _MAX_HOST or not all(map(naming.is_valid_label, host.split("."))):
        message = f"has {host!r}, which is not a host name"
        raise ValueError(message)
    return scheme, host, None if port == _DEFAULT_PORTS[scheme] else port


def _is_address(host: str) -> bool:
    """Tell whether browsers read this as an IPv4 address (WHATWG URL, "ends in a number")."""
    last = host.rpartition(".")[2]
    return last.isdigit() or re.match(r"0x[0-9a-f]*\Z", last) is not None
