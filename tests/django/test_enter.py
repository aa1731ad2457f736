"""The way from the site to a pod's host and back, as browsers and attackers go it."""

from __future__ import annotations

import datetime
import logging
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.db import connection
from django.test import Client

from django_userpods.access import tickets
from django_userpods.lifecycle import add_pod
from django_userpods.models import UserPod
from django_userpods.tokens import PodSession, Ticket
from tests.django.pods_hosts import (
    ALICES,
    BOBS,
    SITE,
    Browser,
    bob,
    browser,
    pods_hosts,
    refused,
)
from tests.django.support import users

pytestmark = pytest.mark.django_db

__all__ = ["bob", "browser", "pods_hosts"]


# --- the whole way


def test_a_browser_is_signed_in_on_the_pods_host(browser: Browser) -> None:
    assert browser.whoami(ALICES) == 401
    location = browser.ask(ALICES, "/lab/tree?a=%2F&b")
    assert location.startswith(f"{SITE}/userpods/enter/?")
    assert parse_qs(urlsplit(location).query)["to"] == [f"https://{ALICES}/lab/tree?a=%2F&b"]
    answer = browser.get(location)
    assert answer["Location"].startswith(f"https://{ALICES}/.userpods/enter?ticket=")
    entered = browser.get(answer["Location"])
    assert entered.status_code == 302
    assert entered["Location"] == f"https://{ALICES}/lab/tree?a=%2F&b"
    for said in (answer, entered):
        assert "no-store" in said["Cache-Control"]
        assert said["Referrer-Policy"] == "no-referrer"
    cookie = entered.cookies["__Host-userpods"]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert browser.whoami(ALICES) == 200


def test_without_tls_the_cookies_have_no_prefix(browser: Browser, settings: Any) -> None:
    settings.USERPODS_URL = "http://{pod}.localhost:8080/"
    location = browser.get("http://alice.localhost:8080/.userpods/sign-in?next=/x")["Location"]
    entered = browser.get(browser.get(location)["Location"])
    assert entered["Location"] == "http://alice.localhost:8080/x"
    assert {"userpods", "userpods_owner"} == set(entered.cookies)
    assert not entered.cookies["userpods"]["secure"]
    assert browser.whoami("alice.localhost:8080") == 200


def test_the_site_asks_for_its_own_login_first(alice: Any, settings: Any) -> None:
    stranger = Browser()
    location = stranger.ask(ALICES)
    login = urlsplit(stranger.get(location)["Location"])
    assert login.path == settings.LOGIN_URL
    assert parse_qs(login.query)["next"] == [location.removeprefix(SITE)]
    settings.USERPODS_LOGIN_URL = "https://login.example.org/"
    login = urlsplit(stranger.get(location)["Location"])
    assert login.netloc == "login.example.org"
    assert parse_qs(login.query)["next"] == [location]


def test_several_pages_may_be_on_their_way_at_once(browser: Browser) -> None:
    first, second = browser.ticket(ALICES, "/1"), browser.ticket(ALICES, "/2")
    assert browser.get(first)["Location"].endswith("/1")
    assert browser.get(second)["Location"].endswith("/2")
    # The session of the first went with it.
    assert PodSession.objects.count() == 1
    assert browser.whoami(ALICES) == 200


