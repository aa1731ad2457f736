"""Who gets a pod: functions for ``USERPODS_SELECT``.

Each is true of active users alone. They ask the database at each call, once for each user of a
sync. What they ask for changes without a save of the user (a group, a verified address), so the pod
comes or goes with the next sync: docs/selectors.md has what to write where it is to be at once.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from django.apps import apps

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import User

    Selector = Callable[[AbstractBaseUser], bool]

__all__ = ["all_of", "any_of", "in_group", "not_named", "verified_email", "with_permission"]


def in_group(*names: str) -> Selector:
    """Select the active members of at least one of these groups."""
    if not names:
        message = "name at least one group"
        raise ValueError(message)

    def select(user: User) -> bool:
        if not user.is_active:
            return False
        return user.groups.using(_database_of(user)).filter(name__in=names).exists()

    return select  # type: ignore[return-value] # a user model with groups


def with_permission(name: str) -> Selector:
    """Select the active users who have a permission, ``"app_label.codename"``; superusers have all.

    Of the user, or by a group, as the authentication backends say.
    """
    if name.count(".") != 1:
        message = f"{name!r} is not a permission; write 'app_label.codename'"
        raise ValueError(message)

    def select(user: User) -> bool:
        return user.is_active and user.has_perm(name)

    return select  # type: ignore[return-value] # a user model with permissions


def verified_email(user: AbstractBaseUser) -> bool:
    """Select the active users with an address that they have verified (django-allauth).

    Raises LookupError where ``allauth.account`` is not installed.
    """
    model: Any = apps.get_app_config("account").get_model("EmailAddress")
    addresses = model._default_manager  # noqa: SLF001 - Django's documented name
    mine = addresses.using(_database_of(user)).filter(user_id=user.pk, verified=True)
    return bool(user.is_active) and mine.exists()


def not_named(*patterns: str) -> Selector:
    """Select the active users whose usernames match none of these, as in ``"svc-*"``.

    Patterns as of file names (``fnmatch``), in which upper case and lower case differ.
    """

    def select(user: AbstractBaseUser) -> bool:
        name = str(user.get_username())
        return bool(user.is_active) and not any(fnmatchcase(name, one) for one in patterns)

    return select


def all_of(*selectors: Selector) -> Selector:
    """Select whom each of these selects."""
    return lambda user: all(select(user) for select in selectors)


def any_of(*selectors: Selector) -> Selector:
    """Select whom at least one of these selects."""
    return lambda user: any(select(user) for select in selectors)


def _database_of(user: AbstractBaseUser) -> str | None:
    """Return where the user was read from: a replica may not know yet what was just written."""
    return user._state.db  # noqa: SLF001 - Django's documented name
