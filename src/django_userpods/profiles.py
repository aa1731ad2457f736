"""Which profiles there are (``core.profile``), and which of them are a user's to choose."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import router

from django_userpods.conf import conf

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from django_userpods.core.profile import Profile


def known() -> dict[str, Profile]:
    """Return all profiles by their slugs, in the order in which people read them.

    Raises SettingError where ``USERPODS_PROFILES`` is invalid.
    """
    return conf.USERPODS_PROFILES or {}


def offered_to(
    user: Any,  # noqa: ANN401 - the project's own user model
    profiles: Mapping[str, Profile],
) -> list[Profile]:
    """Return those that a user may choose. One query if any is for some groups alone."""
    enabled = [profile for profile in profiles.values() if profile.enabled]
    member = groups_of([user.pk], groups_in(enabled))[user.pk]
    return [profile for profile in enabled if is_for(profile, member)]


def is_for(profile: Profile, groups: Collection[str]) -> bool:
    """Tell whether a profile is for somebody who is in these groups."""
    return not profile.groups or bool(profile.groups & set(groups))


def groups_in(found: Iterable[Profile]) -> frozenset[str]:
    """Return the names of all groups that some profiles are for."""
    return frozenset().union(*(profile.groups for profile in found))


def groups_of(users: Collection[Any], names: Collection[str]) -> dict[Any, set[str]]:
    """Return which of the groups of these names some users are in, by the users' keys.

    One query, none where there are no names. A user model without Django's groups is in none.
    """
    found: dict[Any, set[str]] = defaultdict(set)
    model: Any = get_user_model()
    try:
        field = model._meta.get_field("groups")  # noqa: SLF001 - Django's documented name
    except FieldDoesNotExist:
        return found
    if not names or getattr(field.related_model, "_meta", None) is None:
        return found
    if field.related_model._meta.label != "auth.Group":  # noqa: SLF001 - Django's documented name
        return found
    rows = model._base_manager.using(router.db_for_write(model))  # noqa: SLF001 - documented name
    rows = rows.filter(pk__in=users, groups__name__in=names)
    for pk, name in rows.values_list("pk", "groups__name"):
        found[pk].add(name)
    return found
