"""Looks at how pods are doing, asked for by whoever waits: no more often than helps."""

from __future__ import annotations

import datetime
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from django_userpods import background, tasks
from django_userpods.cluster import is_inert
from django_userpods.models import UserPod
from django_userpods.reconcile.rows import alias

if TYPE_CHECKING:
    from collections.abc import Sequence

State = UserPod.State

#: All processes and browsers together have the cluster asked about a pod no more often than this;
#: about one that failed, less often.
_LOOK_EVERY = datetime.timedelta(seconds=2)
_LOOK_EVERY_FAILED = datetime.timedelta(seconds=10)
#: Maximum number of pods that are asked about together: what ``tasks.ask`` tries.
_AT_ONCE = 50


def look(pod: UserPod) -> None:
    """Ask for a look at how a pod is doing, unless there was one a moment ago, and read the row.

    It comes after the commit. ``looked_at`` tells when the last was, which a look writes that finds
    something new. One that finds nothing new does not, so it is written here, in the statement that
    compares it: of two who come at once only one asks.
    """
    now = timezone.now()
    every = _LOOK_EVERY_FAILED if pod.state == State.FAILED else _LOOK_EVERY
    not_lately = Q(looked_at=None) | Q(looked_at__lt=now - every)
    if UserPod.objects.filter(not_lately, pk=pod.pk).update(looked_at=now):
        ask = partial(tasks.ask_for_pods, [pod.pk])
        transaction.on_commit(ask, using=alias(), robust=True)
    with suppress(UserPod.DoesNotExist):  # gone meanwhile: what was known of it stays
        pod.refresh_from_db()


def look_at_all(pods: Sequence[UserPod], *, beside: bool = False) -> bool:
    """Ask for a look at those of some pods that may change, as ``look`` does; tell whether it did.

    Rows are not read anew. Those first that were looked at the longest ago; two statements at the
    most, however many there are. ``beside`` has a thread do the rest, so that a request waits for
    no cluster.
    """
    may = [pod.pk for pod in pods if State(pod.state).may_change]
    if not may:
        return False
    now = timezone.now()
    failed = Q(state=State.FAILED, looked_at__lt=now - _LOOK_EVERY_FAILED)
    others = ~Q(state=State.FAILED) & Q(looked_at__lt=now - _LOOK_EVERY)
    not_lately = Q(looked_at=None) | failed | others
    longest_ago = F("looked_at").asc(nulls_first=True)
    found = UserPod.objects.filter(not_lately, pk__in=may).order_by(longest_ago, "pk")
    due = list(found.values_list("pk", flat=True)[:_AT_ONCE])
    if not due or not UserPod.objects.filter(not_lately, pk__in=due).update(looked_at=now):
        return False
    ask = partial(tasks.ask_for_pods, due)
    # In a host project's tests nothing is asked of a cluster, and no thread is to use its database.
    do = partial(background.do, ask) if beside and not is_inert() else ask
    transaction.on_commit(do, using=alias(), robust=True)
    return True
