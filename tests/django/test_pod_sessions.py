"""A session on a pod's host: for whom and where it is good, and what ends it."""

from __future__ import annotations

import datetime
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_userpods.access import site_sessions, tickets
from django_userpods.lifecycle import add_pod
from django_userpods.reconcile import reconcile
from django_userpods.tokens import AccessToken, PodSession, Ticket
from tests.django.pods_hosts import ALICES, BOBS, Browser, bob, browser, pods_hosts
from tests.django.support import users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.django_db

__all__ = ["bob", "browser", "pods_hosts"]

GPU = "alice---gpu.pods.example.org"
NAME = "__Host-userpods"


def cookie(browser: Browser, host: str = ALICES) -> str:
    return str(browser.at(host).cookies[NAME].value)


def whoami(cookies: str, host: str | None = ALICES, **headers: str) -> tuple[int, Any]:
    headers["Cookie"] = cookies
    if host is not None:
        headers["X-Userpods-Host"] = host
    response = Client().get("/whoami", headers=headers)
    return response.status_code, response.json()


@pytest.fixture
def entered(browser: Browser) -> Browser:
    """Alice's browser, signed in at the site and on her pod's host."""
    browser.enter(ALICES)
    assert browser.whoami(ALICES) == 200
    return browser


# --- where it is good


def test_it_is_good_for_its_own_pod_alone(entered: Browser, bob: Any, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 2
    add_pod(entered_user(entered), "gpu")
    reconcile()
    said = f"{NAME}={cookie(entered)}"
    assert whoami(said) == (200, {"user": "alice", "service": "user-alice"})
    assert whoami(said, None)[0] == 200
    assert whoami(said, BOBS) == (403, {"error": "not your pod"})
    assert whoami(said, "evil.example") == (403, {"error": "not your pod"})
    assert whoami(said, GPU) == (401, {"error": "no token"})
    entered.enter(GPU)
    assert whoami(f"{NAME}={cookie(entered, GPU)}", GPU)[0] == 200
    assert whoami(f"{NAME}={cookie(entered, GPU)}", None)[0] == 401


def entered_user(browser: Browser) -> Any:
    return users().get(pk=browser.at("www.example.org").session[SESSION_KEY])


def test_bobs_cookie_at_alices_host_is_refused(browser: Browser, bob: Any) -> None:
    other = Browser()
    other.sign_in(bob)
    other.enter(BOBS)
    assert whoami(f"{NAME}={cookie(other, BOBS)}", ALICES) == (403, {"error": "not your pod"})


@pytest.mark.parametrize(
    "name", ["userpods", "__host-userpods", "__Host-Userpods", "__Host-userpods2", " __Secure-x"]
)
def test_a_cookie_of_another_name_is_none(entered: Browser, name: str) -> None:
    assert whoami(f"{name}={cookie(entered)}")[0] == 401


@pytest.mark.parametrize("planted", ["", "x", "é", "a" * 5000, '"', "=", "\x00"])
def test_a_planted_cookie_hides_no_good_one(entered: Browser, planted: str) -> None:
    good = f"{NAME}={cookie(entered)}"
    assert whoami(f"{NAME}={planted}")[0] == 401
    assert whoami(f"{NAME}={planted}; {good}")[0] == 200
    assert whoami(f"{good}; {NAME}={planted}")[0] == 200


def test_anothers_session_hides_no_good_one(entered: Browser, bob: Any) -> None:
    """Good, but of another pod: planted by its user, whoever that is."""
    other = Browser()
    other.sign_in(bob)
    other.enter(BOBS)
    bobs, good = (f"{NAME}={cookie(one, host)}" for one, host in ((other, BOBS), (entered, ALICES)))
    for said in (f"{bobs}; {good}", f"{good}; {bobs}"):
        status, answer = whoami(said)
        assert (status, answer["user"]) == (200, "alice")
    assert whoami(bobs)[0] == 403


def test_a_stale_one_counts_as_none_beside_a_good_token(entered: Browser, bob: Any) -> None:
    token = AccessToken.objects.issue(bob)[1]
    said = f"{NAME}={cookie(entered)}"
    Session.objects.all().delete()
    assert whoami(said)[0] == 401
    assert whoami(said, BOBS, Authorization=f"Bearer {token}")[1]["user"] == "bob"
    assert whoami(said, BOBS, Authorization="Bearer upt_x")[0] == 403
    assert whoami(said, BOBS, Authorization="Bearer of-an-application")[0] == 401


def test_a_sites_cookie_beside_it_is_as_good(entered: Browser) -> None:
    """A shared session cookie: one credential that is good is enough."""
    key = entered.at("www.example.org").cookies["sessionid"].value
    assert whoami(f"{NAME}=x; sessionid={key}")[0] == 200


# --- what ends it


def log_out(browser: Browser) -> None:
    browser.at("www.example.org").logout()


def change_password(browser: Browser) -> None:
    user = entered_user(browser)
    user.set_password("another")
    user.save()


def deactivate(browser: Browser) -> None:
    users().update(is_active=False)


def expire(browser: Browser) -> None:
    Session.objects.update(expire_date=timezone.now() - datetime.timedelta(seconds=1))


def delete_session(browser: Browser) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_session")


def expire_itself(browser: Browser) -> None:
    PodSession.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))


def delete_itself(browser: Browser) -> None:
    PodSession.objects.all().delete()


def become_another(browser: Browser) -> None:
    """Somebody else signs in at the site, in the same browser."""
    browser.sign_in(UserFactory(username="carol"))


@pytest.mark.parametrize(
    "end",
    [
        log_out,
        change_password,
        deactivate,
        expire,
        delete_session,
        expire_itself,
        delete_itself,
        become_another,
    ],
)
def test_it_ends_with_what_it_came_from(entered: Browser, end: Callable[[Browser], None]) -> None:
    said = f"{NAME}={cookie(entered)}"
    end(entered)
    assert whoami(said)[0] in (401, 403)


