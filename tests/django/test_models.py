"""Rows and tokens."""

from __future__ import annotations

import datetime
import hashlib
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from django_userpods.models import AccessToken, UserPod
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", "userpods", "--check", "--dry-run", verbosity=0)


def test_the_text_of_a_token_is_nowhere_at_rest(memory: MemoryCluster) -> None:
    token, text = AccessToken.objects.issue(UserFactory(), label="laptop")
    assert text.startswith("upt_")
    assert len(text) > 40
    assert token.digest == hashlib.sha256(text.encode()).hexdigest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM userpods_accesstoken")
        assert text.removeprefix("upt_") not in repr(cursor.fetchall())
    assert text not in repr(vars(token))
    assert text not in f"{token} {token!r}"


def test_a_token_reaches_and_no_more_unless_it_is_made_to() -> None:
    user = UserFactory()
    assert AccessToken.objects.issue(user)[0].scope == AccessToken.Scope.REACH
    assert AccessToken.objects.issue(user, scope="manage")[0].scope == AccessToken.Scope.MANAGE
    with pytest.raises(ValueError, match="everything"):
        AccessToken.objects.issue(user, scope="everything")
    assert AccessToken.objects.count() == 2


def test_tokens_are_not_alike(memory: MemoryCluster) -> None:
    user = UserFactory()
    assert len({AccessToken.objects.issue(user)[1] for _ in range(50)}) == 50


def test_a_token_is_valid_until_it_expires_or_is_revoked(memory: MemoryCluster) -> None:
    now = timezone.now()
    assert AccessToken().is_valid
    assert AccessToken(expires_at=now + datetime.timedelta(minutes=1)).is_valid
    assert not AccessToken(expires_at=now - datetime.timedelta(seconds=1)).is_valid
    assert not AccessToken(revoked_at=now).is_valid


def test_revoking_counts_those_that_were_not_yet(memory: MemoryCluster) -> None:
    user = UserFactory()
    for _ in range(3):
        AccessToken.objects.issue(user)
    assert AccessToken.objects.filter(pk=AccessToken.objects.first().pk).revoke() == 1  # type: ignore[union-attr]
    when = AccessToken.objects.exclude(revoked_at=None).get().revoked_at
    assert AccessToken.objects.revoke() == 2
    assert AccessToken.objects.revoke() == 0
    # The first is said to have been revoked when it was.
    assert AccessToken.objects.order_by("revoked_at").first().revoked_at == when  # type: ignore[union-attr]


def test_the_last_use_is_noted_but_not_each_time(memory: MemoryCluster) -> None:
    token, text = AccessToken.objects.issue(UserFactory())
    headers = {"Authorization": f"Bearer {text}"}
    Client().get("/whoami", headers=headers)
    token.refresh_from_db()
    first: Any = token.last_used_at
    assert timezone.now() - first < datetime.timedelta(seconds=5)
    Client().get("/whoami", headers=headers)
    token.refresh_from_db()
    assert token.last_used_at == first
    long_ago = first - datetime.timedelta(minutes=2)
    AccessToken.objects.update(last_used_at=long_ago)
    Client().get("/whoami", headers=headers)
    token.refresh_from_db()
    assert token.last_used_at != long_ago


def test_an_invalid_token_is_not_used(memory: MemoryCluster) -> None:
    token, text = AccessToken.objects.issue(UserFactory())
    AccessToken.objects.revoke()
    Client().get("/whoami", headers={"Authorization": f"Bearer {text}"})
    token.refresh_from_db()
    assert token.last_used_at is None


def test_tokens_go_with_their_user(memory: MemoryCluster) -> None:
    user = UserFactory()
    AccessToken.objects.issue(user)
    user.delete()
    assert not AccessToken.objects.exists()


def test_no_two_rows_share_a_name_an_address_or_a_slot(memory: MemoryCluster) -> None:
    def make(name: str | None, **fields: Any) -> None:
        fields = {"owner": None, "owner_pk": "1", "namespace": "a", **fields}
        UserPod.objects.create(name=name, **fields)

    user = UserFactory()
    UserPod.objects.all().delete()
    make("x", address="10.0.0.1:80", owner=user)
    clashes: list[dict[str, Any]] = [
        {"name": "x", "namespace": "b"},
        {"name": "y", "address": "10.0.0.1:80"},
        {"name": "y", "owner": user},
    ]
    for clash in clashes:
        with pytest.raises(IntegrityError), transaction.atomic():
            make(**clash)
    make("y", owner=user, slot="gpu")
    # None is nobody's, and what is left of former owners may be of one slot.
    make(None)
    make(None)


def test_a_row_outlives_its_user(memory: MemoryCluster) -> None:
    user = UserFactory()
    UserPod.objects.create(owner=user, owner_pk=str(user.pk), name="user-x", namespace="a")
    user.delete()
    assert UserPod.objects.get().owner is None


def test_rows_are_called_by_what_people_know() -> None:
    assert str(UserPod(name="user-alice", owner_pk="7")) == "user-alice"
    assert str(UserPod(owner_pk="7")) == "user 7"
    assert str(AccessToken(label="laptop")) == "laptop"
    assert "#" in str(AccessToken(pk=3))


def test_the_app_can_be_taken_out_and_put_in_again(transactional_db: None) -> None:
    """Every migration can be undone, and done again on a database that has users."""
    out = StringIO()
    user = UserFactory()
    try:
        call_command("migrate", "userpods", "zero", stdout=out)
        assert "userpods_userpod" not in connection.introspection.table_names()
    finally:
        call_command("migrate", "userpods", stdout=out)
    assert not UserPod.objects.exists()
    user.refresh_from_db()
