"""From users to rows: who should have which pods, under which names. The cluster is not asked.

What is decided here is in the database before the first object is made, so that any process can
die at any moment and the next one carries on with the same names.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.exceptions import TemplateError, UserpodsError
from django_userpods.models import UserPod, random_identifier
from django_userpods.reconcile.entries import FIELDS, Entry, RowChanges, Scope
from django_userpods.reconcile.rows import batches, insert, make, rows, store
from django_userpods.reconcile.users import key_of, username_of, users
from django_userpods.reconcile.wanted import room_of_profile, room_of_users

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger("django_userpods")

Wanted, State = UserPod.Wanted, UserPod.State


def update_rows(scope: Scope, *, keep_users: bool = False) -> RowChanges:
    """Make rows and users agree, for some, and return the rows.

    For users and pods that are asked for by name: whoever looks at all of them has to ask the
    guard between ``look`` and ``store``.
    """
    changes = look(scope, keep_users=keep_users)
    store(changes)
    changes.sort()
    return changes


def look(scope: Scope, *, keep_users: bool) -> RowChanges:
    """Hold rows against users, for all or for some, and return what should be. Writes nothing.

    A selected user without a main pod gets a row, with a name of its own; a row whose user is
    gone or no longer selected becomes *absent*. A database that cannot be read raises: it is not
    an empty one. Read from the database that is written to.
    """
    found = rows().filter(scope.where).values_list(*FIELDS)
    known = {values[0]: Entry(*values) for values in found}
    owned: dict[str, list[Entry]] = defaultdict(list)
    for entry in known.values():
        if entry.user_id is not None:
            owned[entry.user_pk].append(entry)
    changes = RowChanges()
    select, room_of = conf.USERPODS_SELECT, room_of_users()
    who = None if scope.user_pks is None else scope.user_pks | owned.keys()
    for user in users(who, whole=keep_users):
        user_pk, username = str(user.pk), ""
        mine = owned.get(user_pk, [])
        try:
            selected = bool(select(user))
            username = username_of(user) if selected else ""
            if (
                selected
                and all(entry.slot for entry in mine)
                and (scope.user_pks is None or user_pk in scope.user_pks)
            ):
                entry = _new(user)
                mine = [*mine, entry]
                changes.new.append(entry)
        except Exception as error:
            logger.exception("user %s: the settings could not be used", user_pk)
            message = str(error) if isinstance(error, UserpodsError) else repr(error)
            changes.failed.append((user_pk, username, message))
            for entry in mine:
                known.pop(entry.pk, None)
            continue
        for entry in mine:
            entry.username, entry.exists = username, True
            if keep_users:
                entry.user = user
            if entry.name is None and not entry.absent:
                entry.room = (
                    room_of_profile(entry.profile, user) if entry.profile else room_of(user)
                )
            if selected == entry.absent:
                entry.wanted = Wanted.RUNNING if selected else Wanted.ABSENT
                if selected and entry.profile:
                    # Whether it may run is asked when it is started, by its user's next visit.
                    entry.wanted = Wanted.STOPPED
                entry.state = State.PENDING
                entry.found_out = True
                changes.changed.append(entry)
    _find_gone(known.values(), changes)
    changes.entries = [*known.values(), *changes.new]
    _give_names(changes)
    changes.sort()
    return changes


def _give_names(changes: RowChanges) -> None:
    """Name the entries that have no name yet; one for which there is none fails alone."""
    nameless = [entry for entry in changes.entries if entry.name is None and not entry.absent]
    for entry, message in _name(nameless):
        changes.entries.remove(entry)
        changes.failed.append((entry.user_pk, entry.username, message))
    changes.nameless = [entry for entry in nameless if entry.stored]


def _find_gone(entries: Iterable[Entry], changes: RowChanges) -> None:
    """Note which entries' users are not there any more: they should have nothing."""
    for entry in entries:
        gone = not entry.exists or entry.user_id is None
        if gone and not (entry.absent and entry.user_id is None):
            entry.wanted, entry.user_id = Wanted.ABSENT, None
            entry.state = State.DELETING
            entry.found_out = True
            changes.changed.append(entry)


def record_save(user: AbstractBaseUser, *, created: bool) -> bool:
    """Write down, with one statement in most cases, that a user was saved.

    Return whether that changed which pods they are to have.

    Runs at every save of a user, so it looks no further than it must: a name that is taken, say,
    is left to ``update_rows``, which the work that was asked for begins with.
    """
    user_pk = str(user.pk)
    if not created:
        owned = rows().filter(owner_pk=user_pk).exclude(owner=None)
        if wanted := set(owned.values_list("wanted", flat=True)):
            if wanted & (
                {Wanted.ABSENT} if conf.USERPODS_SELECT(user) else {*Wanted} - {Wanted.ABSENT}
            ):
                update_rows(Scope.of([user_pk]))
                return True
            return False
    if conf.USERPODS_SELECT(user):
        entry = _new(user)
        # A template that is up to the project's code is that code's time: not within a save.
        if not callable(conf.USERPODS_TEMPLATE):
            entry.room = room_of_users()(user)
            entry.name = name_for(entry)
        insert([entry])
        return True
    return False


def ensure_row(user: AbstractBaseUser) -> UserPod | None:
    """Return the row of the user's main pod, made if need be; None where they are not selected.

    For a user whom no signal told us of (``bulk_create``, SQL) and who already asks for the pod.
    """
    user_pk = str(user.pk)
    update_rows(Scope.of([user_pk]))
    main = rows().filter(owner_pk=user_pk, slot="").exclude(owner=None)
    return main.exclude(wanted=Wanted.ABSENT).first()


def pods_in_use() -> set[str]:
    """Return the ids of all rows there are right now."""
    return set(rows().values_list("pk", flat=True).iterator())


def new_row(user: AbstractBaseUser, slot: str, profile: str = "") -> UserPod:
    """Make the row of a further pod of a user's, of a profile's or none's, and return it.

    It gets its name here, or with the next ``update_rows`` where another pod holds it. Raises
    IntegrityError where the user has a pod of that slot.
    """
    entry = _new(user, slot)
    entry.profile = profile
    entry.room = room_of_profile(profile, user) if profile else room_of_users()(user)
    for _, message in _name([entry]):
        raise TemplateError(message)
    return make(entry)


def _new(user: AbstractBaseUser, slot: str = "") -> Entry:
    return Entry(
        pk=random_identifier(),
        user_pk=key_of(user),
        user_id=user.pk,
        slot=slot,
        name=None,
        namespace=conf.namespace_of(user),
        wanted=Wanted.RUNNING,
        state=State.PENDING,
        username=username_of(user),
        exists=True,
        stored=False,
    )


def name_for(entry: Entry) -> str:
    """Return the name that a pod gets if it is free; TemplateError where there can be none."""
    return naming.name_for(
        entry.username, prefix=conf.USERPODS_NAME_PREFIX, slot=entry.slot, room=entry.room
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
    for batch in batches([name for _, name in names]):
        held = rows().filter(name__in=batch)
        for name, user_id in held.values_list("name", "owner_id"):
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
        prefix=conf.USERPODS_NAME_PREFIX,
        slot=entry.slot,
        room=entry.room,
    )
