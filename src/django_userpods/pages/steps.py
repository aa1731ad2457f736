"""How far a pod has come on its way up, as far as its row knows."""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import gettext

from django_userpods.core.reasons import Reason, reason_of
from django_userpods.core.states import State

#: The steps by number: it is set up, has a place, its software is there and runs, it answers.
_SET_UP, _PLACED, _STARTED, _READY = range(4)
#: The step at which a pod is, or failed, by what is said of it; any other has not been told.
_OF_REASON = {
    Reason.QUOTA: _SET_UP,
    Reason.PREVIOUS: _SET_UP,
    Reason.ROOM: _PLACED,
    Reason.IMAGE: _STARTED,
    Reason.SETTINGS: _STARTED,
    Reason.CRASHES: _READY,
    Reason.MEMORY: _READY,
    Reason.SLOW: _READY,
}
_OF_STATE = {State.PENDING: _SET_UP, State.STARTING: _STARTED, State.RUNNING: _READY}


class Step(NamedTuple):
    """A step as a page shows it: ``status`` is done, current, failed or nothing yet ("")."""

    label: str
    status: str


def steps_of(state: str, message: str) -> list[Step]:
    """Return the steps of a pod on its way, none where nothing is known of where it is.

    A Deployment that starts does not say whether its image is still being fetched, so that is one
    step with its start.
    """
    labels = (
        gettext("Set up"),
        gettext("Given a place"),
        gettext("Fetched and started"),
        gettext("Ready"),
    )
    at = _OF_REASON.get(reason_of(message), _OF_STATE.get(State(state)))
    if at is None or state in (State.STOPPED, State.DELETING):
        return []
    here = "failed" if state == State.FAILED else "current"
    return [
        Step(label, "done" if number < at else here if number == at else "")
        for number, label in enumerate(labels)
    ]
