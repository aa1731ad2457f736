"""Huey by way of its Django app: the queue of the setting ``HUEY``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huey.contrib.djhuey import db_task

from django_userpods.queues import reconcile as _reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence


@db_task(name="django_userpods_reconcile")  # type: ignore[untyped-decorator]
def reconcile(user_pks: list[str], pods: list[str]) -> None:
    """Reconcile some users and some pods."""
    _reconcile(user_pks, pods)


def enqueue(user_pks: Sequence[str], pods: Sequence[str]) -> None:
    """Put the work into the queue."""
    reconcile([*user_pks], [*pods])
