"""From users to rows: who should have which pods, under which names. The cluster is not asked.

What is decided here is in the database before the first object is made, so that any process can
die at any moment and the next one carries on with the same names.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import IntegrityError, router, transaction
from django.db.models import Q

from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.exceptions import TemplateError, UserpodsError
from django_userpods.models import UserPod, random_identifier
from django_userpods.reconcile.users import BATCH, users
from django_userpods.reconcile.wanted import room_of_users

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Iterator

    from django.contrib.auth.models import AbstractBaseUser

_T = TypeVar("_T")

logger = logging.getLogger("django_userpods")

Wanted, State = UserPod.Wanted, UserPod.State

_FIELDS = (
    "pk",
    "owner_pk",
    "owner_id",
    "slot",
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


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pods a run is about: everybody's, or those of some users and some one by one.

    ``user_pks`` are primary keys as text, ``pods`` the ids of rows.
    """

    user_pks: frozenset[str] | None = None
    pods: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, user_pks: Collection[str] | None = None, pods: Collection[str] | None = None
    ) -> Scope:
        """Return the scope of a request; of neither is everybody."""
        if user_pks is None and pods is None:
            return cls()
        return cls(frozenset(user_pks or ()), frozenset(pods or ()))

    @property
    def everybody(self) -> bool:
        """Whether it is about all users."""
        return self.user_pks is None

    @property
    def where(self) -> Q:
        """What selects the rows."""
        if self.user_pks is None:
            return Q()
        return Q(owner_pk__in=self.user_pks) | Q(pk__in=self.pods)

    def __len__(self) -> int:
        return len(self.user_pks or ()) + len(self.pods)


@dataclass(slots=True)
class Entry:
    """One pod in a run: the row as read, and its user where there still is one."""

    #: The row's id, which objects carry as a label; of objects of nobody known, the label.
    pk: str
    user_pk: str
    user_id: Any
    slot: str
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
    #: Whether there is a row.
    stored: bool = True
    #: That the row should be otherwise is this run's own finding; nobody has asked for it before.
    found_out: bool = False
    #: How much the template appends to the name, where that is still to be found.
    room: int = 0

    @property
    def absent(self) -> bool:
        """Whether it should have nothing."""
        return self.wanted == Wanted.ABSENT

    @property
    def identity(self) -> naming.PodIdentity:
        """What its objects carry as labels."""
        return naming.PodIdentity(self.pk, self.user_pk)

    def __str__(self) -> str:
        return self.name or self.username or self.user_pk


@dataclass(slots=True)
class Settled:
    """Rows and users side by side: who takes part, who has to wait for a name, what went wrong."""

    entries: list[Entry] = field(default_factory=list)
    #: Pods whose name is still held by one whose objects are going.
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


def settle(scope: Scope, *, keep_users: bool = False) -> Settled:
    """Make rows and users agree, for some, and return the rows.

    For users and pods that are asked for by name: whoever looks at all of them has to ask the
    guard between ``look`` and ``store``.
    """
    settled = look(scope, keep_users=keep_users)
    store(settled)
    settled.sort()
    return settled