def test_nothing_secret_is_stored_or_logged(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = browser.ticket(ALICES)
    key = browser.at("www.example.org").cookies["sessionid"].value
    nonce = browser.at(ALICES).cookies["__Host-userpods_nonce"].value
    text = parse_qs(urlsplit(url).query)["ticket"][0]
    (stored,) = Ticket.objects.values_list()
    browser.get(url)
    browser.get(url)
    secret = browser.at(ALICES).cookies["__Host-userpods"].value
    (kept,) = PodSession.objects.values_list()
    for value in (key, nonce, text, secret):
        assert len(value) >= 32
        assert value not in str(stored) + str(kept)
        assert value not in caplog.text
    assert nonce not in url + browser.ask(ALICES)


# --- tickets


def test_a_ticket_is_used_once(browser: Browser) -> None:
    url = browser.ticket(ALICES)
    assert browser.get(url).status_code == 302
    PodSession.objects.all().delete()
    assert refused(browser.get(url))


def test_of_two_who_use_a_ticket_at_once_one_gets_in(browser: Browser) -> None:
    url = browser.ticket(ALICES)
    others: list[Any] = []

    def other_comes_between(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("DELETE") and "ticket" in sql and not others:
            others.append(None)
            others.append(browser.get(url))
        return execute(sql, *arguments)

    with connection.execute_wrapper(other_comes_between):
        answer = browser.get(url)
    assert others[1].status_code == 302
    assert answer.status_code == 403
    assert PodSession.objects.count() == 1


def test_a_ticket_that_is_late_is_refused(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert datetime.timedelta(seconds=60) == tickets.LIFETIME
    monkeypatch.setattr(tickets, "LIFETIME", datetime.timedelta(0))
    assert refused(browser.enter(ALICES))


def test_a_ticket_is_for_one_host(browser: Browser, alice: Any, bob: Any, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 2
    add_pod(alice, "gpu")
    for host in (BOBS, "alice---gpu.pods.example.org", "carol.pods.example.org"):
        url = browser.ticket(ALICES)
        other = Client()
        other.cookies = browser.at(ALICES).cookies
        path = url.removeprefix(f"https://{ALICES}")
        answer = other.get(path, headers={"X-Userpods-Host": host})
        assert refused(answer)
        # It is used up all the same.
        assert refused(browser.get(url))


def test_a_ticket_without_its_nonce_is_refused(browser: Browser) -> None:
    url = browser.ticket(ALICES)
    assert refused(Browser().get(url))
    assert refused(browser.get(url))


def test_a_ticket_with_anothers_nonce_signs_no_victim_in(browser: Browser, bob: Any) -> None:
    """Login CSRF: alice sends bob the URL with her ticket, so that he works in her pod."""
    url = browser.ticket(ALICES)
    victim = Browser()
    victim.sign_in(bob)
    victim.ask(ALICES)
    assert refused(victim.get(url))
    assert victim.whoami(ALICES) == 401


def test_a_state_of_ones_own_gets_no_other_browser_in(browser: Browser) -> None:
    """What alice's browser is made to ask for with a stranger's state is of no use to her host."""
    thief = Browser()
    location = thief.ask(ALICES)
    browser.ask(ALICES)
    assert refused(browser.get(browser.get(location)["Location"]))


def test_the_state_is_no_nonce(browser: Browser) -> None:
    """Who reads the state in a log cannot make the cookie from it."""
    url = browser.ticket(ALICES)
    state = Ticket.objects.get().state
    thief = Browser()
    thief.at(ALICES).cookies["__Host-userpods_nonce"] = state
    assert refused(thief.get(url))


def test_a_ticket_of_a_session_that_is_over_is_refused(browser: Browser) -> None:
    url = browser.ticket(ALICES)
    browser.at("www.example.org").logout()
    assert refused(browser.get(url))


@pytest.mark.parametrize("change", ["deactivated", "not selected", "another password", "pod goes"])
def test_a_ticket_of_somebody_who_may_not_come_in_is_refused(
    browser: Browser, alice: Any, settings: Any, change: str
) -> None:
    url = browser.ticket(ALICES)
    if change == "deactivated":
        users().filter(pk=alice.pk).update(is_active=False)
    elif change == "not selected":
        settings.USERPODS_SELECT = lambda user: False
    elif change == "another password":
        alice.set_password("another")
        alice.save()
    else:
        UserPod.objects.filter(owner=alice).update(name="user-other")
    assert refused(browser.get(url))


@pytest.mark.parametrize("text", ["", "x", "é", "\x00", "a" * 5000, "%00"])
def test_a_ticket_that_is_none_is_refused(browser: Browser, text: str) -> None:
    browser.ask(ALICES)
    query = urlencode({"ticket": text})
    assert refused(browser.get(f"https://{ALICES}/.userpods/enter?{query}"))


def test_tickets_are_for_gets_alone(browser: Browser) -> None:
    url = urlsplit(browser.ticket(ALICES))
    client = browser.at(ALICES)
    headers = {"X-Userpods-Host": ALICES}
    path = f"{url.path}?{url.query}"
    assert client.post(path, headers=headers).status_code == 405
    assert client.head(path, headers=headers).status_code == 405
    assert client.get(path, headers=headers).status_code == 302


@pytest.mark.parametrize("path", ["enter?ticket=x", "sign-in", "sign-out"])
@pytest.mark.parametrize("host", [None, "www.example.org", f"{ALICES}.", f"{ALICES}.evil", "[::1]"])
def test_the_reserved_paths_are_those_of_pods_hosts_alone(
    browser: Browser, path: str, host: str | None
) -> None:
    headers = {} if host is None else {"X-Userpods-Host": host}
    client = browser.at("www.example.org")
    send = client.post if path == "sign-out" else client.get
    assert send(f"/.userpods/{path}", headers=headers).status_code == 404


# --- signing out


def sign_out(browser: Browser, host: str, **headers: str) -> Any:
    headers["X-Userpods-Host"] = host
    return browser.at(host).post("/.userpods/sign-out", headers=headers)


def test_signing_out_on_a_pods_host_ends_its_session(browser: Browser) -> None:
    browser.enter(ALICES)
    answer = sign_out(browser, ALICES, Origin=f"https://{ALICES}")
    assert (answer.status_code, answer["Location"]) == (303, f"{SITE}/")
    assert answer.cookies["__Host-userpods"]["max-age"] == 0
    assert not PodSession.objects.exists()
    assert browser.whoami(ALICES) == 401


@pytest.mark.parametrize(
    "origin", ["", "null", f"https://{BOBS}", f"http://{ALICES}", f"https://{ALICES}:8443"]
)
def test_no_other_origin_signs_anybody_out(browser: Browser, origin: str) -> None:
    browser.enter(ALICES)
    headers = {"Origin": origin} if origin else {}
    assert sign_out(browser, ALICES, **headers).status_code == 403
    client = browser.at(ALICES)
    headers["X-Userpods-Host"] = ALICES
    assert client.get("/.userpods/sign-out", headers=headers).status_code == 405
    assert browser.whoami(ALICES) == 200


def test_the_waiting_page_asks_on_its_own_host(browser: Browser) -> None:
    browser.enter(ALICES)
    url = f"https://{ALICES}/.userpods/waiting/"
    page = browser.get(url, Accept="text/html").content.decode()
    assert 'data-status="/.userpods/status/"' in page
    assert browser.get(f"https://{ALICES}/.userpods/status/").status_code == 200
    page = browser.get(f"{SITE}/userpods/waiting/", Accept="text/html").content.decode()
    assert 'data-status="/userpods/status/"' in page
