"""A site whose pods have hosts of their own: the router, Django itself, and clients with cookies.

One router serves both, as docs/router.md says under "Where pods are found".
"""

from __future__ import annotations

import contextlib
import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from tests.router.harness import Response, Router
from tests.router.real_django import SLOW, RealSite, environment_of, serving
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SITE = "https://www.example.org"
ALICES, BOBS = "alice.pods.example.org", "bob.pods.example.org"
NAVIGATES = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "none")]

_NETWORKS = itertools.count(1)
_SERVERS = """
server {{
    listen 127.0.0.1:{port};
    server_name www.example.org;
    set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;
    include site-server.conf;
    location / {{ include site.conf; }}
}}
"""


@dataclass(frozen=True)
class Site(RealSite):
    """A running site. ``peers`` are the pods' own addresses, by whose they are."""

    peers: dict[str, str]

    def received(self, name: str) -> list[str]:
        """Return the last requests that reached a pod (``GET /path``)."""
        port = int(self.peers[name].rpartition(":")[2])
        found: list[str] = self.router.get("/seen", port=port).json()
        return found


@contextlib.contextmanager
def hosts_site(
    folder: Path,
    peers: dict[str, str],
    *,
    limits: dict[str, str] | None = None,
    is_asgi: bool = False,
) -> Iterator[Site]:
    """Run a site with alice and bob, whose pods are at these addresses (``alice``, ``bob``).

    ``limits`` are put in the place of those that are shipped.
    """
    django = free_port()
    options = SLOW | {
        "pods_url": "https://{pod}.pods.example.org/",
        "site_url": f"{SITE}/",
        "session_cookie": "__Host-sessionid",
        "cookies": ["__Host-sessionid", "__Host-csrftoken", "messages"],
    }
    router = Router(folder / "nginx", django, options=options, gateway=True, site=limits or {})
    router.servers = _SERVERS.format(port=router.port)
    environment = environment_of(folder, router, settings="tests.router.hosts_settings")
    site = Site(router, environment, peers)
    with router:
        site.command("prepare", peers["alice"], peers["bob"])
        with serving(folder, django, environment, is_asgi=is_asgi):
            yield site


@dataclass
class Client:
    """A browser as far as cookies go: a jar for each host, what a host sets it alone gets."""

    site: Site
    jars: dict[str, dict[str, str]] = field(default_factory=dict)
    # One address of its own for each: the router bounds how often one tries passwords.
    address: str = field(default_factory=lambda: f"2001:db8:{next(_NETWORKS):x}::1")

    def jar(self, host: str) -> dict[str, str]:
        return self.jars.setdefault(host, {})

    def get(
        self,
        url: str,
        *headers: tuple[str, str],
        method: str = "GET",
        body: bytes = b"",
        host: str = "",
    ) -> Response:
        """Ask for a URL; ``host`` is another Host header than the URL's own."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        jar = self.jar(parts.netloc)
        sent = [("X-Forwarded-For", self.address), ("X-Forwarded-Proto", "https"), *headers]
        if jar:
            sent.append(("Cookie", "; ".join(f"{key}={value}" for key, value in jar.items())))
        answer = self.site.router.get(
            path, *sent, method=method, body=body, host=host or parts.netloc
        )
        for line in answer.all("set-cookie"):
            pair, _, attributes = line.partition(";")
            key, _, value = pair.partition("=")
            if "max-age=0" in attributes.lower().replace(" ", ""):
                jar.pop(key, None)
            else:
                jar[key] = value
        return answer

    def navigate(self, url: str, *headers: tuple[str, str]) -> tuple[str, Response]:
        """Go to a URL as a person does, and on; where that ends, and the answer there."""
        for _ in range(8):
            answer = self.get(url, *NAVIGATES, *headers)
            if answer.status not in {301, 302, 303, 307, 308}:
                return url, answer
            url = absolute(url, answer)
        raise AssertionError(f"no end of redirects: {url}")

    def sign_in(self, name: str) -> None:
        """At the site, with its own form."""
        login = f"{SITE}/admin/login/?next=/admin/"
        page = self.get(login, *NAVIGATES).body.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token is not None, page
        form = {"csrfmiddlewaretoken": token[1], "username": name, "password": name}
        answer = self.get(login, *posted(login), method="POST", body=urlencode(form).encode())
        assert answer.status == 302, answer.body

    def sign_out(self) -> None:
        """Of the site."""
        page = self.get(f"{SITE}/admin/", *NAVIGATES).body.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token is not None, page
        body = urlencode({"csrfmiddlewaretoken": token[1]}).encode()
        url = f"{SITE}/admin/logout/"
        assert self.get(url, *posted(url), method="POST", body=body).status == 200

    def asks(self, host: str, path: str = "/") -> str:
        """Come to a pod's host without a session there; where on the site that leads."""
        first = self.get(f"https://{host}{path}", *NAVIGATES)
        assert first.status == 302, first.body
        url = absolute(f"https://{host}{path}", first)
        return absolute(url, self.get(url, *NAVIGATES))

    def ticket(self, host: str, path: str = "/") -> str:
        """The URL with a ticket, not opened yet."""
        answer = self.get(self.asks(host, path), *NAVIGATES)
        assert answer.status == 302, answer.body
        return answer.get("location") or ""


def absolute(url: str, answer: Response) -> str:
    """Where an answer leads from a URL."""
    location = answer.get("location") or ""
    assert location, answer
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{location}" if location.startswith("/") else location


def posted(url: str) -> list[tuple[str, str]]:
    """The headers of a form that is posted from its own page."""
    parts = urlsplit(url)
    return [
        ("Origin", f"{parts.scheme}://{parts.netloc}"),
        ("Referer", url),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ]
