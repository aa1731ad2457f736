"""How far a long command is, for whoever watches it."""

from __future__ import annotations

import time
from typing import Any

from django.utils.translation import gettext_lazy

_CLEAR = "\r\033[K"


class Progress:
    """A progress bar on a terminal, nothing elsewhere: logs want lines, not bars."""

    _NAMES = {
        "users": gettext_lazy("Reading users"),
        "objects": gettext_lazy("Reading the cluster"),
        "apply": gettext_lazy("Applying"),
        "wait": gettext_lazy("Waiting"),
    }

    def __init__(self, stream: Any, *, quiet: bool) -> None:  # noqa: ANN401 - Django's OutputWrapper
        self.stream = stream
        self.shown = not quiet and stream.isatty()
        self.last = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if not self.shown or (now - self.last < 0.1 and done != total):
            return
        self.last = now
        text = str(self._NAMES[phase])
        if total and phase == "apply":
            filled = 30 * done // total
            text += f" [{'#' * filled}{'.' * (30 - filled)}] {done}/{total}"
        elif done or total:
            text += f": {done or total}"
        self._draw(f"{_CLEAR}{text}")

    def clear(self) -> None:
        """Take the bar away."""
        if self.shown:
            self._draw(_CLEAR)

    def _draw(self, text: str) -> None:
        # A style of its own: stderr's is for what went wrong, in red.
        self.stream.write(text, str, ending="")
        self.stream.flush()
