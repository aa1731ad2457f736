"""How a pod is doing, as its user is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext, gettext_lazy

from django_userpods.core.states import State

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    from django_userpods.models import UserPod

_TITLES: dict[State, _StrOrPromise] = {
    State.PENDING: gettext_lazy("Your workspace is starting"),
    State.STARTING: gettext_lazy("Your workspace is starting"),
    # They would not be here if it answered.
    State.RUNNING: gettext_lazy("Your workspace does not answer yet"),
    State.STOPPED: gettext_lazy("Your workspace is stopped"),
    State.FAILED: gettext_lazy("Your workspace could not start"),
    State.DELETING: gettext_lazy("Your workspace is being removed"),
}


def label_of(pod: UserPod) -> str:
    """Return what people call a pod: its owner's name as they write it, and which of theirs it is.

    The name in the cluster cannot have every letter. Needs the owner, who comes with the row.
    """
    if pod.owner is None:
        return str(pod)
    username: str = pod.owner.get_username()
    return f"{username} – {pod.slot}" if pod.slot else username  # noqa: RUF001 - a dash


def is_stuck(pod: UserPod) -> bool:
    """Tell whether a pod is on its way that cannot start as things are: there is no room for it."""
    return State(pod.state).is_coming and pod.standing == State.FAILED


def title_of(pod: UserPod) -> str:
    """Return how a pod is doing, as a headline."""
    if is_stuck(pod):
        return gettext("Your workspace cannot start yet")
    return str(_TITLES[State(pod.state)])
