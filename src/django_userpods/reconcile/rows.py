"""Rows as a run writes them: in one order everywhere, and again where another was in the way.

Two processes may write the same rows at any time. Each transaction takes its rows in the order
of their keys, so that two never wait for each other; where a database calls one off all the same
(a deadlock, a snapshot that is too old), it is done again.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import DatabaseError, IntegrityError, connections, router, transaction

from django_userpods.models import UserPod
from django_userpods.reconcile.entries import FIELDS
from django_userpods.reconcile.users import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from django.db.models import Q, QuerySet

    from django_userpods.reconcile.entries import Entry, RowChanges

_T = TypeVar("_T")

Wanted, State = UserPod.Wanted, UserPod.State

#: How often a transaction is tried, and the longest pause between two tries in seconds.
_TRIES, _PAUSE = 8, 0.4
#: How databases say that a transaction was called off for another's sake. PostgreSQL's SQLSTATEs
#: (appendix A of its manual), MariaDB's and MySQL's error numbers, SQLite's names.
_CALLED_OFF = frozenset({"40001", "40P01", "55P03"} | {1020, 1205, 1213} | {"SQLITE_BUSY_SNAPSHOT"})


def alias() -> str:
    """Return the alias of the database that rows are written to, which is read as well."""
    return router.db_for_write(UserPod)


def rows() -> QuerySet[UserPod]:
    """Return all rows, from the database that is written to: a replica may lag behind."""
    return UserPod.objects.using(alias())


def refusal(error: DatabaseError) -> str:
    """Return for people what a database said to a row."""
    return f"the database refuses its row: {error}"


def retried(work: Callable[[], _T]) -> _T:
    """Do some work that is a transaction, and again where it was called off for another's sake.

    Inside of a transaction of the caller's there is one try: what was called off is all of that.
    """
    if connections[alias()].in_atomic_block:
        return work()
    for number in range(1, _TRIES):
        try:
            return work()
        except DatabaseError as error:
            if not _was_called_off(error):
                raise
        time.sleep(random.uniform(0, min(_PAUSE, 0.02 * 2**number)))  # noqa: S311 - no secret
    return work()


def is_at_fault(error: DatabaseError) -> bool:
    """Tell whether what was written is at fault, not the database."""
    return not _was_called_off(error) and connections[alias()].is_usable()


def update(where: Q, **changes: Any) -> None:  # noqa: ANN401 - columns of a row
    """Change some columns of some rows, which are taken in the order of their keys."""

    def work() -> None:
        with transaction.atomic(using=alias()):
            found = rows().filter(where)
            lock(found)
            found.update(**changes)

    retried(work)


def lock(found: QuerySet[UserPod]) -> None:
    """Hold some rows to the end of the transaction, taken in the order of their keys."""
    if connections[alias()].features.has_select_for_update:
        list(found.select_for_update().order_by("pk").values_list("pk"))


def store(changes: RowChanges, *, but_for_absent: bool = False) -> list[tuple[str, Entry]]:
    """Write what a look at the users found; return the entries that came to be otherwise.

    Each with the id that it had: somebody else wrote it meanwhile, or the database refuses it,
    which is noted. With ``but_for_absent`` no row is taken from its user.
    """
    before = [(entry, entry.pk, entry.name) for entry in [*changes.new, *changes.nameless]]
    for entry, message in insert(changes.new):
        changes.refused[entry.pk] = message
        changes.failed.append((entry.user_pk, entry.username, message))
    for batch in batches(sorted(changes.changed, key=_by_key)):
        _change([entry for entry in batch if not (but_for_absent and entry.absent)])
    for entry in sorted(changes.nameless, key=_by_key):
        _name(entry)
    _read_back(changes.new)
    return [(pk, entry) for entry, pk, name in before if (entry.pk, entry.name) != (pk, name)]


def insert(entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Make rows, but for those that are there; return those that the database refuses, and why."""
    refused: list[tuple[Entry, str]] = []
    for batch in batches(sorted(entries, key=lambda entry: (entry.user_pk, entry.slot))):
        try:
            _insert(batch)
        except DatabaseError as error:
            if not is_at_fault(error):
                raise
            if len(batch) == 1:
                refused.append((batch[0], refusal(error)))
                continue
            for entry in batch:
                refused += insert([entry])
    return refused


def make(entry: Entry, **columns: Any) -> UserPod:  # noqa: ANN401 - further columns of a row
    """Make one row and return it; IntegrityError where it cannot be."""
    with transaction.atomic(using=alias()):
        return rows().create(**_columns(entry), **columns)


def batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield as many at a time as a statement names."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _was_called_off(error: DatabaseError) -> bool:
    cause = error.__cause__
    codes = {getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorname", None)}
    codes |= (
        set(error.args[:1]) if isinstance(error.args[0] if error.args else None, int) else set()
    )
    return bool(codes & _CALLED_OFF)


def _by_key(entry: Entry) -> str:
    return entry.pk


def _insert(batch: Iterable[Entry]) -> None:
    made = [UserPod(**_columns(entry)) for entry in batch]

    def work() -> None:
        with transaction.atomic(using=alias()):
            # Another sync may be doing the same; what counts is read back.
            rows().bulk_create(made, ignore_conflicts=True)

    retried(work)


def _change(batch: Sequence[Entry]) -> None:
    def work() -> None:
        with transaction.atomic(using=alias()):
            lock(rows().filter(pk__in=[entry.pk for entry in batch]))
            for wanted in Wanted:
                pks = [e.pk for e in batch if e.wanted == wanted and e.user_id is not None]
                rows().filter(pk__in=pks).update(wanted=wanted, state=State.PENDING)
            gone = [entry.pk for entry in batch if entry.user_id is None]
            rows().filter(pk__in=gone).update(
                wanted=Wanted.ABSENT, owner=None, state=State.DELETING
            )

    if batch:
        retried(work)


def _name(entry: Entry) -> None:
    def work() -> None:
        with transaction.atomic(using=alias()):
            rows().filter(pk=entry.pk, name=None).update(name=entry.name, message=entry.message)

    try:
        retried(work)
    except IntegrityError:
        # Somebody was quicker; the next run looks again.
        entry.name = None


def _columns(entry: Entry) -> dict[str, Any]:
    return {
        "pk": entry.pk,
        "owner_id": entry.user_id,
        "owner_pk": entry.user_pk,
        "slot": entry.slot,
        "name": entry.name,
        "namespace": entry.namespace,
        "wanted": entry.wanted,
        "message": entry.message,
        "kinds": entry.kinds,
        "profile": entry.profile,
    }


def _read_back(entries: Sequence[Entry]) -> None:
    """Make the new entries as the database now has them."""
    by_owner = {(entry.user_pk, entry.slot): entry for entry in entries}
    for batch in batches(entries):
        found = rows().exclude(owner=None).filter(owner_pk__in=[e.user_pk for e in batch])
        for values in found.values_list(*FIELDS):
            columns = dict(zip(FIELDS, values, strict=True))
            entry = by_owner.get((columns["owner_pk"], columns["slot"]))
            if entry is None:
                continue
            entry.stored = True
            entry.pk, entry.user_id = columns["pk"], columns["owner_id"]
            for name in FIELDS[4:]:
                setattr(entry, name, columns[name])
    for entry in entries:
        if not entry.stored:
            entry.name = None
