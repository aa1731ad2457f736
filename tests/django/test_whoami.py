"""Who is asking, and where their pod is: every answer of the contract."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.utils import timezone

from django_userpods.models import AccessToken, UserPod
from django_userpods.reconcile import reconcile
from tests.django.asking_whoami import ALICE, INVALID, NO_TOKEN, answer, ask, token_for
from tests.django.support import bulk, delete_by_sql, row, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def test_a_session_leads_to_its_users_pod(signed_in: Client, alice: Any) -> None:
    response = ask(signed_in)
    assert answer(response) == ALICE
    assert response["X-Target-Service"] == "user-alice"
    assert response["X-Target-Address"] == "user-alice.default.svc.cluster.local:8000"
    assert response["X-Target-Peer"] == row(alice).address == "10.96.0.2:8000"
    assert response["X-Userpods-User"] == "alice"
    assert response["X-Userpods-User-Id"] == str(alice.pk)


def test_a_pod_without_an_address_has_no_peer(signed_in: Client) -> None:
    UserPod.objects.update(address=None)
    response = ask(signed_in)
    assert answer(response) == ALICE
    assert "X-Target-Peer" not in response
    assert response["X-Target-Address"] == "user-alice.default.svc.cluster.local:8000"


def test_the_port_is_the_services(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_PORT = 9000
    assert ask(signed_in)["X-Target-Address"].endswith(":8000")
    reconcile()
    response = ask(signed_in)
    assert response["X-Target-Address"].endswith(":9000")
    assert response["X-Target-Peer"].endswith(":9000")


def test_without_credentials_nobody_comes_in(client: Client, memory: MemoryCluster) -> None:
    assert answer(ask(client)) == NO_TOKEN
    assert not memory.calls


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_any_method_is_answered_without_csrf(alice: Any, method: str) -> None:
    client = Client(enforce_csrf_checks=True)
    assert answer(getattr(client, method)("/whoami")) == NO_TOKEN
    client.force_login(alice)
    assert answer(getattr(client, method)("/whoami")) == ALICE


def test_head_is_answered_as_get(signed_in: Client) -> None:
    response = signed_in.head("/whoami")
    assert response.status_code == 200
    assert response["X-Target-Service"] == "user-alice"


def test_login_required_middleware_does_not_redirect(client: Client) -> None:
    assert any("LoginRequired" in name for name in django_settings.MIDDLEWARE)
    for path in ("/whoami", "/userpods/waiting/", "/userpods/status/"):
        assert client.get(path).status_code == 401
    assert client.post("/userpods/wake/").status_code == 401
    # The middleware is at work elsewhere.
    assert client.get("/nowhere/").status_code == 404


# --- sessions that count as none


def test_a_session_from_before_a_new_password_counts_as_none(signed_in: Client, alice: Any) -> None:
    alice.set_password("another")
    alice.save()
    assert answer(ask(signed_in)) == NO_TOKEN


@pytest.mark.usefixtures("untouched_session")
def test_a_session_of_a_rotated_secret_key_counts_as_none(signed_in: Client, settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert answer(ask(signed_in)) == ALICE
    settings.SECRET_KEY_FALLBACKS = []
    assert answer(ask(signed_in)) == NO_TOKEN


def test_a_session_of_a_user_who_is_gone_counts_as_none(signed_in: Client, alice: Any) -> None:
    delete_by_sql(alice)
    assert answer(ask(signed_in)) == NO_TOKEN


def test_a_session_that_was_deleted_counts_as_none(signed_in: Client) -> None:
    SessionStore(session_key=signed_in.cookies["sessionid"].value).delete()
    assert answer(ask(signed_in)) == NO_TOKEN


@pytest.mark.usefixtures("untouched_session")
@pytest.mark.parametrize(
    "change",
    [
        {"_auth_user_backend": "gone.Backend"},
        {"_auth_user_hash": ""},
        {"_auth_user_hash": "0" * 64},
        {"_auth_user_id": "not a key"},
        {"_auth_user_id": ""},
        {"_auth_user_id": None},
    ],
)
def test_an_invalid_session_counts_as_none(signed_in: Client, change: dict[str, Any]) -> None:
    session = signed_in.session
    session.update(change)
    session.save()
    assert answer(ask(signed_in)) == NO_TOKEN


def test_a_logout_ends_the_session(signed_in: Client) -> None:
    signed_in.logout()
    assert answer(ask(signed_in)) == NO_TOKEN


@pytest.mark.parametrize("cookie", ["", "garbage", "a" * 5000, "../../x", "\u00e9"])
def test_a_made_up_session_cookie_counts_as_none(client: Client, cookie: str) -> None:
    client.cookies["sessionid"] = cookie
    assert answer(ask(client)) == NO_TOKEN


# --- users who may not come in


def test_an_inactive_user_is_refused(signed_in: Client, alice: Any) -> None:
    token = token_for(alice)
    users().update(is_active=False)
    assert answer(ask(signed_in)) == INVALID
    assert answer(ask(Client(), token)) == INVALID


def test_a_user_who_is_not_selected_is_refused(
    signed_in: Client, alice: Any, settings: Any
) -> None:
    settings.USERPODS_SELECT = lambda user: False
    assert answer(ask(signed_in)) == INVALID
    assert answer(ask(Client(), token_for(alice))) == INVALID


# --- tokens


def test_a_bearer_token_leads_to_its_users_pod(alice: Any, client: Client) -> None:
    response = ask(client, token_for(alice))
    assert answer(response) == ALICE
    assert response["X-Target-Peer"] == row(alice).address


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_case_insensitive(alice: Any, client: Client, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {token_for(alice)}"}
    assert answer(client.get("/whoami", headers=headers)) == ALICE


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
def test_what_is_no_bearer_token_counts_as_none(alice: Any, client: Client, header: str) -> None:
    assert answer(client.get("/whoami", headers={"Authorization": header})) == NO_TOKEN


def test_a_token_is_taken_from_the_cookie_of_the_setting(
    alice: Any, client: Client, settings: Any
) -> None:
    token = token_for(alice)
    client.cookies["userpods_token"] = token
    assert answer(ask(client)) == ALICE
    settings.USERPODS_TOKEN_COOKIE = "my_token"
    assert answer(ask(client)) == NO_TOKEN
    client.cookies["my_token"] = token
    assert answer(ask(client)) == ALICE


@pytest.mark.parametrize(
    "token", ["upt_", "upt_unknown", "upt_é", "upt_" + "a" * 8000, "upt_' OR 1=1 --", "upt_\x00"]
)
def test_an_unknown_token_is_refused(client: Client, memory: MemoryCluster, token: str) -> None:
    assert answer(ask(client, token)) == INVALID
    # As a header: some versions of Python make no cookie of such values.
    assert answer(client.get("/whoami", headers={"Cookie": f"userpods_token={token}"})) == INVALID


@pytest.mark.parametrize("text", ["x", "UPT_x", "é", "a" * 8000, "eyJhbGciOi.x.y", r'"\000"'])
def test_a_bearer_or_cookie_that_is_not_ours_counts_as_none(signed_in: Client, text: str) -> None:
    assert answer(ask(Client(), text)) == NO_TOKEN
    assert answer(ask(signed_in, text)) == ALICE
    for client, expected in ((Client(), NO_TOKEN), (signed_in, ALICE)):
        client.cookies["userpods_token"] = "x"
        assert answer(ask(client)) == expected


def test_one_token_that_is_valid_is_enough(alice: Any, client: Client) -> None:
    token = token_for(alice)
    assert answer(client.get("/whoami", headers={"Cookie": f"userpods_token={token}"})) == ALICE
    for cookie in (
        f"userpods_token=upt_x; userpods_token={token}",
        f"userpods_token={token}; userpods_token=upt_x",
        f"userpods_token={token}; userpods_token=of-an-application",
    ):
        headers = {"Cookie": cookie, "Authorization": "Bearer upt_no"}
        assert answer(client.get("/whoami", headers=headers)) == ALICE


def test_a_good_token_lets_in_beside_a_session_of_somebody_inactive(
    signed_in: Client, alice: Any
) -> None:
    bob = UserFactory(username="bob")
    users().filter(pk=alice.pk).update(is_active=False)
    assert answer(ask(signed_in)) == INVALID
    assert answer(ask(signed_in, token_for(bob)))[1]["user"] == "bob"


def test_a_token_that_has_expired_is_refused(alice: Any, client: Client) -> None:
    past = timezone.now() - datetime.timedelta(seconds=1)
    assert answer(ask(client, token_for(alice, expires_at=past))) == INVALID
    future = timezone.now() + datetime.timedelta(hours=1)
    assert answer(ask(client, token_for(alice, expires_at=future))) == ALICE


def test_a_token_that_was_revoked_is_refused(alice: Any, client: Client) -> None:
    token = token_for(alice)
    assert answer(ask(client, token)) == ALICE
    assert AccessToken.objects.revoke() == 1
    assert answer(ask(client, token)) == INVALID


def test_a_token_whose_user_is_gone_is_refused(alice: Any, client: Client) -> None:
    token = token_for(alice)
    delete_by_sql(alice)
    assert answer(ask(client, token)) == INVALID


def test_a_session_goes_before_a_token(signed_in: Client) -> None:
    bob = UserFactory(username="bob")
    assert answer(ask(signed_in, token_for(bob))) == ALICE
    signed_in.logout()
    assert answer(ask(signed_in, token_for(bob)))[1]["user"] == "bob"


def test_only_the_authenticators_of_the_setting_are_asked(
    alice: Any, client: Client, settings: Any
) -> None:
    settings.USERPODS_AUTHENTICATORS = ["django_userpods.access.SessionAuthenticator"]
    assert answer(ask(client, token_for(alice))) == NO_TOKEN


# --- usernames and names


@pytest.mark.parametrize(
    ("username", "encoded"),
    [
        ("alice@example.org", "alice@example.org"),
        ("a+b", "a+b"),
        ("Zoë", "Zo%C3%AB"),
        ("🐙", "%F0%9F%90%99"),
        ("x\r\nX-Target-Service: user-bob", "x%0D%0AX-Target-Service%3A%20user-bob"),
        ("a b", "a%20b"),
        ("100%", "100%25"),
        ("a/b;c,d", "a%2Fb%3Bc%2Cd"),
    ],
)
def test_the_username_is_escaped_in_its_header(
    memory: MemoryCluster, client: Client, username: str, encoded: str
) -> None:
    user = UserFactory(username=username)
    client.force_login(user)
    response = ask(client)
    assert answer(response)[1]["user"] == username
    assert response["X-Userpods-User"] == encoded
    assert response["X-Target-Service"].startswith("user-")


def test_a_user_whom_no_signal_told_of_gets_a_row_on_the_way(
    memory: MemoryCluster, client: Client
) -> None:
    (user,) = bulk(1)
    client.force_login(user)
    assert answer(ask(client)) == (200, {"user": "bulk000", "service": "user-bulk000"})
    assert row(user).name == "user-bulk000"
    assert not memory.calls


def test_a_user_who_was_activated_by_sql_gets_a_pod(signed_in: Client, alice: Any) -> None:
    users().update(is_active=False)
    reconcile()
    users().update(is_active=True)
    assert answer(ask(signed_in)) == ALICE
    assert row(alice).wanted == UserPod.Wanted.RUNNING


def test_a_name_that_is_not_settled_yet_is_a_503(memory: MemoryCluster, client: Client) -> None:
    former = UserFactory(username="alice")
    reconcile()
    former.delete()
    newcomer = UserFactory(username="alice")
    client.force_login(newcomer)
    response = ask(client)
    assert answer(response)[0] == 503
    assert response["Retry-After"] == "3"
    reconcile(allow_mass_delete=True)
    assert answer(ask(client)) == ALICE


def test_a_new_user_of_a_former_users_key_is_not_led_to_the_old_pod(
    memory: MemoryCluster, client: Client
) -> None:
    former = UserFactory(username="alice")
    pk = former.pk
    reconcile()
    former.delete()
    client.force_login(UserFactory(pk=pk, username="bob"))
    assert answer(ask(client)) == (200, {"user": "bob", "service": "user-bob"})
    reconcile()
    assert answer(ask(client)) == (200, {"user": "bob", "service": "user-bob"})
