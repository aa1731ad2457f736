"""How a pod is doing, as the waiting page's script and programs are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.models import UserPod
from django_userpods.pages.steps import steps_of

if TYPE_CHECKING:
    from django_userpods.access.authenticators import Visitor


def standing_of(visitor: Visitor, pod: UserPod) -> dict[str, object]:
    """Return how a pod is doing; staff get what was really said, too. Without a query."""
    found: dict[str, object] = {
        "state": pod.state,
        "message": pod.plain_message,
        "service": pod.name,
    }
    if pod.standing != pod.state:
        found["standing"] = pod.standing
    if UserPod.State(pod.state).may_change:
        found["steps"] = [
            {"status": step.status, "seconds": step.seconds} for step in steps_of(pod)
        ]
    return {**found, "details": pod.message} if visitor.is_staff else found
