"""Who is told of what a run wrote: our caches and the routers, and the project's receivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from django_userpods import signals
from django_userpods.access import cache, reach, router_client
from django_userpods.models import UserPod
from django_userpods.reconcile.rows import alias, rows

if TYPE_CHECKING:
    from collections.abc import Collection

    from django.dispatch import Signal

    from django_userpods.reconcile.entries import Entry


def forget_addresses(*, moved: Collection[str], displaced: Collection[str]) -> None:
    """Have forgotten, after the commit, where the pods of some users were.

    ``moved`` are the primary keys of users whose address is another now, ``displaced`` those of
    them who had one before: nobody may go on to an address that can be another user's by now.
    """

    def forget() -> None:
        shared = sorted(reach.shared_pods_of({*moved, *displaced}))
        # First here: a router that has forgotten asks again at once.
        cache.forget(sorted(moved), guests_of=shared)
        for user_pk in sorted(displaced):
            router_client.purge(user_pk)
        for name in shared:
            router_client.purge_guests(name)

    if moved or displaced:
        transaction.on_commit(forget, using=alias(), robust=True)


def send(signal: Signal, entry: Entry, **arguments: object) -> None:
    """Send one of our signals about an entry's row, unsaved where it is gone."""
    if not signal.has_listeners(UserPod):
        return
    row = rows().filter(pk=entry.pk).first() or UserPod(
        pk=entry.pk,
        owner_pk=entry.user_pk,
        slot=entry.slot,
        name=entry.name,
        namespace=entry.namespace,
        wanted=entry.wanted,
        state=entry.state,
    )
    signal.send_robust(sender=UserPod, userpod=row, **arguments)


def tell(entry: Entry, *, message: str, actions: Collection[object], is_deleted: bool) -> None:
    """Tell the project's receivers what became of one pod."""
    if message:
        send(signals.userpod_failed, entry, message=message)
    if is_deleted:
        send(signals.userpod_deleted, entry)
    elif actions and not entry.absent:
        send(signals.userpod_applied, entry, actions=actions)
