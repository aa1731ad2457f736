"""Handing work to the task queue that a project has: Django's tasks, Celery, RQ, Huey.

Each module here has ``enqueue(user_pks, pods)``, which ``USERPODS_QUEUE`` names, and has the
project's workers call ``reconcile`` with the same. A project's
own adapter is such a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods import tasks
from django_userpods.reconcile.entries import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["reconcile"]


def reconcile(user_pks: Sequence[str], pods: Sequence[str] = ()) -> None:
    """Make the cluster agree with the database for some users and some pods: a worker's part.

    ``user_pks`` are primary keys as text, ``pods`` the ids of rows. What fails is on the rows;
    raises SettingError, TemplateError or ClusterError where nothing could be done at all. Trying
    again does no harm, and is not needed: the next sync does it.
    """
    tasks.carry_out(Scope.of(user_pks, pods))
