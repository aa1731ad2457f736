"""What whoami remembers, and how soon it forgets."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache as django_cache
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods.access import cache
from django_userpods.access.authenticators import Authenticator
from django_userpods.models import AccessToken, UserPod
from django_userpods.reconcile import reconcile
from tests.django.asking_whoami import ask
from tests.django.support import by_name, row, service, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import AbstractBaseUser
    from django.http import HttpRequest

    from django_userpods.testing import MemoryCluster

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("untouched_session")]


@pytest.fixture(autouse=True)
def _cache(settings: Any) -> Iterator[None]:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "access",
        }
    }
    settings.USERPODS_CACHE = "default"
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    django_cache.clear()
    yield
    django_cache.clear()


def recalled(client: Client) -> cache.WhoamiAnswer | None:
    """Return what is remembered of a client's session."""
    request = RequestFactory().get("/")
    request.session = client.session
    return cache.CachedAnswer(request).get()


def queries(client: Client, token: str = "", *, status: int = 200) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert ask(client, token).status_code == status
    return len(captured)


def test_the_second_time_costs_no_query(signed_in: Client) -> None:
    first = ask(signed_in)
    with CaptureQueriesContext(connection) as captured:
        second = ask(signed_in)
    assert len(captured) == 0
    assert first.json() == second.json()
    for name in ("X-Target-Service", "X-Target-Address", "X-Target-Peer", "X-Userpods-User-Id"):
        assert first[name] == second[name]
    assert "no-store" in second["Cache-Control"]


