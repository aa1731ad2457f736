"""From users to rows: who should have a pod, under which name. The cluster is not asked.

What is decided here is in the database before the first object is made, so that any process can
die at any moment and the next one carries on with the same names.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, router, transaction

from django_userpods.conf import conf, is_active
from django_userpods.core import naming
from django_userpods.exceptions import UserpodsError
from django_userpods.models import UserPod

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Iterable, Iterator

    from django.db.models import Field, QuerySet

_T = TypeVar("_T")

logger = logging.getLogger("django_userpods")

BATCH = 500
Wanted, State = UserPod.Wanted, UserPod.State

_FIELDS = (
    "pk",
    "user_pk",
    "user_id",
    "name",
    "namespace",
    "wanted",
    "state",
    "message",
    "address",
    "image",
    "kinds",
    "restarted_at",
    "recreate",
)


@dataclass(slots=True)
class Entry:
    """One user in a run: the row as read, and the user where there still is one."""

    pk: int | None
    user_pk: str
    user_id: Any
    name: str | None
    namespace: str
    wanted: str
    state: str
    message: str = ""
    address: str | None = None
    image: str = ""
    kinds: str = ""
    restarted_at: datetime.datetime | None = None
    recreate: bool = False
    username: str = ""
    #: The user, kept only where the template depends on it.
    user: AbstractBaseUser | None = None
    exists: bool = False
    #: That the row should be otherwise is this run's own finding; nobody has asked for it before.
    found_out: bool = False

    @property
    def label(self) -> str:
        """The value of the user's label on objects."""
        return naming.label_value(self.user_pk)

    @property
    def absent(self) -> bool:
        """Whether the user should have nothing."""
        return self.wanted == Wanted.ABSENT

    def __str__(self) -> str:
        return self.name or self.username or self.user_pk


@dataclass(slots=True)
class Settled:
    """Rows and users side by side: who takes part, who has to wait for a name, what went wrong."""

    entries: list[Entry] = field(default_factory=list)
    #: Users whose name is still held by somebody whose objects are going.
    waiting: list[Entry] = field(default_factory=list)
    #: (user's primary key, username, message) of users for whom the settings could not be used.
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    #: What ``store`` is to write: new rows, rows that changed, rows that get a name at last.
    new: list[Entry] = field(default_factory=list)
    changed: list[Entry] = field(default_factory=list)
    nameless: list[Entry] = field(default_factory=list)

    def sort(self) -> None:
        """Part those who have a name (or need none) from those who wait for one."""
        everybody = [*self.entries, *self.waiting]
        self.entries = [entry for entry in everybody if entry.name or entry.absent]
        self.waiting = [entry for entry in everybody if not (entry.name or entry.absent)]


def settle(user_pks: Collection[str] | None, *, keep_users: bool) -> Settled:
    """Make rows and users agree, for all or for some, and return the rows.

    For users who are asked for by name: whoever looks at all of them has to ask the guard between
    ``look`` and ``store``.
    """
    settled = look(user_pks, keep_users=keep_users)
    store(settled)
    settled.sort()
    return settled


def look(user_pks: Collection[str] | None, *, keep_users: bool) -> Settled:
    """Hold rows against users, for all or for some, and return what should be. Writes nothing.

    A selected user without a row gets one, with a name of its own; a row whose user is gone or no
    longer selected becomes *absent*. A database that cannot be read raises: it is not an empty
    one. Read from the database that is written to: one that lags behind would take a user of
    yesterday for nobody.
    """
    rows = UserPod.objects.using(router.db_for_write(UserPod))
    if user_pks is not None:
        rows = rows.filter(user_pk__in=user_pks)
    known = {values[1]: Entry(*values) for values in rows.values_list(*_FIELDS)}
    settled, new, changed = Settled(), [], []
    select, prefix = conf.select, conf.name_prefix
    for user in _users(user_pks, whole=keep_users or _asks_more_of_users()):
        user_pk, username = str(user.pk), user.get_username()
        entry = known.get(user_pk)
        try:
            selected = bool(select(user))
            if entry is None and selected:
                new.append(_new(user, user_pk, username, keep_users=keep_users))
        except Exception as error:
            logger.exception("user %s: the settings could not be used", user_pk)
            message = str(error) if isinstance(error, UserpodsError) else repr(error)
            settled.failed.append((user_pk, username, message))
            known.pop(user_pk, None)
            continue
        if entry is None:
            continue
        entry.username, entry.exists = username, True
        if keep_users:
            entry.user = user
        if entry.user_id is None:
            # The old user's objects go before a new user of the same key gets any.
            continue
        if selected == entry.absent:
            entry.wanted = Wanted.RUNNING if selected else Wanted.ABSENT
            entry.state = State.PENDING
            entry.found_out = True
            changed.append(entry)
    for entry in known.values():
        gone = not entry.exists or entry.user_id is None
        if gone and not (entry.absent and entry.user_id is None):
            entry.wanted, entry.user_id = Wanted.ABSENT, None
            entry.state = State.DELETING
            entry.found_out = True
            changed.append(entry)
    nameless = [entry for entry in known.values() if entry.name is None and not entry.absent]
    _name(new + nameless, prefix=prefix)
    settled.new, settled.changed, settled.nameless = new, changed, nameless
    settled.entries = [*known.values(), *new]
    settled.sort()
    return settled


