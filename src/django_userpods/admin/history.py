"""A pod's history, for its page: what was asked for with what came of it, and states in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.utils.translation import gettext

from django_userpods.admin.wording import LABELS
from django_userpods.core.operations import Operation
from django_userpods.core.states import State
from django_userpods.models import Transition

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Sequence

    from django_userpods.models import UserPod


class HistoryLine(NamedTuple):
    """One line as it is shown; ``state`` decides about the colour of ``outcome``."""

    at: datetime.datetime
    what: str
    actor: str
    outcome: str
    state: str
    message: str
    #: The page of the bulk run that it was part of.
    url: str = ""


def lines_of(pod: UserPod, *, url_of: Callable[[int], str]) -> list[HistoryLine]:
    """Return a pod's history, the newest first. One query.

    ``url_of`` says where the page of a bulk run is.
    """
    found = list(pod.transitions.order_by("-pk"))
    return [_line(one, found, url_of) for one in found]


def _line(
    one: Transition, all_of_them: Sequence[Transition], url_of: Callable[[int], str]
) -> HistoryLine:
    if not one.operation:
        return HistoryLine(
            one.at, gettext("Seen"), "", one.get_after_display(), one.after, one.message
        )
    # The state that settled it was written in the same moment.
    settled_by = [
        other for other in all_of_them if not other.operation and other.at == one.settled_at
    ]
    return HistoryLine(
        one.at,
        _what(one),
        one.actor,
        _outcome(one),
        {
            Transition.Outcome.DONE: State.RUNNING,
            Transition.Outcome.FAILED: State.FAILED,
        }.get(Transition.Outcome(one.outcome), "")
        if one.outcome
        else State.PENDING,
        settled_by[0].message if settled_by else "",
        url_of(one.run_id) if one.run_id is not None else "",
    )


def _what(one: Transition) -> str:
    from django_userpods.lifecycle.choosing import CHOSEN

    if one.operation == CHOSEN:
        return f"{gettext('Profile')}: {one.message or gettext('Standard')}"
    return _label(one.operation)


def _label(operation: str) -> str:
    try:
        return str(LABELS[Operation(operation)])
    except (KeyError, ValueError):
        return operation


def _outcome(one: Transition) -> str:
    if not one.outcome or one.settled_at is None:
        return gettext("not known yet")
    seconds = max(0, round((one.settled_at - one.at).total_seconds()))
    words = {"outcome": one.get_outcome_display(), "seconds": seconds}
    return gettext("%(outcome)s, after %(seconds)s s") % words
