"""Write what a run found and did to the rows, and tell the project's receivers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import router, transaction
from django.utils import timezone

from django_userpods import signals
from django_userpods.access import cache, routers
from django_userpods.conf import conf
from django_userpods.core.health import Health
from django_userpods.core.states import State
from django_userpods.models import UserPod
from django_userpods.reconcile.apply import Outcome, health_after

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.dispatch import Signal

    from django_userpods.reconcile.observe import Subject

_BATCH = 500
_NOTHING = Outcome()


@dataclass(slots=True)
class Written:
    """One user's outcome once it is on the row."""

    subject: Subject
    outcome: Outcome
    #: What went wrong, or nothing.
    message: str = ""
    #: Users who want another pass because of it.
    again: set[str] = field(default_factory=set)
    #: The row is gone, and with it the hold on its name.
    freed: bool = False
    #: Users whose address is another now, and those of them who had one before.
    moved: set[str] = field(default_factory=set)
    displaced: set[str] = field(default_factory=set)


def kinds_to_come(subjects: Iterable[Subject]) -> None:
    """Note the kinds about to be made before the first object of them is.

    Objects of a kind that a later template no longer makes are found by it.
    """
    by_text: dict[str, list[str]] = defaultdict(list)
    for subject in subjects:
        entry = subject.entry
        if subject.template is None or not entry.stored:
            continue
        text = _joined(entry.kinds, subject.template.kinds_text)
        if text != entry.kinds:
            by_text[text].append(entry.pk)
            entry.kinds = text
    for text, pks in by_text.items():
        for start in range(0, len(pks), _BATCH):
            UserPod.objects.filter(pk__in=pks[start : start + _BATCH]).update(kinds=text)


def is_news(subject: Subject) -> bool:
    """Tell whether there is anything to write of a user for whom nothing was to be done."""
    return subject.error is not None or subject.entry.recreate or bool(_changes(subject, _NOTHING))


def write(items: list[tuple[Subject, Outcome]]) -> list[Written]:
    """Write each user's outcome where it changes the row, all in one transaction."""
    changes = [_changes(subject, outcome) for subject, outcome in items]
    # Before the transaction: on SQLite one that reads first cannot write while another does, and
    # then fails at once, whatever the timeout.
    holders = _holders([new["address"] for new in changes if new.get("address")])
    with transaction.atomic(using=router.db_for_write(UserPod)):
        written = [
            # In one order everywhere, so that two syncs do not wait for each other.
            _write(subject, outcome, new, holders)
            for (subject, outcome), new in sorted(
                zip(items, changes, strict=True), key=lambda item: item[0][0].entry.pk
            )
        ]
    if moved := {user_pk for item in written for user_pk in item.moved}:
        cache.forget(moved)
    # Nobody may go on to an address that can be another user's by now.
    for user_pk in {user_pk for item in written for user_pk in item.displaced}:
        routers.purge(user_pk)
    for item in written:
        _tell(item)
    return written


def _holders(addresses: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the rows, as (primary key, user's primary key), that say they have these addresses."""
    holders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for start in range(0, len(addresses), _BATCH):
        rows = UserPod.objects.filter(address__in=addresses[start : start + _BATCH])
        for address, pk, user_pk in rows.values_list("address", "pk", "owner_pk"):
            holders[str(address)].append((pk, user_pk))
    return holders


def _write(
    subject: Subject,
    outcome: Outcome,
    changes: dict[str, Any],
    holders: dict[str, list[tuple[str, str]]],
) -> Written:
    entry = subject.entry
    written = Written(subject, outcome, message=str(subject.error or outcome.error or ""))
    if entry.address and "address" in changes and not entry.absent:
        # (Of those who should have nothing routers were told when that was decided.)
        written.displaced.add(entry.user_pk)
    if not entry.stored:
        return written
    if outcome.gone and entry.user_id is None:
        UserPod.objects.filter(pk=entry.pk, owner=None, wanted=UserPod.Wanted.ABSENT).delete()
        written.freed = True
        return written
    if entry.recreate and not written.message:
        changes["recreate"] = False
        written.again.add(entry.user_pk)
    if not changes:
        return written
    if "address" in changes:
        written.moved.add(entry.user_pk)
        # The cluster has given the address to this Service, so nobody else can have it now.
        lost = [row for row in holders.get(changes["address"], ()) if row[0] != entry.pk]
        if lost:
            UserPod.objects.filter(
                pk__in=[pk for pk, _ in lost], address=changes["address"]
            ).update(address=None)
            losers = {user_pk for _, user_pk in lost}
            written.again |= losers
            written.moved |= losers
            written.displaced |= losers
    # Somebody may have asked for something else meanwhile: that stays to be done.
    rows = UserPod.objects.filter(pk=entry.pk, wanted=entry.wanted)
    rows.update(updated_at=timezone.now(), **changes)
    return written


def _changes(subject: Subject, outcome: Outcome) -> dict[str, Any]:
    """Return the fields of the row that are to change."""
    entry = subject.entry
    if subject.error is not None:
        health = Health(State.FAILED, str(subject.error))
    elif entry.recreate and outcome.error is None:
        health = Health(State.PENDING, "Deleted, to be made again.")
    elif (
        entry.absent
        and not (outcome.gone or outcome.error)
        and entry.state == State.STOPPED
        and all(item.ref.kind.kind in conf.retain for item in subject.observed)
    ):
        health = Health(State.STOPPED)
    else:
        health = health_after(subject, outcome)
    new: dict[str, Any] = {"state": str(health.state), "message": health.message}
    if outcome.gone:
        new |= {"address": None, "kinds": "", "image": ""}
    else:
        if subject.peer is not None:
            new["address"] = subject.peer
        if subject.image:
            new["image"] = subject.image
        if subject.template is not None and not (outcome.error or entry.recreate):
            new["kinds"] = subject.template.kinds_text
    return {name: value for name, value in new.items() if getattr(entry, name) != value}


def _joined(before: str, coming: str) -> str:
    return ",".join(sorted({text for text in (*before.split(","), *coming.split(",")) if text}))


def _tell(written: Written) -> None:
    entry = written.subject.entry
    if written.message:
        _send(signals.userpod_failed, written, message=written.message)
    if written.outcome.gone and (not entry.stored or written.outcome.done or written.freed):
        _send(signals.userpod_deleted, written)
    elif written.outcome.done and not entry.absent:
        _send(signals.userpod_applied, written, actions=written.outcome.done)


def _send(signal: Signal, written: Written, **arguments: object) -> None:
    if not signal.has_listeners(UserPod):
        return
    entry = written.subject.entry
    row = UserPod.objects.filter(pk=entry.pk).first() or UserPod(
        pk=entry.pk,
        owner_pk=entry.user_pk,
        slot=entry.slot,
        name=entry.name,
        namespace=entry.namespace,
        wanted=entry.wanted,
        state=entry.state,
    )
    signal.send_robust(sender=UserPod, userpod=row, **arguments)
