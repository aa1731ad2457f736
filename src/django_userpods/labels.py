"""What people read for the words that rows hold."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from django_userpods.core.rollout import Turn
from django_userpods.core.states import State

#: What people read for a state; the values are those of the enum.
STATE_LABELS = [
    (State.PENDING.value, _("pending")),
    (State.STARTING.value, _("starting")),
    (State.RUNNING.value, _("running")),
    (State.STOPPED.value, _("stopped")),
    (State.FAILED.value, _("failed")),
    (State.DELETING.value, _("deleting")),
]

#: The same for a pod's place in a rollout.
TURN_LABELS = [
    (Turn.WAITING.value, _("waiting for its turn")),
    (Turn.UPDATING.value, _("being updated")),
    (Turn.FAILED.value, _("failed after its update")),
    (Turn.REFUSED.value, _("could not be updated")),
]
