"""What Django's own log says of what was done in the admin: for each reader in their language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.utils.translation import override

from django_userpods.admin import entries
from django_userpods.core.operations import Operation
from django_userpods.models import AccessToken, Profile, UserPod
from tests.django.support import row
from tests.django.test_admin import PODS, act, boss
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

__all__ = ["boss"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.django.admin_urls"),
]
#: As it is in Chinese.
COLON = "\N{FULLWIDTH COLON}"
TOKENS, PROFILES = "/admin/userpods/accesstoken/", "/admin/userpods/profile/"


@pytest.fixture(autouse=True)
def _cluster(memory: MemoryCluster) -> None:
    """Do nothing but keep the cluster empty."""


def read(client: Client, page: str, language: str) -> str:
    """Return an object's history as somebody reads it."""
    with override(language):
        answer = client.get(f"{page}/history/")
    assert answer.status_code == 200
    return answer.text


def test_a_pods_history_is_in_its_readers_language(boss: Client) -> None:
    pod = row(UserFactory(username="alice"))
    act(boss, "stop", UserPod.objects.all())
    # Of before they were translated, of a project's own, of Django's own.
    for text in ("Profile: gpu", "已经做了", '[{"changed": {"fields": ["name"]}}]'):
        LogEntry.objects.log_actions(boss.session["_auth_user_id"], [pod], CHANGE, text)
    english = read(boss, f"{PODS}{pod.pk}", "en")
    chinese = read(boss, f"{PODS}{pod.pk}", "zh-hans")
    for words in ("Stop was requested.", "Profile: gpu", "已经做了", "Changed name."):
        assert words in english
    for words in ("已要求停止。", f"配置方案{COLON}gpu", "已经做了"):
        assert words in chinese
    for words in ("asked for", "Changed name."):
        assert words not in chinese
    assert LogEntry.objects.filter(change_message="Stop was requested.").count() == 1


def test_a_tokens_history_is_in_its_readers_language(boss: Client) -> None:
    AccessToken.objects.create(digest="0" * 64, user=UserFactory(username="alice"))
    token = AccessToken.objects.get()
    boss.post(TOKENS, {"action": "revoke", "_selected_action": [token.pk]})
    assert "Revoked." in read(boss, f"{TOKENS}{token.pk}", "en")
    chinese = read(boss, f"{TOKENS}{token.pk}", "zh-hans")
    assert "已吊销。" in chinese
    assert "Revoked." not in chinese


@pytest.mark.urls("tests.urls")
def test_what_a_chinese_reader_did_is_stored_for_all(boss: Client, settings: Any) -> None:
    settings.USERPODS_PROFILES = "database"
    profile = Profile.objects.create(slug="gpu", name="GPU", image="example.org/gpu:1")
    with override("zh-hans"):
        boss.post(f"{PROFILES}{profile.pk}/restore/", {"restore": "1"})
    text = "Restored to version 1."
    assert LogEntry.objects.get().change_message == text
    assert text in read(boss, f"{PROFILES}{profile.pk}", "en")
    assert "已恢复为版本 1 的内容。" in read(boss, f"{PROFILES}{profile.pk}", "zh-hans")


def test_each_that_is_stored_is_translated_with_what_it_names() -> None:
    assert set(entries.OPERATIONS) == set(Operation)
    stored = [
        *entries.OPERATIONS.values(),
        entries.ROLLOUT,
        entries.REVOKED,
        entries.PROFILE % {"profile": "a %(b)s\n"},
        entries.RESTORED % {"number": 12},
    ]
    for text in stored:
        with override("en"):
            assert entries.translated(text) == text
        with override("zh-hans"):
            assert entries.translated(text).isascii() is False, text
    with override("zh-hans"):
        assert "a %(b)s\n" in entries.translated(stored[-2])
        assert " 12 " in entries.translated(stored[-1])
        for text in ("", "Not Revoked.", "Revoked. Really", "Stop"):
            assert entries.translated(text) == text
