"""Pods' hosts, and a browser that goes to them: for tests of tickets and of sessions there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.test import Client

from django_userpods.models import PodSession
from django_userpods.reconcile import reconcile
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

SITE = "https://www.example.org"
ALICES, BOBS = "alice.pods.example.org", "bob.pods.example.org"
STATE = "0" * 64


@pytest.fixture(autouse=True)
def pods_hosts(settings: Any) -> None:
    """Give every pod a host of its own."""
    settings.ALLOWED_HOSTS = ["www.example.org", "testserver"]
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    settings.USERPODS_SITE_URL = f"{SITE}/"


@pytest.fixture
def bob(memory: MemoryCluster) -> Any:
    user = UserFactory(username="bob")
    reconcile()
    return user


class Browser:
    """A browser with a jar for each host; the router's part is to say which host it came to."""

    def __init__(self) -> None:
        self._jars: dict[str, Client] = {}

    def at(self, host: str) -> Client:
        return self._jars.setdefault(host, Client())

    def get(self, url: str, **headers: str) -> Any:
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        if f"{parts.scheme}://{parts.netloc}" != SITE:
            headers["X-Userpods-Host"] = parts.netloc
        return self.at(parts.netloc).get(path, headers=headers)

    def sign_in(self, user: Any) -> None:
        self.at("www.example.org").force_login(user)

    def ask(self, host: str, path: str = "/") -> str:
        """Come to a pod's host without credentials; return where on the site that leads."""
        query = urlencode({"next": path})
        answer = self.get(f"https://{host}/.userpods/sign-in?{query}")
        assert answer.status_code == 302
        return str(answer["Location"])

    def ticket(self, host: str, path: str = "/") -> str:
        """Return the URL with a ticket, not opened yet."""
        answer = self.get(self.ask(host, path))
        assert answer.status_code == 302, answer.content
        return str(answer["Location"])

    def enter(self, host: str, path: str = "/") -> Any:
        return self.get(self.ticket(host, path))

    def whoami(self, host: str) -> int:
        return int(self.get(f"https://{host}/whoami").status_code)


@pytest.fixture
def browser(alice: Any) -> Browser:
    """The browser of alice, who is signed in at the site."""
    found = Browser()
    found.sign_in(alice)
    return found


def refused(answer: Any) -> bool:
    """Tell whether nothing was granted, and nothing of the exchange is told to the next page."""
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "no-referrer"
    assert not [name for name in answer.cookies if name.endswith("userpods")]
    return bool(answer.status_code == 403 and not PodSession.objects.exists())
