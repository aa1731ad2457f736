"""Tell the routers that what they remember of a user is void.

That is at logout, deactivation and deletion, and when a pod's address is another than before.

In the background and at most once: a router that was not reached forgets by itself when its
cached answer expires.
"""

from __future__ import annotations

import json
import logging
import queue
import socket
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from django_userpods.conf import conf

logger = logging.getLogger("django_userpods")

#: Seconds that one router may take to answer.
TIMEOUT = 2.0

_jobs: queue.Queue[tuple[list[str], str]] = queue.Queue(maxsize=10_000)
_lock = threading.Lock()
_thread: threading.Thread | None = None


def purge(user_pk: str) -> None:
    """Ask every router of ``USERPODS_ROUTERS`` to forget the user; returns at once."""
    urls = conf.routers
    if not urls:
        return
    _start()
    try:
        _jobs.put_nowait((urls, user_pk))
    except queue.Full:
        logger.warning("too many purges wait; user %s is left to expire", user_pk)


def wait_idle(seconds: float | None = None) -> bool:
    """Wait until everything asked for has been tried, for so many seconds at most (else for ever).

    For processes that end: what is not tried by then is lost. Returns whether all was.
    """
    with _jobs.all_tasks_done:
        return _jobs.all_tasks_done.wait_for(lambda: not _jobs.unfinished_tasks, seconds)


def _start() -> None:
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_work, name="userpods-purge", daemon=True)
            _thread.start()


def _work() -> None:
    while True:
        urls, user_pk = _jobs.get()
        try:
            for url in urls:
                _tell(url, user_pk)
        finally:
            _jobs.task_done()


def _tell(url: str, user_pk: str) -> None:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        logger.warning("router %s: %s", host, error)
        return
    body = json.dumps({"user_id": user_pk}).encode()
    # A headless Service's name has an address for each router.
    for address in sorted({info[4][0] for info in found}):
        literal = f"[{address}]" if ":" in str(address) else address
        request = urllib.request.Request(
            f"http://{literal}:{port}{parts.path.rstrip('/')}/purge",
            data=body,
            headers={"Content-Type": "application/json", "Host": host},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
                pass
        except OSError as error:
            logger.warning("router %s at %s: %s", host, address, error)
