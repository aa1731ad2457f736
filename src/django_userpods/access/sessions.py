"""When a session is really gone. Django has a signal for neither a flush nor what it deletes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.db import connections, router, transaction

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("django_userpods")


def when_flushed(session: Any, act: Callable[[], None]) -> None:  # noqa: ANN401 - any engine's
    """Have ``act`` called when this one session object has been flushed.

    ``logout()`` flushes the object that the request carries, wherever it is called: in a view, in a
    thread, in a command. A request's end would be too late, and not all have one.
    """
    flush = session.flush

    def flush_and_act() -> None:
        flush()
        act()

    session.flush = flush_and_act
    if not hasattr(session, "aflush"):
        return
    aflush = session.aflush

    async def aflush_and_act() -> None:
        await aflush()
        await sync_to_async(act)()

    session.aflush = aflush_and_act


def after_session_deletion(session: Any, act: Callable[[], None]) -> None:  # noqa: ANN401
    """Call ``act`` when the deletion of a session can be seen by everybody.

    With the engines that have a table (``db``, ``cached_db``) that is after the commit of the
    session's own database, which may be another than the user's. With all others it is now; but
    what they write to may be a database in the end (a cache in a table), so it is also after the
    commit of every open transaction.
    """
    model = getattr(session, "model", None)
    if model is not None:
        transaction.on_commit(act, using=router.db_for_write(model), robust=True)
        return
    try:
        act()
    except Exception:
        # As a robust callback of a commit: whoever logs out is not to suffer.
        logger.exception("a logout was not followed by all that should")
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            transaction.on_commit(act, using=connection.alias, robust=True)
