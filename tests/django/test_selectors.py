"""Who gets a pod, by what ships for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db.models.signals import m2m_changed

from django_userpods import lifecycle
from django_userpods.selectors import all_of, any_of, in_group, not_named, with_permission
from tests.django import queue_project
from tests.django.support import pairs, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from pathlib import Path

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def test_members_of_a_group_are_selected() -> None:
    students, others = (Group.objects.create(name=name) for name in ("students", "others"))
    ann, ben, cat, gone = (UserFactory(username=name) for name in ("ann", "ben", "cat", "gone"))
    ann.groups.add(students, others)
    ben.groups.add(others)
    gone.groups.add(students)
    gone.is_active = False
    select = in_group("students", "no such group")
    assert [select(user) for user in (ann, ben, cat, gone)] == [True, False, False, False]


def test_those_with_a_permission_are_selected() -> None:
    permission = Permission.objects.get(codename="view_userpod")
    group = Group.objects.create(name="staff")
    group.permissions.add(permission)
    own, by_group, without = (UserFactory(username=name) for name in ("own", "group", "without"))
    boss = UserFactory(username="boss", is_superuser=True)
    own.user_permissions.add(permission)
    by_group.groups.add(group)
    select = with_permission("userpods.view_userpod")
    assert [select(user) for user in (own, by_group, boss, without)] == [True, True, True, False]


def test_names_can_be_left_out() -> None:
    select = not_named("AnonymousUser", "svc-*")
    names = {"alice": True, "AnonymousUser": False, "svc-mail": False, "anonymoususer": True}
    assert {name: select(UserFactory.build(username=name)) for name in names} == names
    assert not select(UserFactory.build(username="alice", is_active=False))


def test_selectors_combine() -> None:
    a, b = (lambda user: user.username in "xy"), (lambda user: user.username in "yz")
    some = [UserFactory.build(username=name) for name in "xyz"]
    assert [all_of(a, b)(user) for user in some] == [False, True, False]
    assert [any_of(a, b)(user) for user in some] == [True, True, True]


@pytest.mark.parametrize("call", [in_group, lambda: with_permission("view_userpod")])
def test_a_selector_of_nothing_is_refused_where_it_is_written(call: Any) -> None:
    with pytest.raises(ValueError, match=r"name at least one group|write 'app_label\.codename'"):
        call()


def test_a_member_gets_a_pod_at_once_by_the_recipe(
    memory: MemoryCluster, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.USERPODS_SELECT = in_group("pods")
    through = users().model.groups.through

    def groups_changed(instance: Any, action: str, reverse: bool, pk_set: Any, **_: Any) -> None:
        if action in ("post_add", "post_remove"):
            changed = pk_set if reverse else [instance.pk]
            lifecycle.sync(lifecycle.rows_of(users().filter(pk__in=changed)))

    m2m_changed.connect(groups_changed, sender=through)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            user = UserFactory(username="alice")
        assert pairs(memory) == []
        group = Group.objects.create(name="pods")
        with django_capture_on_commit_callbacks(execute=True):
            group.user_set.add(user)
        assert pairs(memory) == ["user-alice"]
        with django_capture_on_commit_callbacks(execute=True):
            user.groups.remove(group)
        assert pairs(memory) == []
    finally:
        m2m_changed.disconnect(groups_changed, sender=through)


def test_verified_addresses_of_allauth_count(tmp_path: Path) -> None:
    queue_project.run(
        tmp_path,
        """
        from allauth.account.models import EmailAddress
        from django_userpods.selectors import verified_email
        some = {name: User.objects.create_user(name) for name in ("yes", "no", "none", "gone")}
        for name, verified in (("yes", True), ("no", False), ("gone", True)):
            address = f"{name}@example.org"
            EmailAddress.objects.create(user=some[name], email=address, verified=verified)
        User.objects.filter(username="gone").update(is_active=False)
        assert made() == []
        call_command("sync_userpods", verbosity=0)
        assert made() == ["user-yes"], made()
        EmailAddress.objects.update(verified=True)
        some["no"].save()
        assert made() == ["user-no", "user-yes"], made()
        """,
        apps=("allauth", "allauth.account"),
        more="""USERPODS_SELECT="django_userpods.selectors.verified_email",
    MIDDLEWARE=["allauth.account.middleware.AccountMiddleware"],""",
    )
