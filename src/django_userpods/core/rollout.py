"""A changed template that reaches pods in waves: how many at once, and when it is stopped."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

_KEYS = ("MAX_UNREADY", "MAX_FAILURES", "WHEN")
NEXT_START = "next start"


class Turn(StrEnum):
    """Where a pod is in a rollout."""

    #: It is as its template says, as far as is known.
    NONE = ""
    #: It is behind its template, and others come first.
    WAITING = "waiting"
    #: It was given its turn, and does not run as its template says yet.
    UPDATING = "updating"
    #: It was given its turn, and failed.
    FAILED = "failed"
    #: It was given its turn, and the cluster refused what its template has become: it is as it was.
    REFUSED = "refused"

    @property
    def is_under_way(self) -> bool:
        """Whether it is one of those that may be unready at once."""
        return self in UNDER_WAY


#: Those that may be unready at once: who has failed is unready, too.
UNDER_WAY = (Turn.UPDATING, Turn.FAILED)
#: Those that are behind, and as they were.
BEHIND = (Turn.WAITING, Turn.REFUSED)


class Rule(NamedTuple):
    """How a changed template reaches the pods that run.

    ``max_unready`` pods at once at the most, until ``max_failures`` in a row have failed (None:
    as long as there is room). Without ``max_unready`` a pod gets it when it next starts.
    """

    max_unready: int | None
    max_failures: int | None = None

    def room(self, under_way: int) -> int:
        """Return how many more may be given their turn."""
        return 0 if self.max_unready is None else max(0, self.max_unready - under_way)

    def is_to_stop(self, *, in_a_row: int, failed: int) -> bool:
        """Tell whether enough have failed: the maximum in a row, or all that there is room for."""
        if self.max_unready is None:
            return False
        too_many = self.max_failures is not None and in_a_row >= self.max_failures
        return too_many or failed >= self.max_unready


def parse(value: Any) -> Rule | None:  # noqa: ANN401 - a setting may hold anything
    """Return the rule that a setting says, None for no rule; ValueError says what is wrong."""
    if value is None:
        return None
    if not isinstance(value, dict):
        message = f"is {value!r}"
        raise ValueError(message)
    if unknown := sorted(str(key) for key in value if key not in _KEYS):
        message = f"has unknown keys {', '.join(unknown)}"
        raise ValueError(message)
    if "WHEN" in value:
        if value["WHEN"] != NEXT_START:
            message = f"WHEN is {value['WHEN']!r}"
            raise ValueError(message)
        if len(value) > 1:
            message = "has a number of pods, and WHEN, which does without"
            raise ValueError(message)
        return Rule(None)
    if "MAX_UNREADY" not in value:
        message = "says neither MAX_UNREADY nor WHEN"
        raise ValueError(message)
    most, failures = value["MAX_UNREADY"], value.get("MAX_FAILURES", 3)
    for key, number in (("MAX_UNREADY", most), ("MAX_FAILURES", failures)):
        if number is None and key == "MAX_FAILURES":
            continue
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            message = f"{key} is {number!r}"
            raise ValueError(message)
    return Rule(most, failures)
