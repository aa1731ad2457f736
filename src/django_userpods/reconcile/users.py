"""The users as a run reads them: no more of each than the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import router

from django_userpods.conf import conf, is_active
from django_userpods.exceptions import PodNotAllowed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from django.db.models import Field, QuerySet

#: Maximum number of rows that a statement names.
BATCH = 500
#: The longest primary key, as text.
_LONGEST_KEY = 255


class _Essence(NamedTuple):
    """What the default settings ask of a user: a third of the cost of the whole user."""

    pk: Any
    username: Any
    is_active: bool

    def get_username(self) -> Any:  # noqa: ANN401 - the project's own field
        return self.username


def username_of(user: AbstractBaseUser) -> str:
    """Return a username as text, of whatever type it is; PodNotAllowed where there is none."""
    username: Any = user.get_username()
    if username is None:
        field = get_user_model().USERNAME_FIELD
        message = (
            f"user {user.pk} has no username (the field {field} is null) to call a pod after; "
            "give them one"
        )
        raise PodNotAllowed(message)
    return str(username)


def key_of(user: AbstractBaseUser) -> str:
    """Return a primary key as text; PodNotAllowed where a row has no room for it."""
    text = str(user.pk)
    if len(text) > _LONGEST_KEY:
        message = (
            f"user {text[:20]}...: a primary key of {len(text)} characters is too long for a pod, "
            f"which has room for {_LONGEST_KEY}"
        )
        raise PodNotAllowed(message)
    return text


def users(user_pks: Collection[str] | None, *, whole: bool) -> Iterator[AbstractBaseUser]:
    """Yield some users, or all (None), from the database that is written to.

    A replica that lags behind would take a user of yesterday for nobody. Without ``whole`` they
    may be less than users, as far as the settings have no use for the rest.
    """
    model: Any = get_user_model()
    found = everybody()
    if user_pks is None:
        if not whole and not _asks_more_of_users(model):
            essence = found.values_list("pk", model.USERNAME_FIELD, "is_active")
            for values in essence.iterator(chunk_size=2000):
                yield cast("AbstractBaseUser", _Essence(*values))
            return
        yield from found.iterator(chunk_size=2000)
        return
    field_of_key = model._meta.pk  # noqa: SLF001 - Django's documented name
    valid = []
    for user_pk in user_pks:
        try:
            valid.append(field_of_key.to_python(user_pk))
        except ValidationError:
            continue
    for start in range(0, len(valid), BATCH):
        yield from found.filter(pk__in=valid[start : start + BATCH])


def everybody() -> QuerySet[Any]:
    """Return all users, from the database that is written to."""
    model: Any = get_user_model()
    found: QuerySet[Any] = model._default_manager.using(router.db_for_write(model))  # noqa: SLF001 - Django's documented name
    return found


def _asks_more_of_users(model: Any) -> bool:  # noqa: ANN401 - any user model
    """Tell whether the project's own code is to see the users, or their model is special."""
    plain = {field.name for field in _fields_of(model) if not field.is_relation}
    return (
        conf.USERPODS_SELECT is not is_active
        or callable(conf.USERPODS_NAMESPACE)
        or callable(conf.USERPODS_TEMPLATE)
        or model.get_username is not AbstractBaseUser.get_username
        or not {"is_active", model.USERNAME_FIELD} <= plain
    )


def _fields_of(model: Any) -> Iterable[Field[Any, Any]]:  # noqa: ANN401 - any user model
    fields: Iterable[Field[Any, Any]] = model._meta.concrete_fields  # noqa: SLF001 - Django's documented name
    return fields
