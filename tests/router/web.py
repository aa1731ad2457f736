"""A browser as far as addresses and cookies go: a jar for each host, and what it says of a link."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

if TYPE_CHECKING:
    from tests.router.harness import Response, Router

LINK = (
    ("Accept", "text/html"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
)


@dataclass
class Page:
    """Where a browser is, what it got there, and through which addresses it came."""

    url: str
    response: Response
    way: list[str]


@dataclass
class Browser:
    """Takes every host to this router; what TLS there is ends in front of it."""

    router: Router
    jars: dict[str, dict[str, str]] = field(default_factory=dict)

    def jar(self, host: str) -> dict[str, str]:
        """The cookies that a host is sent: its own, and those of a domain above it."""
        found: dict[str, str] = {}
        for name, jar in self.jars.items():
            if name == host or (name.startswith(".") and host.endswith(name)):
                found |= jar
        return found

    def get(self, url: str, *headers: tuple[str, str], form: dict[str, str] | None = None) -> Page:
        """Open an address as a link, or post a form to it, and follow redirects."""
        way = []
        site = "none"
        for _ in range(12):
            way.append(url)
            response = self.once(url, ("Sec-Fetch-Site", site), *LINK, *headers, form=form)
            location = response.get("location")
            if response.status not in {302, 303, 308} or location is None:
                return Page(url, response, way)
            after = urljoin(url, location)
            if urlsplit(after).netloc != urlsplit(url).netloc:
                site = "same-site"
            url, form = after, None
        raise AssertionError(f"redirects without end: {way}")

    def once(
        self, url: str, *headers: tuple[str, str], form: dict[str, str] | None = None
    ) -> Response:
        """One request; keeps what cookies its answer sets."""
        parts = urlsplit(url)
        host = parts.netloc
        said = list(headers)
        if cookies := self.jar(host):
            said.append(("Cookie", "; ".join(f"{key}={value}" for key, value in cookies.items())))
        body = b""
        if form is not None:
            origin = f"{parts.scheme}://{host}"
            said += [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin)]
            body = urlencode(form).encode()
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        response = self.router.get(
            path, *said, method="GET" if form is None else "POST", body=body, host=host
        )
        for text in response.all("set-cookie"):
            self.keep(host, text)
        return response

    def keep(self, host: str, text: str) -> None:
        pair, *attributes = [part.strip() for part in text.split(";")]
        name, _, value = pair.partition("=")
        said = dict(part.lower().partition("=")[::2] for part in attributes)
        if name.startswith("__Host-"):
            assert "secure" in said
            assert "domain" not in said
            assert said["path"] == "/"
        domain = said.get("domain", "").lstrip(".")
        jar = self.jars.setdefault(f".{domain}" if domain else host, {})
        jar.pop(name, None)
        if said.get("max-age") != "0":
            jar[name] = value.strip('"')

    def sign_in(self, page: Page, name: str) -> Page:
        """Fill in the admin's login page."""
        text = page.response.body.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)
        after = re.search(r'name="next" value="([^"]*)"', text)
        assert token is not None, text
        form = {"csrfmiddlewaretoken": token[1], "username": name, "password": name}
        form["next"] = after[1].replace("&amp;", "&") if after else "/admin/"
        return self.get(page.url, form=form)