def store(settled: Settled, *, but_for_absent: bool = False) -> list[Entry]:
    """Write what ``look`` found; return the entries that somebody else wrote otherwise meanwhile.

    With ``but_for_absent`` no row is taken from its user: what would be is left as it was.
    """
    changed = settled.changed
    if but_for_absent:
        changed = [entry for entry in changed if not entry.absent]
    names = [(entry, entry.name) for entry in [*settled.new, *settled.nameless]]
    _store(new=settled.new, changed=changed, nameless=settled.nameless)
    _read_back(settled.new)
    return [entry for entry, name in names if entry.name != name]


def note(user: AbstractBaseUser, *, created: bool) -> None:
    """Write down, with one statement in most cases, that a user was saved.

    Runs at every save of a user, so it looks no further than it must: a name that is taken, say,
    is left to ``settle``, which the work that was asked for begins with.
    """
    user_pk = str(user.pk)
    if not created:
        wanted = UserPod.objects.filter(user_pk=user_pk).values_list("wanted", flat=True)[:1]
        for value in wanted:
            if bool(conf.select(user)) == (value == Wanted.ABSENT):
                settle([user_pk], keep_users=False)
            return
    if conf.select(user):
        entry = _new(user, user_pk, user.get_username(), keep_users=False)
        entry.name = naming.name_for(entry.username, prefix=conf.name_prefix)
        _insert([entry])


def ensure_row(user: AbstractBaseUser) -> UserPod | None:
    """Return the user's row, made if need be; None where the user is not selected.

    For a user whom no signal told us of (``bulk_create``, SQL) and who already asks for the pod.
    """
    settle([str(user.pk)], keep_users=False)
    rows = UserPod.objects.filter(user_pk=str(user.pk)).exclude(user=None)
    return rows.exclude(wanted=Wanted.ABSENT).first()


def labels_in_use() -> set[str]:
    """Return the label of every user and every row there is right now."""
    user_pks = _all_users().values_list("pk", flat=True)
    labels = {naming.label_value(str(pk)) for pk in user_pks.iterator()}
    rows = UserPod.objects.using(router.db_for_write(UserPod)).values_list("user_pk", flat=True)
    return labels | {naming.label_value(pk) for pk in rows.iterator()}


class _Essence(NamedTuple):
    """What the default settings ask of a user: a third of the cost of the whole user."""

    pk: Any
    username: str
    is_active: bool

    def get_username(self) -> str:
        return self.username


def _asks_more_of_users() -> bool:
    """Tell whether the project's own code is to see the users, or their model is special."""
    model: Any = get_user_model()
    plain = {field.name for field in _fields_of(model) if not field.is_relation}
    return (
        conf.select is not is_active
        or callable(conf.namespace)
        or model.get_username is not AbstractBaseUser.get_username
        or not {"is_active", model.USERNAME_FIELD} <= plain
    )


def _fields_of(model: Any) -> Iterable[Field[Any, Any]]:  # noqa: ANN401 - any user model
    fields: Iterable[Field[Any, Any]] = model._meta.concrete_fields  # noqa: SLF001 - Django's documented name
    return fields


