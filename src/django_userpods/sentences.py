"""Why a pod is not up, in sentences for its user: without a word of how things are done inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext, gettext_lazy

from django_userpods.core.reasons import Reason, reason_of
from django_userpods.core.states import State

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_REASONS: dict[Reason, _StrOrPromise] = {
    Reason.CRASHES: gettext_lazy("It stops right after it is started."),
    Reason.MEMORY: gettext_lazy("It needs more memory than it may have."),
    Reason.IMAGE: gettext_lazy("The software that it runs could not be fetched."),
    Reason.SETTINGS: gettext_lazy("It is set up in a way that cannot be started."),
    Reason.ROOM: gettext_lazy("There is no room for it at the moment."),
    Reason.QUOTA: gettext_lazy("There is no room left for more workspaces."),
    Reason.SLOW: gettext_lazy("It has been taking too long to start."),
    Reason.PREVIOUS: gettext_lazy("What was here before is still being removed."),
}


def of(state: str, message: str) -> str:
    """Return what a row's state and message come down to, "" where there is nothing to say."""
    reason = reason_of(message)
    if reason in _REASONS:
        return str(_REASONS[reason])
    if state == State.FAILED:
        return gettext("Something is wrong that only an administrator can see.")
    return ""
