"""Work that would wait for the cluster, or for its client to be imported, done beside requests.

The official client takes a second or more to import. In a command or a worker that is time like
any other; in a process that answers requests it would be somebody's request. So the first work
there is put down here, and a thread imports the client and does it. Later work finds the client;
what nobody waits for, such as a look at many pods for an open list, is put down here all the same.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from django.core.signals import request_started
from django.db import connections

from django_userpods.cluster import get_cluster
from django_userpods.exceptions import ClusterError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("django_userpods")

#: Whether this process answers requests.
_serving = False
#: What waits for the thread; None while there is no thread.
_waiting: list[Callable[[], object]] | None = None
_lock = threading.Lock()


def connect() -> None:
    """Find out from Django whether this process answers requests."""
    request_started.connect(_note_request, dispatch_uid="django_userpods.background")


def _note_request(**_: Any) -> None:  # noqa: ANN401
    global _serving
    _serving = True
    request_started.disconnect(dispatch_uid="django_userpods.background")


def is_needed() -> bool:
    """Tell whether a request would have to wait for the cluster's client."""
    try:
        return _serving and not get_cluster().is_prepared
    except (SettingError, ClusterError):
        return False  # whoever uses the cluster says what is wrong


def do(work: Callable[[], object]) -> None:
    """Have a thread load the client and do the work, after what waits there already."""
    global _waiting
    with _lock:
        if _waiting is not None:
            _waiting.append(work)
            return
        _waiting = [work]
    # A process that ends first leaves it for the next sync.
    threading.Thread(target=_work, name="userpods-client", daemon=True).start()


def _work() -> None:
    global _waiting
    try:
        get_cluster().prepare()
    except Exception:
        logger.exception("the cluster's client could not be loaded")
    while True:
        with _lock:
            if not _waiting:
                _waiting = None
                break
            work = _waiting.pop(0)
        try:
            work()
        except Exception:
            # It is on the rows, so the next sync does it.
            logger.exception("work that waited for the cluster's client is left for the next sync")
    connections.close_all()


def _after_fork() -> None:
    """Begin anew: a child has none of its parent's threads, and the parent does what waits."""
    global _waiting, _lock
    _waiting, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
