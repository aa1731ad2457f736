"""What has happened to a pod lately, in words for its user."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.utils.translation import gettext, gettext_lazy

from django_userpods import sentences
from django_userpods.core.operations import Operation

if TYPE_CHECKING:
    import datetime

    from django.utils.functional import _StrOrPromise

    from django_userpods.models import Transition, UserPod

#: Maximum number of lines.
_LINES = 10
_ASKED: dict[str, _StrOrPromise] = {
    Operation.START: gettext_lazy("Asked to start"),
    Operation.STOP: gettext_lazy("Asked to stop"),
    Operation.RESTART: gettext_lazy("Asked to restart"),
    Operation.RECREATE: gettext_lazy("Asked to be recreated"),
}


class Happening(NamedTuple):
    """A line: when, what, and why where there is a reason to tell."""

    at: datetime.datetime
    what: _StrOrPromise
    why: str = ""


def happenings_of(pod: UserPod) -> list[Happening]:
    """Return the last lines of a pod's history, the oldest first. One query."""
    # That somebody asked for a sync means nothing to its user.
    lines = pod.transitions.exclude(operation=Operation.SYNC).order_by("-pk")[:_LINES]
    return [_worded(line) for line in lines][::-1]


def _worded(line: Transition) -> Happening:
    from django_userpods.lifecycle.choosing import CHOSEN

    if line.operation == CHOSEN:
        words = f"{gettext('Profile')}: {line.message or gettext('Standard')}"
        return Happening(line.at, words)
    if line.operation:
        return Happening(line.at, _ASKED.get(line.operation, line.operation))
    return Happening(line.at, line.get_after_display(), sentences.of(line.after, line.message))
