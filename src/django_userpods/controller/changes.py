"""What the database says: marks on rows, and users who come and go without Django's signals.

One query a second finds the marks, another how many users there are; only where that number has
changed are the tables held against each other. What neither shows (a user whom SQL deactivates) is
the full look's to find. On PostgreSQL a connection listens for the marks' commits as well.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from django import db
from django.contrib.auth import get_user_model
from django.db import connections, router
from django.db.models import Count, Exists, IntegerField, Max, OuterRef

from django_userpods import marks
from django_userpods.core.plan import is_mass_deletion
from django_userpods.models import UserPod
from django_userpods.reconcile.entries import Scope
from django_userpods.reconcile.pods import update_rows
from django_userpods.reconcile.rows import alias, batches, rows
from django_userpods.reconcile.users import everybody

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable

    from django.db.models import QuerySet

logger = logging.getLogger("django_userpods.controller")

#: Counting the users takes at most this part of the time.
_SHARE = 0.05
#: Seconds that a lost connection to listen on is waited for, and a quiet one looked at.
_RECONNECT, _QUIET = 2.0, 5.0


class Changes:
    """Looks when ``poll`` is called, by one thread; the other methods may be called by any.

    ``ask`` is called with the ids of rows to look at, ``ask_all`` where it takes a look at all.
    """

    def __init__(
        self,
        *,
        ask: Callable[..., None],
        ask_all: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._ask_all, self._clock = ask, ask_all, clock
        self._marks: dict[str, datetime.datetime] = {}
        #: The number of users and the greatest key, where keys are numbers.
        self._users: tuple[int, Any] | None = None
        self._count_again = 0.0

    def poll(self) -> None:
        """Look. Raises db.Error where the database cannot be asked; then look again."""
        found = marks.waiting()
        before, self._marks = self._marks, found
        if new := [pk for pk, asked_at in found.items() if before.get(pk) != asked_at]:
            self._ask(*new)
        if self._clock() >= self._count_again:
            began = self._clock()
            self._count_users()
            now = self._clock()
            self._count_again = now + (now - began) / _SHARE

    def marks_of(self, pods: Iterable[str]) -> dict[str, datetime.datetime]:
        """Return the marks of some pods that are known, to be given back to ``answered``."""
        known = self._marks
        return {pod: known[pod] for pod in pods if pod in known}

    def answered(self, answered: dict[str, datetime.datetime]) -> None:
        """Take marks back: all is well with these pods."""
        if answered:
            marks.take_back(answered)

    # --- users

    def _count_users(self) -> None:
        key = get_user_model()._meta.pk  # noqa: SLF001 - Django's documented name
        columns: dict[str, Any] = {"number": Count("pk")}
        if isinstance(key, IntegerField):
            columns["newest"] = Max("pk")
        found = everybody().aggregate(**columns)
        now = (found["number"], found.get("newest"))
        before = self._users
        if before is not None and now != before:
            self._hold_against_rows(before, now)
        # Not before: what is not done now is found again.
        self._users = now

    def _hold_against_rows(self, before: tuple[int, Any], now: tuple[int, Any]) -> None:
        if router.db_for_write(get_user_model()) != alias():
            # No query sees both tables.
            self._ask_all()
            return
        if now[1] is not None:
            new = everybody().filter(pk__gt=before[1] or 0)
            if new.count() == now[0] - before[0]:
                # The usual case: some came, nobody went.
                self._welcome(new)
                return
        self._welcome(everybody())
        self._see_off()

    def _welcome(self, users: QuerySet[Any]) -> None:
        """Make rows for those users who are to have one and have none."""
        owners = rows().filter(slot="").exclude(owner=None).values("owner")
        without = [str(pk) for pk in users.exclude(pk__in=owners).values_list("pk", flat=True)]
        for batch in batches(without):
            changes = update_rows(Scope.of(batch))
            for user_pk, _, message in changes.failed:
                logger.error("user %s: %s", user_pk, message, extra={"user_pk": user_pk})
            found = rows().filter(owner_pk__in=batch).exclude(owner=None)
            self._ask(*found.values_list("pk", flat=True))

    def _see_off(self) -> None:
        """Have the pods of those go who are not there any more, unless those are too many."""
        there = everybody().filter(pk=OuterRef("owner_id"))
        owned = rows().exclude(owner=None)
        gone = list(owned.filter(~Exists(there)).values_list("pk", flat=True))
        if not gone:
            return
        wanted = rows().exclude(wanted=UserPod.Wanted.ABSENT)
        if is_mass_deletion(deletions=len(gone), total=wanted.count()):
            # It refuses, and says so; or somebody has allowed it.
            self._ask_all()
            return
        for batch in batches(gone):
            update_rows(Scope.of(pods=batch))
            self._ask(*batch)


def listen(stop: threading.Event, wake: Callable[[], None]) -> None:
    """Call ``wake`` whenever PostgreSQL tells of a mark, until ``stop`` is set.

    Returns at once where the database is another. A lost connection is made anew: meanwhile the
    poll finds the marks.
    """
    if connections[alias()].vendor != "postgresql":
        return
    end, ends = socket.socketpair()

    def hang_up() -> None:
        stop.wait()
        ends.close()

    threading.Thread(target=hang_up, name="userpods-listen-closer", daemon=True).start()
    with end:
        _listen(stop, wake, end)


def _listen(stop: threading.Event, wake: Callable[[], None], end: socket.socket) -> None:
    while not stop.is_set():
        connection = connections.create_connection(alias())
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {marks.CHANNEL}")
            # What came before that was told to nobody.
            wake()
            while not stop.is_set():
                # Here the driver's own methods are called, with errors of its own.
                with connection.wrap_database_errors:
                    told = _is_told(connection.connection, end)
                if told:
                    wake()
        except (db.Error, OSError, ValueError) as error:
            logger.warning("cannot listen to the database, the poll goes on: %s", error)
        finally:
            connection.close()
        stop.wait(_RECONNECT)


def _is_told(raw: Any, end: socket.socket) -> bool:  # noqa: ANN401 - of psycopg 3 or 2
    """Wait a while, no longer than ``end`` is open; tell whether there was a notification.

    Raises where the connection is lost.
    """
    heard = raw.fileno()
    ready, _, _ = select.select([heard, end], [], [], _QUIET)
    if heard not in ready:
        return False
    if hasattr(raw, "pgconn"):
        raw.pgconn.consume_input()
        told = False
        while raw.pgconn.notifies() is not None:
            told = True
        return told
    raw.poll()
    told = bool(raw.notifies)
    raw.notifies.clear()
    return told
