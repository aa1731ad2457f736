"""Objects that name a pod which there is no row of: when they are worth a look at everything.

Somebody may have changed that label, and then it is another pod that lacks an object. Not at once:
what is left of a pod whose row has gone says the same for a moment. And later each time where it
stays, as what is kept and what is refused to be deleted does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.reconcile.rows import rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Seconds until the first look; they double with each look in a row that leaves some there.
FIRST_PAUSE = 3.0


class Strangers:
    """Those that were left there. ``longest`` are the most seconds until a look."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        #: How many looks at everything in a row have left objects of these pods there.
        self._left: dict[str, int] = {}

    def pause(self, pods: Sequence[str]) -> float | None:
        """Return the seconds until a look is due because of these; None where all have rows."""
        known = set(rows().filter(pk__in=pods).values_list("pk", flat=True))
        strange = [self._left.get(pod, 0) for pod in pods if pod not in known]
        if not strange:
            return None
        return min(self._longest, FIRST_PAUSE * 2.0 ** min(*strange, 30))

    def left(self, pods: Iterable[str]) -> None:
        """Take in whose objects a look at everything has left there."""
        self._left = {pod: self._left.get(pod, 0) + 1 for pod in pods}
