"""Celery: a shared task, ``django_userpods.reconcile``, of whichever app the project has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery import shared_task

from django_userpods.queues import reconcile as _reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence


@shared_task(name="django_userpods.reconcile", ignore_result=True)  # type: ignore[untyped-decorator]
def reconcile(user_pks: list[str], pods: list[str]) -> None:
    """Reconcile some users and some pods."""
    _reconcile(user_pks, pods)


def enqueue(user_pks: Sequence[str], pods: Sequence[str]) -> None:
    """Send the task to the broker."""
    reconcile.delay([*user_pks], [*pods])