def _all_users() -> QuerySet[Any]:
    """Return all users, from the database that is written to."""
    model: Any = get_user_model()
    users: QuerySet[Any] = model._default_manager.using(router.db_for_write(model))  # noqa: SLF001 - Django's documented name
    return users


def _users(user_pks: Collection[str] | None, *, whole: bool) -> Iterator[AbstractBaseUser]:
    model: Any = get_user_model()
    users = _all_users()
    if user_pks is None:
        if not whole:
            essence = users.values_list("pk", model.USERNAME_FIELD, "is_active")
            for values in essence.iterator(chunk_size=2000):
                yield cast("AbstractBaseUser", _Essence(*values))
            return
        yield from users.iterator(chunk_size=2000)
        return
    field_of_key = model._meta.pk  # noqa: SLF001 - Django's documented name
    valid = []
    for user_pk in user_pks:
        try:
            valid.append(field_of_key.to_python(user_pk))
        except ValidationError:
            continue
    for batch in _batches(valid):
        yield from users.filter(pk__in=batch)


def _new(user: AbstractBaseUser, user_pk: str, username: str, *, keep_users: bool) -> Entry:
    return Entry(
        pk=None,
        user_pk=user_pk,
        user_id=user.pk,
        name=None,
        namespace=conf.namespace_of(user),
        wanted=Wanted.RUNNING,
        state=State.PENDING,
        username=username,
        user=user if keep_users else None,
        exists=True,
    )


def _name(entries: list[Entry], *, prefix: str) -> None:
    """Give each entry a free name, or none where its name is about to become free."""
    names = [naming.name_for(entry.username, prefix=prefix) for entry in entries]
    holders: dict[tuple[str, str | None], bool] = {}
    for batch in _batches(names):
        for namespace, name, user_id in UserPod.objects.filter(name__in=batch).values_list(
            "namespace", "name", "user_id"
        ):
            holders[namespace, name] = user_id is None
    for entry, name in zip(entries, names, strict=True):
        going = holders.get((entry.namespace, name))
        if going:
            entry.message = f"Waiting until the objects of the previous {name} are gone."
        elif going is None:
            entry.name = name
        else:
            # Held by a user who has been renamed since.
            entry.name = naming.name_apart(entry.username, user_pk=entry.user_pk, prefix=prefix)
        if entry.name:
            entry.message = ""
            holders[entry.namespace, entry.name] = False


def _store(*, new: list[Entry], changed: list[Entry], nameless: list[Entry]) -> None:
    for batch in _batches(new):
        _insert(batch)
    for batch in _batches(changed):
        for wanted in (Wanted.RUNNING, Wanted.ABSENT):
            pks = [e.pk for e in batch if e.pk and e.wanted == wanted and e.user_id is not None]
            UserPod.objects.filter(pk__in=pks).update(wanted=wanted, state=State.PENDING)
        gone = [e.pk for e in batch if e.pk and e.user_id is None]
        UserPod.objects.filter(pk__in=gone).update(
            wanted=Wanted.ABSENT, user=None, state=State.DELETING
        )
    for entry in nameless:
        try:
            with transaction.atomic(using=router.db_for_write(UserPod)):
                UserPod.objects.filter(user_pk=entry.user_pk, name=None).update(
                    name=entry.name, message=entry.message
                )
        except IntegrityError:
            # Somebody was quicker; the next run looks again.
            entry.name = None


def _insert(entries: list[Entry]) -> None:
    UserPod.objects.bulk_create(
        [
            UserPod(
                user_id=entry.user_id,
                user_pk=entry.user_pk,
                name=entry.name,
                namespace=entry.namespace,
                message=entry.message,
            )
            for entry in entries
        ],
        # Another sync may be doing the same; what counts is read back.
        ignore_conflicts=True,
    )


def _read_back(entries: list[Entry]) -> None:
    """Make the new entries as the database now has them."""
    by_user = {entry.user_pk: entry for entry in entries}
    for batch in _batches(entries):
        rows = UserPod.objects.filter(user_pk__in=[entry.user_pk for entry in batch])
        for values in rows.values_list(*_FIELDS):
            entry = by_user[values[1]]
            for name, value in zip(_FIELDS, values, strict=True):
                setattr(entry, name, value)
    for entry in entries:
        if entry.pk is None:
            entry.name = None


def _batches(items: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