def test_a_logout_ends_it_on_all_hosts(entered: Browser, bob: Any, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 3
    hosts = [ALICES]
    for slot in ("gpu", "big"):
        add_pod(entered_user(entered), slot)
        hosts.append(f"alice---{slot}.pods.example.org")
    reconcile()
    for host in hosts[1:]:
        entered.enter(host)
    other = Browser()
    other.sign_in(bob)
    other.enter(BOBS)
    assert [entered.whoami(host) for host in hosts] == [200, 200, 200]
    log_out(entered)
    assert [entered.whoami(host) for host in hosts] == [401, 401, 401]
    assert other.whoami(BOBS) == 200


def test_a_site_session_that_was_made_anew_under_its_key_is_another(entered: Browser) -> None:
    session = entered.at("www.example.org").session
    kept = dict(session.items())
    del kept["_userpods_name"]
    session.clear()
    session.update(kept)
    session.save()
    assert entered.whoami(ALICES) == 401


def test_another_browsers_logout_ends_nothing(entered: Browser) -> None:
    other = Browser()
    other.sign_in(entered_user(entered))
    other.enter(ALICES)
    log_out(other)
    assert other.whoami(ALICES) == 401
    assert entered.whoami(ALICES) == 200


@contextmanager
def committed(capture: Any) -> Iterator[None]:
    with capture(execute=True):
        yield


@pytest.mark.parametrize("engine", ["signed_cookies", "cache", "cached_db", "db"])
def test_a_logout_ends_it_whatever_the_engine(
    alice: Any, settings: Any, engine: str, django_capture_on_commit_callbacks: Any
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    browser = Browser()
    browser.sign_in(alice)
    browser.enter(ALICES)
    said = f"{NAME}={cookie(browser)}"
    assert whoami(said)[0] == 200
    request = RequestFactory().get("/")
    request.session = site_sessions.load(browser.at("www.example.org").cookies["sessionid"].value)
    request.user = alice
    with committed(django_capture_on_commit_callbacks):
        logout(request)
    assert not PodSession.objects.exists()
    assert whoami(said)[0] == 401


def test_what_is_remembered_is_forgotten_at_logout(
    entered: Browser, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.USERPODS_CACHE = "default"
    said = f"{NAME}={cookie(entered)}"
    assert whoami(said)[0] == 200
    with CaptureQueriesContext(connection) as queries:
        assert whoami(said)[0] == 200
    assert not queries
    assert whoami(said, BOBS)[0] == 403
    with committed(django_capture_on_commit_callbacks):
        log_out(entered)
    assert whoami(said)[0] == 401


def test_ended_in_the_admin_it_is_over_at_once(
    entered: Browser, admin_client: Client, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.USERPODS_CACHE = "default"
    said = f"{NAME}={cookie(entered)}"
    assert whoami(said)[0] == 200
    session = PodSession.objects.get()
    listed = admin_client.get(reverse("admin:userpods_podsession_changelist")).content.decode()
    assert "user-alice" in listed
    for value in (cookie(entered), session.digest, session.sealed_key):
        assert value not in listed
    assert admin_client.get(reverse("admin:userpods_podsession_add")).status_code == 403
    url = reverse("admin:userpods_podsession_delete", args=[session.pk])
    with committed(django_capture_on_commit_callbacks):
        assert admin_client.post(url, {"post": "yes"}).status_code == 302
    assert whoami(said)[0] == 401


# --- cost and housekeeping


@pytest.mark.usefixtures("untouched_session")
def test_it_costs_one_query_and_the_sites_session_its_own(entered: Browser, bob: Any) -> None:
    for host in (ALICES, BOBS):
        with CaptureQueriesContext(connection) as queries:
            whoami(f"{NAME}={cookie(entered)}", host)
        assert len(queries) == 2
    with CaptureQueriesContext(connection) as queries:
        whoami("theme=dark")
    assert not queries


def test_without_hosts_of_their_own_there_is_no_such_cookie(
    entered: Browser, settings: Any
) -> None:
    said = cookie(entered)
    for url in (None, "/pods/{pod}/"):
        settings.USERPODS_URL = url
        for name in (NAME, "userpods"):
            assert whoami(f"{name}={said}", None)[0] == 401


def test_a_sync_cleans_up_what_has_expired(
    entered: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered.ticket(ALICES)
    entered.enter(ALICES)
    assert (Ticket.objects.count(), PodSession.objects.count()) == (1, 1)
    call_command("sync_userpods", verbosity=0)
    assert (Ticket.objects.count(), PodSession.objects.count()) == (1, 1)
    past = timezone.now() - datetime.timedelta(seconds=1)
    Ticket.objects.update(expires_at=past)
    PodSession.objects.update(expires_at=past)
    call_command("sync_userpods", "--dry-run", verbosity=0)
    assert PodSession.objects.count() == 1
    call_command("sync_userpods", verbosity=0)
    assert (Ticket.objects.count(), PodSession.objects.count()) == (0, 0)


def test_cleaning_up_is_bounded(entered: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "_BATCH", 1)
    monkeypatch.setattr(tickets, "_BATCHES", 2)
    for _ in range(3):
        entered.ticket(ALICES)
    Ticket.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert tickets.clean_up() == 2
    assert tickets.clean_up() == 1


def test_a_sealed_key_is_read_with_its_secret_alone() -> None:
    sealed = site_sessions.seal("the key of a session", "secret")
    assert "key" not in sealed
    assert site_sessions.unseal(sealed, "secret") == "the key of a session"
    assert site_sessions.unseal(sealed, "another") != "the key of a session"
