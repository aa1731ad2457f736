"""The states of a pod as a row says them, and what code asks of a state."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What was last seen of a pod."""

    #: Asked for, and nothing done yet.
    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETING = "deleting"

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way any more, for better or worse."""
        return self in {State.RUNNING, State.STOPPED, State.FAILED}

    @property
    def is_coming(self) -> bool:
        """Whether there is a pod to wait for."""
        return self in {State.PENDING, State.STARTING}

    @property
    def may_change(self) -> bool:
        """Whether a look at the cluster may find another state, with nobody asking for one."""
        return self.is_coming or self is State.FAILED

    @property
    def is_up(self) -> bool:
        """Whether there is a pod, ready or on its way to it."""
        return self in {State.RUNNING, State.STARTING}

    @property
    def may_explain(self) -> bool:
        """Whether the pods themselves are worth a look: they may say why none is ready."""
        return self in {State.STARTING, State.FAILED}


#: The states of which something else is to come, for queries.
UNSETTLED = tuple(state for state in State if not state.is_settled)