def test_sessions_in_the_cache_cost_no_query(alice: Any, client: Client, settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    client.force_login(alice)
    assert [queries(client) for _ in range(3)] == [1, 0, 0]
    client.logout()
    assert queries(client, status=401) == 0


def test_a_remembered_token_costs_no_query(alice: Any, client: Client) -> None:
    _, token = AccessToken.objects.issue(alice)
    queries(client, token)
    assert queries(client, token) == 0


def test_without_the_setting_nothing_is_remembered(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_CACHE = None
    assert [queries(signed_in) for _ in range(3)] == [1, 1, 1]
    settings.USERPODS_CACHE = "default"
    assert recalled(signed_in) is None
    ask(signed_in)
    assert recalled(signed_in) is not None


def test_no_is_never_remembered(alice: Any, memory: MemoryCluster) -> None:
    client = Client()
    assert queries(client, "upt_unknown", status=403) == 1
    assert queries(client, "upt_unknown", status=403) == 1
    users().update(is_active=False)
    _, token = AccessToken.objects.issue(alice)
    assert queries(client, token, status=403) >= 1
    users().update(is_active=True)
    assert queries(client, token) >= 1


def test_a_deactivated_user_is_out_at_once(signed_in: Client, alice: Any, commit: Any) -> None:
    ask(signed_in)
    with commit():
        alice.is_active = False
        alice.save()
    assert ask(signed_in).status_code == 403


def test_a_deactivated_user_is_out_within_the_ttl_whatever_happens(
    signed_in: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    ask(signed_in)
    users().update(is_active=False)
    assert ask(signed_in).status_code == 200
    late = time.time() + cache.TTL + 0.1
    monkeypatch.setattr("django.core.cache.backends.locmem.time.time", lambda: late)
    assert ask(signed_in).status_code == 403


def test_a_deleted_user_is_out_at_once(signed_in: Client, alice: Any, commit: Any) -> None:
    ask(signed_in)
    with commit():
        alice.delete()
    assert ask(signed_in).status_code == 401


def test_an_old_session_is_out_after_a_new_password(
    signed_in: Client, alice: Any, commit: Any
) -> None:
    ask(signed_in)
    with commit():
        alice.set_password("new")
        alice.save()
    fresh = Client()
    fresh.force_login(by_name("alice"))
    # That the user is known again does not bring the old session back.
    assert ask(fresh).status_code == 200
    assert queries(fresh) == 0
    assert ask(signed_in).status_code == 401


def test_a_revoked_token_is_out_at_once(alice: Any, client: Client, commit: Any) -> None:
    _, token = AccessToken.objects.issue(alice)
    _, other = AccessToken.objects.issue(alice)
    assert ask(client, token).status_code == 200
    with commit():
        AccessToken.objects.filter(digest=AccessToken.digest_of(token)).revoke()
    assert ask(client, token).status_code == 403
    assert ask(client, other).status_code == 200
    assert ask(client, token).status_code == 403


def test_a_deleted_token_is_out_at_once(alice: Any, client: Client, commit: Any) -> None:
    made, token = AccessToken.objects.issue(alice)
    ask(client, token)
    with commit():
        made.delete()
    assert ask(client, token).status_code == 403


def test_a_token_is_not_remembered_beyond_its_end(alice: Any, client: Client) -> None:
    soon = timezone.now() + datetime.timedelta(seconds=0.9)
    _, token = AccessToken.objects.issue(alice, expires_at=soon)
    ask(client, token)
    assert queries(client, token) == 1


def test_a_logout_forgets(signed_in: Client, alice: Any, commit: Any) -> None:
    ask(signed_in)
    request = RequestFactory().get("/")
    request.session = signed_in.session
    assert cache.CachedAnswer(request).get() is not None
    with commit():
        signed_in.logout()
    assert cache.CachedAnswer(request).get() is None


def test_an_address_that_changes_is_known_at_once(
    signed_in: Client, alice: Any, memory: MemoryCluster, commit: Any
) -> None:
    before = ask(signed_in)["X-Target-Peer"]
    spec = service(memory, "user-alice")["spec"]
    spec["clusterIP"], spec["clusterIPs"] = "10.96.7.7", ["10.96.7.7"]
    with commit():
        reconcile()
    assert ask(signed_in)["X-Target-Peer"] == "10.96.7.7:8000" != before


def test_a_renamed_user_is_answered_under_the_new_name(
    signed_in: Client, alice: Any, commit: Any
) -> None:
    ask(signed_in)
    with commit():
        setattr(alice, get_user_model().USERNAME_FIELD, "alicia")
        alice.save()
    assert ask(signed_in).json() == {"user": "alicia", "service": "user-alice"}


def test_two_browsers_do_not_make_each_other_forget(signed_in: Client, alice: Any) -> None:
    other = Client()
    other.force_login(alice)
    _, token = AccessToken.objects.issue(alice)
    for _ in range(2):
        for client, text in ((signed_in, ""), (other, ""), (Client(), token)):
            ask(client, text)
    assert queries(signed_in) == queries(other) == queries(Client(), token) == 0


def test_two_users_are_two(signed_in: Client, alice: Any) -> None:
    bob = UserFactory(username="bob")
    other = Client()
    other.force_login(bob)
    for _ in range(3):
        assert ask(signed_in).json()["user"] == "alice"
        assert ask(other).json()["user"] == "bob"


def test_a_session_goes_before_a_remembered_token(alice: Any, client: Client) -> None:
    bob = UserFactory(username="bob")
    _, token = AccessToken.objects.issue(bob)
    assert ask(client, token).json()["user"] == "bob"
    client.force_login(alice)
    assert ask(client, token).json()["user"] == "alice"


def test_a_stale_session_is_not_let_in_by_what_a_token_beside_it_was_answered(
    signed_in: Client, alice: Any, commit: Any
) -> None:
    """A stolen session that is stale, sent once with another user's valid token."""
    bob = UserFactory(username="bob")
    _, token = AccessToken.objects.issue(bob)
    with commit():
        alice.set_password("new")
        alice.save()
    assert ask(signed_in, token).json()["user"] == "bob"
    assert ask(signed_in).status_code == 401
    assert ask(Client(), token).json()["user"] == "bob"
    # Session and token together are remembered, too, under both.
    assert queries(signed_in, token) == 0
    assert ask(signed_in).status_code == 401


def test_a_stale_session_beside_a_token_that_is_not_valid_is_refused(
    signed_in: Client, alice: Any, commit: Any
) -> None:
    _, token = AccessToken.objects.issue(UserFactory(username="bob"))
    with commit():
        alice.set_password("new")
        alice.save()
    assert ask(signed_in, token).json()["user"] == "bob"
    assert ask(signed_in, "upt_another").status_code == 403


class NamedInHeader(Authenticator):
    """An authenticator of a project's own, without a fingerprint."""

    def authenticate(self, request: HttpRequest) -> AbstractBaseUser | None:
        name = request.headers.get("X-Named", "")
        return by_name(name) if name else None


def test_an_authenticator_without_a_fingerprint_is_always_asked(
    signed_in: Client, settings: Any
) -> None:
    UserFactory(username="bob")
    ask(signed_in)
    settings.USERPODS_AUTHENTICATORS = [
        "tests.django.test_access_cache.NamedInHeader",
        "django_userpods.access.authenticators.SessionAuthenticator",
    ]
    assert signed_in.get("/whoami", headers={"X-Named": "bob"}).json()["user"] == "bob"
    assert queries(signed_in) >= 1


def test_an_authenticator_without_a_fingerprint_costs_those_before_it_nothing(
    signed_in: Client, settings: Any
) -> None:
    UserFactory(username="bob")
    settings.USERPODS_AUTHENTICATORS = [
        "django_userpods.access.SessionAuthenticator",
        "tests.django.test_access_cache.NamedInHeader",
        "django_userpods.access.TokenAuthenticator",
    ]
    ask(signed_in)
    assert queries(signed_in) == 0
    named = Client(headers={"X-Named": "bob"})
    assert ask(named).json()["user"] == "bob"
    assert queries(named) >= 1


def test_a_cache_that_is_down_is_as_good_as_none(
    signed_in: Client, monkeypatch: pytest.MonkeyPatch, alice: Any, commit: Any
) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("redis is down")

    for name in ("get", "set", "delete_many"):
        monkeypatch.setattr(f"django.core.cache.backends.locmem.LocMemCache.{name}", down)
    assert ask(signed_in).json()["user"] == "alice"
    with commit():
        alice.is_active = False
        alice.save()
    assert ask(signed_in).status_code == 403


def test_an_invalid_entry_of_the_cache_is_not_believed(
    signed_in: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(signed_in)
    for junk in ("x", 7, ["", {}], ["mark"], {"a": 1}, [None, None]):
        monkeypatch.setattr(
            "django.core.cache.backends.locmem.LocMemCache.get", lambda *_, junk=junk, **__: junk
        )
        assert ask(signed_in).json()["user"] == "alice"


def test_a_cache_that_does_not_exist_stops_nobody(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_CACHE = "nowhere"
    assert ask(signed_in).json()["user"] == "alice"


def test_two_projects_in_one_cache_do_not_share_answers(signed_in: Client, settings: Any) -> None:
    ask(signed_in)
    settings.USERPODS_INSTANCE = "other"
    assert queries(signed_in) == 1


def test_a_name_that_is_not_settled_is_not_remembered(
    memory: MemoryCluster, client: Client
) -> None:
    UserFactory(username="alice").delete()
    UserPod.objects.create(owner_pk="gone", name="user-alice", namespace="default", wanted="absent")
    newcomer = UserFactory(username="alice")
    client.force_login(newcomer)
    assert ask(client).status_code == 503
    reconcile()
    assert row(newcomer).name == "user-alice"
    assert ask(client).status_code == 200
