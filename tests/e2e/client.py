"""A client of the site as a browser is one: cookies for each host, CSRF tokens, tickets.

Requests go straight to an address, and say in headers what they would say through the address's
own gateway: the host that is meant and, where *gateway* stands for one, that TLS ended before.
"""

from __future__ import annotations

import http.client
import http.cookies
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

HOST = "userpods.example.org"
ORIGIN = f"https://{HOST}"
#: What a gateway says that took a request over TLS from somebody.
GATEWAY = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
#: What a browser says of a page that somebody opens.
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
#: The cookies with which somebody is signed in, at the site and on a pod's host.
SITE_SESSION, POD_SESSION = "__Host-sessionid", "__Host-userpods"


def pods_host(user: str) -> str:
    """The host of a user's pod."""
    return f"{user}.pods.example.org"


@dataclass(frozen=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        return next(iter(self.all(name)), "")


@dataclass
class Client:
    """One person's browser. With *tls* it speaks TLS itself, else as a gateway that did.

    *at* is where a host's name leads: (address, port). *host* is what is asked for where nothing
    else is said.
    """

    at: Callable[[str], tuple[str, int]]
    tls: ssl.SSLContext | None = None
    host: str = HOST
    jars: dict[str, dict[str, str]] = field(default_factory=dict)
    timeout: float = 30

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the host that is asked for."""
        return self.jars.setdefault(self.host, {})

    def request(
        self,
        method: str,
        path: str,
        *,
        host: str = "",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; the cookies that come back are kept."""
        host = host or self.host
        jar = self.jars.setdefault(host, {})
        sent = {"Host": host, "Connection": "close", **(headers or {})}
        if not self.tls:
            sent |= GATEWAY
        if jar and "Cookie" not in sent:
            sent["Cookie"] = "; ".join(f"{key}={value}" for key, value in jar.items())
        connection = self.connect(host)
        try:
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        for text in answer.all("Set-Cookie"):
            for name, morsel in http.cookies.SimpleCookie(text).items():
                if morsel.value:
                    jar[name] = morsel.value
                else:
                    jar.pop(name, None)
        return answer

    def connect(self, host: str = "") -> http.client.HTTPConnection:
        """A connection to where the host's name leads, TLS with that name where it is wanted."""
        host = host or self.host
        address, port = self.at(host)
        connection = http.client.HTTPConnection(address, port, timeout=self.timeout)
        connection.connect()
        if self.tls:
            connection.sock = self.tls.wrap_socket(connection.sock, server_hostname=host)
        return connection

    def get(self, path: str = "/", **headers: str) -> Answer:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.request("GET", path, headers=named)

    def open(self, url: str) -> tuple[str, Answer]:
        """Open a page as a person does and go where it leads: the last URL, and its answer."""
        for _ in range(10):
            parts = urllib.parse.urlsplit(url)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            answer = self.request("GET", path, host=parts.netloc, headers=NAVIGATION)
            if answer.status not in {301, 302, 303, 308}:
                return url, answer
            url = urllib.parse.urljoin(url, answer.header("Location"))
        raise AssertionError(f"{url}: led on and on")

    def enter(self, user: str) -> Answer:
        """Go to a user's pod, through the site's ticket, and ask that host from now on."""
        _, answer = self.open(f"https://{pods_host(user)}/")
        self.host = pods_host(user)
        return answer

    def api_login(self, user: str, password: str) -> Answer:
        """Sign in at the site with JSON, as a script does."""
        return self.request(
            "POST",
            "/api/login",
            host=HOST,
            body=json.dumps({"user": user, "pwd": password}).encode(),
            headers={"Content-Type": "application/json"},
        )

    def submit(self, path: str, **fields: str) -> Answer:
        """Fetch the site's form at *path*, fill *fields* in and send it, as a browser does."""
        page = self.request("GET", path, host=HOST, headers={"Accept": "text/html"})
        assert page.status == 200, f"{path}: {page.status} {page.header('Location')}"
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, f"no form at {path}"
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Referer": f"{ORIGIN}{path}",
            "Origin": ORIGIN,
            "Accept": "text/html",
        }
        return self.request("POST", path, host=HOST, body=data, headers=headers)

    def form_login(self, user: str, password: str, *, to: str = "/") -> None:
        """Sign in at the login page."""
        path = f"/accounts/login/?next={urllib.parse.quote(to, safe='')}"
        answer = self.submit(path, username=user, password=password)
        assert (answer.status, answer.header("Location")) == (302, to), answer.text
