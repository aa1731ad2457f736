"""Going on with a rollout that was stopped, as staff ask for it."""

from __future__ import annotations

import logging

from django.db import transaction

from django_userpods import tasks
from django_userpods.reconcile import rollout
from django_userpods.reconcile.rows import alias

logger = logging.getLogger("django_userpods")

#: Maximum number of pods tried at once without a task backend: what ``tasks.ask`` tries.
_TRIED = 50


def resume_rollout(*, actor: str = "") -> bool:
    """Go on with a rollout that was stopped, at once; tell whether there was one.

    Who failed is left alone. Whose turn it is now is asked for after the commit, as far as there is
    room; what goes wrong then fails no request, and is the next sync's.
    """
    if not rollout.resume():
        return False
    logger.info("the rollout goes on, as %s asked", actor or "somebody")
    transaction.on_commit(_ask_for_turns, using=alias(), robust=True)
    return True


def _ask_for_turns() -> None:
    due = rollout.due()
    if not tasks.has_task_backend():
        due = due[:_TRIED]
    if due:
        tasks.ask_for_pods(due)
