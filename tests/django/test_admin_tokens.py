"""The admin of access tokens: made, shown once, revoked, never edited."""

from __future__ import annotations

import datetime
import html
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone

from django_userpods.access import router_client
from django_userpods.admin import AccessTokenAdmin
from django_userpods.models import AccessToken
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.django.admin_urls")]

TOKENS = "/admin/userpods/accesstoken/"


@pytest.fixture(autouse=True)
def _cluster(memory: MemoryCluster) -> None:
    """Do nothing but keep the cluster empty."""


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(UserFactory(username="boss", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def purged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(router_client, "purge", found.append)
    return found


def new(client: Client, user: Any, **more: str) -> Any:
    data = {"user": str(user.pk), "label": "Laptop", "expires_at_0": "", "expires_at_1": ""}
    data["scope"] = "reach"
    return client.post(f"{TOKENS}add/", {**data, **more})


def text_in(page: str) -> str:
    found = re.search(r'<textarea id="userpods-token"[^>]*>([^<]+)</textarea>', page)
    assert found is not None
    return html.unescape(found[1])


def test_a_token_is_shown_once_and_nowhere_kept(boss: Client) -> None:
    alice = UserFactory(username="alice")
    response = new(boss, alice)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    text = text_in(response.content.decode())
    token = AccessToken.objects.get()
    assert token.digest == AccessToken.digest_of(text)
    assert (token.user, token.label, token.is_valid) == (alice, "Laptop", True)

    kept = [str(vars(entry)) for entry in LogEntry.objects.all()]
    assert len(kept) == 1
    kept += [str(session.get_decoded()) for session in Session.objects.all()]
    kept += [str(message) for message in get_messages(response.wsgi_request)]
    kept += [str(boss.cookies), str(vars(token))]
    for url in (TOKENS, f"{TOKENS}{token.pk}/change/", f"{TOKENS}{token.pk}/history/"):
        answer = boss.get(url)
        assert answer.status_code == 200
        kept.append(answer.content.decode())
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM userpods_accesstoken")
        kept.append(str(cursor.fetchall()))
    assert not [place for place in kept if text in place]


def test_the_page_works_under_a_strict_content_security_policy(boss: Client) -> None:
    page = new(boss, UserFactory(username="alice")).content.decode()
    assert "userpods/copy.js" in page
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", page)
    assert not re.findall(r"\son\w+=|\sstyle=", page)


def test_the_scope_is_chosen_once(boss: Client) -> None:
    alice = UserFactory(username="alice")
    assert new(boss, alice, scope="everything").context["adminform"].form.errors["scope"]
    assert new(boss, alice, scope="manage").context["token"].scope == "manage"
    token = AccessToken.objects.get()
    assert token.scope == AccessToken.Scope.MANAGE
    assert "reach and manage my pods" in boss.get(TOKENS).content.decode()
    boss.post(f"{TOKENS}{token.pk}/change/", {"label": "Laptop", "scope": "reach"})
    token.refresh_from_db()
    assert token.scope == AccessToken.Scope.MANAGE


def test_an_expiry_in_the_past_is_refused(boss: Client) -> None:
    response = new(
        boss, UserFactory(username="alice"), expires_at_0="2001-01-01", expires_at_1="00:00:00"
    )
    assert response.context["adminform"].form.errors == {"expires_at": ["This is in the past."]}
    assert not AccessToken.objects.exists()


def test_an_expiry_that_is_another_year_elsewhere_is_refused(boss: Client, settings: Any) -> None:
    settings.TIME_ZONE = "America/New_York"
    alice = UserFactory(username="alice")
    response = new(boss, alice, expires_at_0="9999-12-31", expires_at_1="23:00:00")
    assert list(response.context["adminform"].form.errors) == ["expires_at"]
    assert not AccessToken.objects.exists()


def test_nothing_but_the_label_can_be_changed(boss: Client) -> None:
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    token, _ = AccessToken.objects.issue(alice, label="old")
    before = AccessToken.objects.values().get()
    response = boss.post(
        f"{TOKENS}{token.pk}/change/",
        {
            "label": "new",
            "user": str(bob.pk),
            "expires_at_0": "2099-01-01",
            "expires_at_1": "00:00:00",
            "digest": "0" * 64,
            "scope": "manage",
            "revoked_at": "2001-01-01 00:00",
        },
    )
    assert response.status_code == 302
    assert AccessToken.objects.values().get() == {**before, "label": "new"}


def test_revoking_ends_the_tokens_that_were_valid(
    boss: Client, purged: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    tokens = [AccessToken.objects.issue(user)[0] for user in (alice, alice, bob)]
    AccessToken.objects.filter(pk=tokens[2].pk).revoke()
    revoked_before = AccessToken.objects.get(pk=tokens[2].pk).revoked_at
    del purged[:]
    with django_capture_on_commit_callbacks(execute=True):
        data = {"action": "revoke", "_selected_action": [str(token.pk) for token in tokens]}
        response = boss.post(TOKENS, data)
    assert [str(message) for message in get_messages(response.wsgi_request)] == [
        "Revoked 2 tokens. 1 was already revoked."
    ]
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    assert AccessToken.objects.get(pk=tokens[2].pk).revoked_at == revoked_before
    assert set(purged) == {str(alice.pk)}
    assert LogEntry.objects.count() == 2


def test_the_button_to_revoke_leads_back(boss: Client) -> None:
    token, _ = AccessToken.objects.issue(UserFactory(username="alice"))
    page = f"{TOKENS}{token.pk}/change/"
    assert 'value="revoke"' in boss.get(page).content.decode()
    data = {"action": "revoke", "_selected_action": [str(token.pk)], "userpods_back": page}
    assert boss.post(TOKENS, data)["Location"] == page
    assert 'value="revoke"' not in boss.get(page).content.decode()


def test_revoking_takes_the_permission_to_change(client: Client) -> None:
    staff = UserFactory(username="staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_accesstoken"))
    client.force_login(staff)
    token, _ = AccessToken.objects.issue(staff)
    assert 'value="revoke"' not in client.get(f"{TOKENS}{token.pk}/change/").content.decode()
    client.post(TOKENS, {"action": "revoke", "_selected_action": [str(token.pk)]})
    token.refresh_from_db()
    assert token.is_valid
    assert new(client, staff).status_code == 403


def test_the_routers_are_told_of_deletions(
    boss: Client, purged: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    one, two = (AccessToken.objects.issue(user)[0] for user in (alice, bob))
    del purged[:]
    with django_capture_on_commit_callbacks(execute=True):
        boss.post(f"{TOKENS}{one.pk}/delete/", {"post": "yes"})
        data = {"action": "delete_selected", "_selected_action": [str(two.pk)], "post": "yes"}
        boss.post(TOKENS, data)
    assert not AccessToken.objects.exists()
    assert {str(alice.pk), str(bob.pk)} <= set(purged)


def test_the_list_is_filtered_by_status(boss: Client) -> None:
    alice, now = UserFactory(username="alice"), timezone.now()
    AccessToken.objects.issue(alice, label="expired", expires_at=now - datetime.timedelta(1))
    AccessToken.objects.issue(alice, label="revoked")
    AccessToken.objects.filter(label="revoked").revoke()
    AccessToken.objects.issue(alice, label="valid", expires_at=now + datetime.timedelta(1))
    for status in ("expired", "revoked", "valid"):
        found = boss.get(f"{TOKENS}?status={status}").context["cl"].result_list
        assert [token.label for token in found] == [status]
    assert len(boss.get(f"{TOKENS}?q=alice").context["cl"].result_list) == 3


def test_users_are_searched_where_the_user_list_can_be() -> None:
    request = RequestFactory().get("/")
    request.user = UserFactory(username="boss", is_staff=True, is_superuser=True)
    site = admin.AdminSite(name="other")
    tokens = AccessTokenAdmin(AccessToken, site)
    assert tokens.get_autocomplete_fields(request) == []
    site.register(get_user_model(), admin.ModelAdmin)
    assert tokens.get_autocomplete_fields(request) == []
    site.unregister(get_user_model())
    searched = {"search_fields": [get_user_model().USERNAME_FIELD]}
    site.register(get_user_model(), type("Searched", (admin.ModelAdmin,), searched))
    assert tokens.get_autocomplete_fields(request) == ["user"]
    request.user = UserFactory(username="staff", is_staff=True)
    assert tokens.get_autocomplete_fields(request) == []
