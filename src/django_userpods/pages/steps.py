"""How far a pod has come on its way up, and how long each step took, as far as its row knows."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext

from django_userpods.core import step_times
from django_userpods.core.reasons import Reason, reason_of
from django_userpods.core.states import State
from django_userpods.times import stored

if TYPE_CHECKING:
    from django_userpods.models import UserPod

#: The steps by number: it has a place, its images are there, its containers are started, it is up.
_PLACED, _FETCHED, _STARTED, _READY = range(4)
#: The step at which a pod is, or failed, by what is said of it; any other has not been told.
_OF_REASON = {
    Reason.QUOTA: _PLACED,
    Reason.PREVIOUS: _PLACED,
    Reason.VOLUME: _PLACED,
    Reason.ROOM: _PLACED,
    Reason.IMAGE: _FETCHED,
    Reason.SETTINGS: _STARTED,
    Reason.CRASHES: _READY,
    Reason.MEMORY: _READY,
    Reason.SLOW: _READY,
}
_OF_STATE = {State.PENDING: _PLACED, State.STARTING: _PLACED, State.RUNNING: _READY}
#: The clocks of a cluster and of a site may differ by so much; a step of more tells nothing.
_SKEW, _MOST = datetime.timedelta(seconds=5), datetime.timedelta(hours=1)


class Step(NamedTuple):
    """A step as a page shows it: ``status`` is done, current, failed or nothing yet ("").

    ``seconds`` is how long it took, or has taken so far; None where nobody knows.
    """

    label: str
    status: str
    seconds: int | None = None

    @property
    def clock(self) -> str:
        """The seconds as clocks show them, in every language."""
        return "" if self.seconds is None else f"{self.seconds // 60}:{self.seconds % 60:02}"


def steps_of(pod: UserPod) -> list[Step]:
    """Return the steps of a pod on its way, none where nothing is known of where it is.

    What counts as a step, and which times are known of it, ``core.step_times`` says.
    """
    labels = (
        gettext("Given a place"),
        gettext("Software fetched"),
        gettext("Started"),
        gettext("Ready"),
    )
    state, reason, times = State(pod.state), reason_of(pod.message), _times_of(pod)
    at = _OF_REASON.get(reason, _OF_STATE.get(state))
    if at is None or state in (State.STOPPED, State.DELETING):
        return []
    # What only took too long did so at the step that it has come to.
    is_told = reason in _OF_REASON and reason is not Reason.SLOW
    if len(times) > 1 and not is_told and state in (State.STARTING, State.FAILED):
        at = min(len(times) - 1, _READY)
    here = "failed" if state == State.FAILED else "current"
    if state.is_coming and len(times) == at + 1:
        times.append(timezone.now())
    return [
        Step(
            label,
            "done" if number < at else here if number == at else "",
            _seconds(times[number : number + 2]) if number <= at else None,
        )
        for number, label in enumerate(labels)
    ]


def _times_of(pod: UserPod) -> list[datetime.datetime | None]:
    """Return when each step began; what an earlier pod did is left out."""
    made, *taken = step_times.read(pod.step_times) or [None]
    if made is not None and stored(made) < pod.started_at - _SKEW:
        taken = []
    return [pod.started_at, *(None if at is None else stored(at) for at in taken)]


def _seconds(times: list[datetime.datetime | None]) -> int | None:
    begun, ended = times if len(times) == 2 else (None, None)
    if begun is None or ended is None or ended - begun > _MOST:
        return None
    return max(0, int((ended - begun).total_seconds()))
