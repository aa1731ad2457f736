"""A controller's start: a database that is away is waited for, and the probes are told so."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from django import db
from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.controller.loop import Controller

logger = logging.getLogger("django_userpods.controller")

#: Seconds between tries to begin.
_AGAIN = 2.0


class Start:
    """A controller as soon as the database answers, which knows what its Lease is called.

    ``make`` makes it. ``stop``, ``healthy`` and ``ready`` may be called before that as well.
    """

    def __init__(self, make: Callable[[], Controller]) -> None:
        self._make = make
        self._controller: Controller | None = None
        self._stop = threading.Event()

    def stop(self) -> None:
        """Have ``run`` come to its end; may be called by a signal's handler."""
        self._stop.set()
        if self._controller is not None:
            self._controller.stop()

    def run(self) -> bool:
        """Run until ``stop``; tell whether all that had begun came to its end.

        Raises what ``make`` raises, but for errors of the database: then it tries again.
        """
        self._controller = self._made()
        return self._controller is None or self._stop.is_set() or self._controller.run()

    def _made(self) -> Controller | None:
        said = ""
        while not self._stop.is_set():
            try:
                return self._make()
            except db.Error as error:
                if str(error) != said:
                    said = str(error)
                    logger.warning("the database does not answer, trying again: %s", error)
                connections.close_all()
            self._stop.wait(_AGAIN)
        return None

    def healthy(self) -> str:
        """Return what is wrong with this process, so that it should be started anew; or ""."""
        return "" if self._controller is None else self._controller.healthy()

    def ready(self) -> str:
        """Return why this controller does not do, or would not do, what it is for; or ""."""
        if self._controller is None:
            return "the database has not answered yet"
        return self._controller.ready()
