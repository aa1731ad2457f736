"""Django's own tasks, from Django 6 on, and on Django 5.2 the package ``django-tasks``.

Used without being named where ``TASKS`` has a backend that runs tasks outside of requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.queues import reconcile as _reconcile

try:
    from django.tasks import task
except ImportError:  # before Django 6
    from django_tasks import task  # type: ignore[no-redef]

if TYPE_CHECKING:
    from collections.abc import Sequence


@task
def reconcile(user_pks: list[str], pods: list[str]) -> None:
    """Reconcile some users and some pods."""
    _reconcile(user_pks, pods)


def enqueue(user_pks: Sequence[str], pods: Sequence[str]) -> None:
    """Give the work to the backend ``default`` of ``TASKS``."""
    reconcile.enqueue([*user_pks], [*pods])
