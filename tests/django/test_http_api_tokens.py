"""Access tokens in the JSON API: made, shown once, revoked."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods.models import AccessToken
from tests.django.http_api import ask, bearer, boss, signed_in
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(memory: MemoryCluster) -> None:
    cache.clear()


def test_a_token_is_made_shown_once_and_revoked(alice: Any) -> None:
    client = signed_in(alice)
    later = (timezone.now() + datetime.timedelta(days=1)).isoformat()
    made = ask(
        client,
        "post",
        "tokens/",
        {"label": "laptop", "scope": "manage", "expires_at": later},
        status=201,
    )
    text = made.pop("text")
    assert made == ask(client, "get", "tokens/")["items"][0]
    assert text not in json.dumps(ask(client, "get", "tokens/"))
    headers = {"Authorization": f"Bearer {text}"}
    ask(Client(), "get", "pods/", headers=headers)
    ask(client, "delete", f"tokens/{made['id']}/", status=204)
    ask(Client(), "get", "pods/", headers=headers, status=401)
    assert ask(client, "get", "tokens/")["items"][0]["valid"] is False
    assert ask(client, "post", "tokens/", {"label": "x"}, status=201)["scope"] == "reach"


@pytest.mark.parametrize(
    "body",
    [
        {"label": ""},
        {"label": "x" * 101},
        {"label": "x", "scope": "everything"},
        {"label": "x", "expires_at": "2001-01-01T00:00:00Z"},
        {"label": "x", "expires_at": "2101-01-01T00:00:00"},
        {"label": "x", "expires_at": "2101-99-01T00:00:00Z"},
        {"label": "x", "expires_at": 7},
        {"label": "x", "user": 1},
        "label",
    ],
)
def test_a_token_that_cannot_be_is_refused(alice: Any, body: Any) -> None:
    ask(signed_in(alice), "post", "tokens/", body, status=400)
    assert not AccessToken.objects.exists()


def test_a_token_makes_no_tokens_but_may_revoke(alice: Any) -> None:
    headers = bearer(alice)
    ask(Client(), "post", "tokens/", {"label": "x"}, status=403, headers=headers)
    token = AccessToken.objects.get()
    ask(Client(), "delete", f"tokens/{token.pk}/", status=204, headers=headers)
    token.refresh_from_db()
    assert not token.is_valid


def test_anothers_tokens_are_not_there_but_for_staff(alice: Any) -> None:
    token, _ = AccessToken.objects.issue(alice, label="hers")
    bob = signed_in(UserFactory(username="bob"))
    assert ask(bob, "get", "tokens/")["items"] == []
    ask(bob, "delete", f"tokens/{token.pk}/", status=404)
    looking = boss("view_accesstoken")
    assert ask(looking, "get", "tokens/?all=true")["items"][0]["user"] == "alice"
    ask(looking, "delete", f"tokens/{token.pk}/", status=403)
    ask(boss("view_accesstoken", "change_accesstoken"), "delete", f"tokens/{token.pk}/", status=204)
    token.refresh_from_db()
    assert not token.is_valid


def test_tokens_come_in_pages(alice: Any) -> None:
    for number in range(5):
        AccessToken.objects.issue(alice, label=str(number))
    first = ask(signed_in(alice), "get", "tokens/?limit=3")
    second = ask(signed_in(alice), "get", first["next"])
    labels = [item["label"] for item in (*first["items"], *second["items"])]
    assert labels == ["0", "1", "2", "3", "4"]
    ask(signed_in(alice), "get", "tokens/?after=nonsense", status=400)


def test_no_more_tokens_than_there_may_be(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_userpods.pages.api.tokens.MOST", 1)
    client = signed_in(alice)
    ask(client, "post", "tokens/", {"label": "x"}, status=201)
    ask(client, "post", "tokens/", {"label": "y"}, status=409)


@pytest.mark.parametrize("path", ["tokens/?limit=200", "tokens/?all=true&limit=200"])
def test_no_query_for_each_token(memory: MemoryCluster, path: str) -> None:
    staff = UserFactory(username="staff", is_staff=True, is_superuser=True)
    client, counts, shown = signed_in(staff), [], []
    for size in (1, 20):
        for _ in range(size):
            AccessToken.objects.issue(staff)
            AccessToken.objects.issue(UserFactory())
        with CaptureQueriesContext(connection) as queries:
            shown.append(len(ask(client, "get", path)["items"]))
        counts.append(len(queries))
    assert shown == ([2, 42] if "all" in path else [1, 21])
    assert counts[0] == counts[1]
