"""A client of the site as a browser is one: cookies, CSRF tokens, and a fixed address to ask.

Requests go straight to an address, and say in headers what they would say through the address's
own gateway: the site's host and, where *gateway* stands for one, that TLS ended before the router.
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

HOST = "userpods.example.org"
ORIGIN = f"https://{HOST}"
#: What a gateway says that took a request over TLS from somebody.
GATEWAY = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


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
    """One person's browser. With *tls* it speaks TLS itself, else as a gateway that did."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    timeout: float = 30

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; the cookies that come back are kept."""
        sent = {"Host": HOST, "Connection": "close", **(headers or {})}
        if not self.tls:
            sent |= GATEWAY
        if self.cookies and "Cookie" not in sent:
            sent["Cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        for text in answer.all("Set-Cookie"):
            for name, morsel in http.cookies.SimpleCookie(text).items():
                if morsel.value:
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)
        return answer

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the address, TLS with the site's name where that is wanted."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        connection.connect()
        if self.tls:
            connection.sock = self.tls.wrap_socket(connection.sock, server_hostname=HOST)
        return connection

    def get(self, path: str = "/", **headers: str) -> Answer:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.request("GET", path, headers=named)

    def api_login(self, user: str, password: str) -> Answer:
        """Sign in with JSON, as a script does."""
        return self.request(
            "POST",
            "/api/login",
            body=json.dumps({"user": user, "pwd": password}).encode(),
            headers={"Content-Type": "application/json"},
        )

    def submit(self, path: str, **fields: str) -> Answer:
        """Fetch the form at *path*, fill *fields* in and send it, as a browser does."""
        page = self.get(path, Accept="text/html")
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
        return self.request("POST", path, body=data, headers=headers)

    def form_login(self, user: str, password: str, *, to: str = "/") -> None:
        """Sign in at the login page."""
        path = f"/accounts/login/?next={urllib.parse.quote(to, safe='')}"
        answer = self.submit(path, username=user, password=password)
        assert (answer.status, answer.header("Location")) == (302, to), answer.text