def look(scope: Scope, *, keep_users: bool) -> Settled:
    """Hold rows against users, for all or for some, and return what should be. Writes nothing.

    A selected user without a main pod gets a row, with a name of its own; a row whose user is
    gone or no longer selected becomes *absent*. A database that cannot be read raises: it is not
    an empty one. Read from the database that is written to.
    """
    rows = UserPod.objects.using(router.db_for_write(UserPod)).filter(scope.where)
    known = {values[0]: Entry(*values) for values in rows.values_list(*_FIELDS)}
    owned: dict[str, list[Entry]] = defaultdict(list)
    for entry in known.values():
        if entry.user_id is not None:
            owned[entry.user_pk].append(entry)
    settled = Settled()
    select, room_of = conf.select, room_of_users()
    who = None if scope.user_pks is None else scope.user_pks | owned.keys()
    for user in users(who, whole=keep_users):
        user_pk, username = str(user.pk), user.get_username()
        mine = owned.get(user_pk, [])
        try:
            selected = bool(select(user))
            if (
                selected
                and all(entry.slot for entry in mine)
                and (scope.user_pks is None or user_pk in scope.user_pks)
            ):
                entry = _new(user)
                mine = [*mine, entry]
                settled.new.append(entry)
        except Exception as error:
            logger.exception("user %s: the settings could not be used", user_pk)
            message = str(error) if isinstance(error, UserpodsError) else repr(error)
            settled.failed.append((user_pk, username, message))
            for entry in mine:
                known.pop(entry.pk, None)
            continue
        for entry in mine:
            entry.username, entry.exists = username, True
            if keep_users:
                entry.user = user
            if entry.name is None and not entry.absent:
                entry.room = room_of(user)
            if selected == entry.absent:
                entry.wanted = Wanted.RUNNING if selected else Wanted.ABSENT
                entry.state = State.PENDING
                entry.found_out = True
                settled.changed.append(entry)
    for entry in known.values():
        gone = not entry.exists or entry.user_id is None
        if gone and not (entry.absent and entry.user_id is None):
            entry.wanted, entry.user_id = Wanted.ABSENT, None
            entry.state = State.DELETING
            entry.found_out = True
            settled.changed.append(entry)
    settled.entries = [*known.values(), *settled.new]
    nameless = [entry for entry in settled.entries if entry.name is None and not entry.absent]
    for entry, message in _name(nameless):
        settled.entries.remove(entry)
        settled.failed.append((entry.user_pk, entry.username, message))
    settled.nameless = [entry for entry in nameless if entry.stored]
    settled.sort()
    return settled


def store(settled: Settled, *, but_for_absent: bool = False) -> list[Entry]:
    """Write what ``look`` found; return the entries that somebody else wrote otherwise meanwhile.

    With ``but_for_absent`` no row is taken from its user: what would be is left as it was.
    """
    changed = settled.changed
    if but_for_absent:
        changed = [entry for entry in changed if not entry.absent]
    before = [(entry, entry.pk, entry.name) for entry in [*settled.new, *settled.nameless]]
    _store(new=settled.new, changed=changed, nameless=settled.nameless)
    _read_back(settled.new)
    return [entry for entry, pk, name in before if (entry.pk, entry.name) != (pk, name)]


def note(user: AbstractBaseUser, *, created: bool) -> None:
    """Write down, with one statement in most cases, that a user was saved.

    Runs at every save of a user, so it looks no further than it must: a name that is taken, say,
    is left to ``settle``, which the work that was asked for begins with.
    """
    user_pk = str(user.pk)
    if not created:
        rows = UserPod.objects.filter(owner_pk=user_pk).exclude(owner=None)
        if wanted := set(rows.values_list("wanted", flat=True)):
            if wanted & ({Wanted.ABSENT} if conf.select(user) else {*Wanted} - {Wanted.ABSENT}):
                settle(Scope.of([user_pk]))
            return
    if conf.select(user):
        entry = _new(user)
        # A template that is up to the project's code is that code's time: not within a save.
        if not callable(conf.template):
            entry.room = room_of_users()(user)
            entry.name = name_for(entry)
        _insert([entry])


def ensure_row(user: AbstractBaseUser) -> UserPod | None:
    """Return the row of the user's main pod, made if need be; None where they are not selected.

    For a user whom no signal told us of (``bulk_create``, SQL) and who already asks for the pod.
    """
    user_pk = str(user.pk)
    settle(Scope.of([user_pk]))
    rows = UserPod.objects.filter(owner_pk=user_pk, slot="").exclude(owner=None)
    return rows.exclude(wanted=Wanted.ABSENT).first()


def pods_in_use() -> set[str]:
    """Return the ids of all rows there are right now."""
    rows = UserPod.objects.using(router.db_for_write(UserPod)).values_list("pk", flat=True)
    return set(rows.iterator())


def new_row(user: AbstractBaseUser, slot: str) -> UserPod:
    """Make the row of a further pod of a user's and return it.

    It gets its name here, or with the next ``settle`` where another pod holds it. Raises
    IntegrityError where the user has a pod of that slot.
    """
    entry = _new(user, slot)
    entry.room = room_of_users()(user)
    for _, message in _name([entry]):
        raise TemplateError(message)
    return UserPod.objects.create(**_columns(entry))


