"""Marks on rows (``UserPod.asked_at``): how a site asks a controller for a look at pods.

The mark is all that a web process writes. It stays until the controller has looked and all was
well, so that a controller which dies, or no longer leads, takes nothing with it. On PostgreSQL the
controller is told at the commit; elsewhere it finds the mark within a second.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from django.db import connections, transaction
from django.db.models import Q
from django.utils import timezone

from django_userpods.reconcile.rows import alias, batches, lock, retried, rows, update
from django_userpods.times import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from django_userpods.reconcile.entries import Scope

#: What PostgreSQL's LISTEN and NOTIFY call it.
CHANNEL = "django_userpods"
#: Before any mark, also those of a machine whose clock was not set yet.
_EVER = datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)
#: Maximum number of marks that one statement takes back.
_TOGETHER = 100


def set_on(scope_of: Callable[[Collection[str]], Scope], keys: Sequence[str]) -> None:
    """Mark the pods of some users, or some pods, as ``scope_of`` takes the keys."""
    for batch in batches(keys):
        _set(scope_of(batch))


def _set(scope: Scope) -> None:
    using = alias()

    def work() -> None:
        with transaction.atomic(using=using):
            found = rows().filter(scope.where)
            if len(scope) > 1:
                lock(found)
            found.update(asked_at=timezone.now())
            if connections[using].vendor == "postgresql":
                with connections[using].cursor() as cursor:
                    cursor.execute(f"NOTIFY {CHANNEL}")

    retried(work)


def waiting() -> dict[str, datetime.datetime]:
    """Return the marks of all rows that have one, by the rows' ids: one query, by an index.

    (For IS NOT NULL SQLite reads the whole table.)
    """
    found = rows().filter(asked_at__gt=stored(_EVER)).values_list("pk", "asked_at")
    return {pk: asked_at for pk, asked_at in found if asked_at is not None}


def take_back(marks: Mapping[str, datetime.datetime]) -> None:
    """Take these marks from their rows, but where one was asked for anew meanwhile."""
    items = sorted(marks.items())
    for start in range(0, len(items), _TOGETHER):
        where = Q()
        for pk, asked_at in items[start : start + _TOGETHER]:
            where |= Q(pk=pk, asked_at=asked_at)
        update(where, asked_at=None)
