"""What a look has not brought to an end, by pods: a report says some of it by users and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q

from django_userpods.reconcile.rows import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_userpods.reconcile.report import Failure, Report


def unfinished_of(
    report: Report, keys: Sequence[str] | None
) -> tuple[set[str], dict[str, Failure]]:
    """Return the pods that were not done for no fault of theirs, and those that failed.

    Of those with these ids; None is all.
    """
    failed = {failure.pod: failure for failure in report.failed if failure.pod}
    users = {failure.user_pk: failure for failure in report.failed if not failure.pod}
    put_off: set[str] = set()
    if left := [*report.not_done, *report.crossed, *users]:
        where = Q(owner_pk__in=left) | Q(name__in=report.not_done)
        found = rows().filter(where) if keys is None else rows().filter(where, pk__in=keys)
        for pod, owner_pk in found.values_list("pk", "owner_pk"):
            if owner_pk in users:
                failed.setdefault(pod, users[owner_pk])
            elif pod not in failed:
                put_off.add(pod)
    if keys is not None:
        failed = {pod: failure for pod, failure in failed.items() if pod in keys}
    return put_off, failed
