"""Where the way to a pod's host leads, and what is there before: no address is a stranger's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client

from django_userpods.models import UserPod
from django_userpods.tokens import Ticket
from tests.django.pods_hosts import (
    ALICES,
    BOBS,
    SITE,
    STATE,
    Browser,
    bob,
    browser,
    pods_hosts,
)
from tests.django.support import users

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.django_db

__all__ = ["bob", "browser", "pods_hosts"]


# --- where it leads


EVIL = [
    "//evil",
    "https://evil",
    "https://evil/",
    "https://alice.pods.example.org.evil/",
    "https://evil@alice.pods.example.org/",
    "https://alice.pods.example.org@evil/",
    "https://alice.pods.example.org\t.evil/",
    "\thttps://evil/",
    "https://alice.pods.example.org\\.evil/",
    "https:\\\\evil",
    "/\\evil",
    "https://alice.pods.example.org/\r\nLocation: https://evil/",
    "https://alice.pods.example.org/\x00",
    "http://alice.pods.example.org/",
    "https://alice.pods.example.org:8443/",
    "https://alice.pods.example.org./",
    "https://xn--alice-.pods.example.org/",
    "javascript:alert(1)",
    "https://www.example.org/",
    "/accounts/logout/",
    "",
]


@pytest.mark.parametrize("to", EVIL)
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_to_leads_to_a_pods_own_host_alone(browser: Browser, to: str, is_signed_in: bool) -> None:
    client = browser.at("www.example.org") if is_signed_in else Client()
    answer = client.get("/userpods/enter/", {"to": to, "state": STATE})
    assert answer.status_code == 400
    assert "Location" not in answer
    assert not Ticket.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "//evil",
        "/\\evil",
        "https://evil/",
        "@evil/",
        ".evil/",
        ":8443/",
        "/\t/evil",
        "\t//evil",
        "/a\r\nSet-Cookie: x=y",
        "/\x00",
        "x",
        "",
        "/.userpods/sign-out",
        "/" + "a" * 3000,
    ],
)
def test_the_return_address_stays_on_the_host(browser: Browser, path: str) -> None:
    entered = browser.enter(ALICES, path)
    found = urlsplit(entered["Location"])
    assert (found.scheme, found.netloc) == ("https", ALICES)
    assert found.path == ("//evil" if path == "//evil" else "/")


@pytest.mark.parametrize("part", ["a", "%20", "&=", "/", "a=b&"])
def test_no_address_on_the_way_is_too_long_for_a_server(part: str) -> None:
    """Of gunicorn's 4094 bytes the site's login takes some, too; what is short enough is kept."""
    for length in (200, 600, 1300, 1999):
        path = f"/?{part * length}"[:length]
        stranger = Browser()
        location = stranger.ask(ALICES, path)
        login = str(stranger.get(location)["Location"])
        assert len(location) < 4000
        assert len(login) < 4000
        if length <= 600:
            assert parse_qs(urlsplit(location).query)["to"] == [f"https://{ALICES}{path}"]


@pytest.mark.parametrize("state", ["", "x", "0" * 63, "G" * 64, "0" * 64 + "\n", "0" * 65])
def test_a_state_that_is_none_gets_no_ticket(browser: Browser, state: str) -> None:
    query = urlencode({"to": f"https://{ALICES}/", "state": state})
    assert browser.get(f"{SITE}/userpods/enter/?{query}").status_code == 400
    assert not Ticket.objects.exists()


@pytest.mark.parametrize("host", [BOBS, "carol.pods.example.org"])
def test_nobody_gets_a_ticket_to_anothers_pod(browser: Browser, bob: Any, host: str) -> None:
    assert browser.get(browser.ask(host)).status_code == 403
    assert not Ticket.objects.exists()


def test_whoever_may_have_no_pod_gets_no_ticket(browser: Browser, settings: Any) -> None:
    settings.USERPODS_SELECT = lambda user: False
    assert browser.get(browser.ask(ALICES)).status_code == 403
    settings.USERPODS_SELECT = lambda user: 1 / 0
    assert browser.get(browser.ask(ALICES)).status_code == 503
    assert not Ticket.objects.exists()


class KnownWithoutSession:
    """A middleware of a project's own that knows people without a session of the site."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.user = users().get()
        return self._get_response(request)


def test_whoever_is_known_without_a_session_of_the_site_gets_no_ticket(
    alice: Any, settings: Any
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.KnownWithoutSession"]
    browser = Browser()
    assert browser.get(browser.ask(ALICES)).status_code == 403
    assert not Ticket.objects.exists()


def test_without_addresses_there_is_nothing_to_enter(browser: Browser, settings: Any) -> None:
    settings.USERPODS_URL = None
    assert browser.get(f"{SITE}/userpods/enter/?to=/&state={STATE}").status_code == 404
    assert browser.get(f"https://{ALICES}/.userpods/sign-in").status_code == 404


def test_on_the_sites_own_host_no_ticket_is_needed(
    browser: Browser, bob: Any, settings: Any
) -> None:
    settings.USERPODS_URL = "/pods/{pod}/"

    def enter(to: str) -> Any:
        return browser.at("www.example.org").get("/userpods/enter/", {"to": to})

    answer = enter("/pods/alice/lab?x=1")
    assert (answer.status_code, answer["Location"]) == (302, "/pods/alice/lab?x=1")
    assert enter("/pods/bob/").status_code == 403
    for to in ("//evil/pods/alice/", "/\\evil", "/accounts/logout/", "https://evil/pods/alice/"):
        assert enter(to).status_code == 400
    assert not Ticket.objects.exists()


# --- one host for all


@pytest.fixture
def one_host(settings: Any) -> Iterator[str]:
    settings.USERPODS_URL = "https://app.example.org/"
    return "app.example.org"  # type: ignore[return-value]


def test_what_another_user_left_on_a_shared_host_is_cleared(
    browser: Browser, bob: Any, one_host: str
) -> None:
    cleared = '"cache", "storage"'
    # Whose it was before is not known.
    assert browser.enter(one_host)["Clear-Site-Data"] == cleared
    assert "Clear-Site-Data" not in browser.enter(one_host)
    browser.sign_in(bob)
    entered = browser.enter(one_host)
    assert entered["Clear-Site-Data"] == cleared
    assert "Clear-Site-Data" not in browser.enter(one_host)
    said = browser.get(f"https://{one_host}/whoami")
    assert said.json() == {"user": "bob", "service": "user-bob"}


def test_a_host_of_ones_own_is_not_cleared_until_it_is_another_pods(
    browser: Browser, alice: Any
) -> None:
    for _ in range(2):
        assert "Clear-Site-Data" not in browser.enter(ALICES)
    UserPod.objects.filter(owner=alice).update(id="f" * 16)
    assert "Clear-Site-Data" in browser.enter(ALICES)