def _new(user: AbstractBaseUser, slot: str = "") -> Entry:
    return Entry(
        pk=random_identifier(),
        user_pk=str(user.pk),
        user_id=user.pk,
        slot=slot,
        name=None,
        namespace=conf.namespace_of(user),
        wanted=Wanted.RUNNING,
        state=State.PENDING,
        username=user.get_username(),
        exists=True,
        stored=False,
    )


def name_for(entry: Entry) -> str:
    """Return the name that a pod gets if it is free; TemplateError where there can be none."""
    return naming.name_for(
        entry.username, prefix=conf.name_prefix, slot=entry.slot, room=entry.room
    )


def _name(entries: list[Entry]) -> list[tuple[Entry, str]]:
    """Give each entry a free name, or none where its name is about to become free.

    Return those for whom there can be none, and why.
    """
    names: list[tuple[Entry, str]] = []
    failed: list[tuple[Entry, str]] = []
    for entry in entries:
        try:
            names.append((entry, name_for(entry)))
        except TemplateError as error:
            failed.append((entry, str(error)))
    holders: dict[str, bool] = {}
    for batch in _batches([name for _, name in names]):
        rows = UserPod.objects.filter(name__in=batch)
        for name, user_id in rows.values_list("name", "owner_id"):
            holders[str(name)] = user_id is None
    for entry, name in names:
        going = holders.get(name)
        if going:
            entry.message = f"Waiting until the objects of the previous {name} are gone."
            continue
        # Held by a user who has been renamed since.
        entry.name = name if going is None else _name_apart(entry)
        entry.message = ""
        holders[entry.name] = False
    return failed


def _name_apart(entry: Entry) -> str:
    return naming.name_apart(
        entry.username,
        pod=entry.pk,
        prefix=conf.name_prefix,
        slot=entry.slot,
        room=entry.room,
    )


def _store(*, new: list[Entry], changed: list[Entry], nameless: list[Entry]) -> None:
    for batch in _batches(new):
        _insert(batch)
    for batch in _batches(sorted(changed, key=_by_pk)):
        for wanted in (Wanted.RUNNING, Wanted.ABSENT):
            pks = [e.pk for e in batch if e.wanted == wanted and e.user_id is not None]
            UserPod.objects.filter(pk__in=pks).update(wanted=wanted, state=State.PENDING)
        gone = [e.pk for e in batch if e.user_id is None]
        UserPod.objects.filter(pk__in=gone).update(
            wanted=Wanted.ABSENT, owner=None, state=State.DELETING
        )
    for entry in sorted(nameless, key=_by_pk):
        try:
            with transaction.atomic(using=router.db_for_write(UserPod)):
                UserPod.objects.filter(pk=entry.pk, name=None).update(
                    name=entry.name, message=entry.message
                )
        except IntegrityError:
            # Somebody was quicker; the next run looks again.
            entry.name = None


def _by_pk(entry: Entry) -> str:
    return entry.pk


def _insert(entries: list[Entry]) -> None:
    UserPod.objects.bulk_create(
        [UserPod(**_columns(entry)) for entry in entries],
        # Another sync may be doing the same; what counts is read back.
        ignore_conflicts=True,
    )


def _columns(entry: Entry) -> dict[str, Any]:
    return {
        "pk": entry.pk,
        "owner_id": entry.user_id,
        "owner_pk": entry.user_pk,
        "slot": entry.slot,
        "name": entry.name,
        "namespace": entry.namespace,
        "message": entry.message,
    }


def _read_back(entries: list[Entry]) -> None:
    """Make the new entries as the database now has them."""
    by_owner = {(entry.user_pk, entry.slot): entry for entry in entries}
    for batch in _batches(entries):
        rows = UserPod.objects.using(router.db_for_write(UserPod)).exclude(owner=None)
        rows = rows.filter(owner_pk__in=[entry.user_pk for entry in batch])
        for values in rows.values_list(*_FIELDS):
            columns = dict(zip(_FIELDS, values, strict=True))
            entry = by_owner.get((columns["owner_pk"], columns["slot"]))
            if entry is None:
                continue
            entry.stored = True
            entry.pk, entry.user_id = columns["pk"], columns["owner_id"]
            for name in _FIELDS[4:]:
                setattr(entry, name, columns[name])
    for entry in entries:
        if not entry.stored:
            entry.name = None


def _batches(items: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
