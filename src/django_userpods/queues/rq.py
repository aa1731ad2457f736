"""RQ by way of django-rq: the queue ``default`` of ``RQ_QUEUES``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_rq import get_queue

from django_userpods.queues import reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence


def enqueue(user_pks: Sequence[str], pods: Sequence[str]) -> None:
    """Put the work into the queue."""
    get_queue("default").enqueue(reconcile, [*user_pks], [*pods], result_ttl=0)
