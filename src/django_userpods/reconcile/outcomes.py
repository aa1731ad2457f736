"""From what a run found and did to the columns of rows, and to the rows."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from django_userpods.conf import conf
from django_userpods.core.health import Health
from django_userpods.core.naming import readable
from django_userpods.core.rollout import Turn
from django_userpods.core.states import State
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import history, overruled, rollout
from django_userpods.reconcile.announcements import forget_addresses, tell
from django_userpods.reconcile.apply import Outcome, health_after
from django_userpods.reconcile.rows import (
    alias,
    batches,
    is_at_fault,
    lock,
    refusal,
    retried,
    rows,
    update,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django_userpods.reconcile.entries import Entry
    from django_userpods.reconcile.observe import Subject

logger = logging.getLogger("django_userpods")

_NOTHING = Outcome()


@dataclass(slots=True)
class Written:
    """One pod's outcome once it is on the row."""

    subject: Subject
    outcome: Outcome
    #: What went wrong, or nothing.
    message: str = ""
    #: Users who want another pass because of it.
    again: set[str] = field(default_factory=set)
    #: Another run has written another state meanwhile.
    crossed: bool = False
    #: That pass has something to go on: the row is gone, or something else was asked for.
    freed: bool = False
    #: The row went while objects were made: whose they are now nobody knows but this run.
    orphan: Entry | None = None
    #: Users whose address is another now, and those of them who had one before.
    moved: set[str] = field(default_factory=set)
    displaced: set[str] = field(default_factory=set)
    #: What of it belongs to the pod's history.
    line: history.Line | None = None
    #: The state that it is in, where a sync was asked for.
    synced: str = ""
    #: Where it had its turn in a rollout: whether it runs now, and what there is to say.
    result: tuple[bool, str] | None = None


@dataclass(slots=True)
class _Item:
    """What is to be written of one pod."""

    subject: Subject
    outcome: Outcome
    changes: dict[str, Any]


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
        for batch in batches(pks):
            update(Q(pk__in=batch), kinds=text)


def is_news(subject: Subject) -> bool:
    """Tell whether there is anything to write of a pod for which nothing was to be done."""
    return subject.error is not None or subject.entry.recreate or bool(_changes(subject, _NOTHING))


def write(items: Sequence[tuple[Subject, Outcome]]) -> list[Written]:
    """Write each pod's outcome where it changes the row, and tell who has to know.

    All in one transaction, unless the database refuses a row: then each in its own.
    """
    if not items:
        return []
    todo = [_Item(*item, _changes(*item)) for item in items]
    todo.sort(key=lambda item: item.subject.entry.pk)
    written = _write_all(todo)
    forget_addresses(
        moved={user_pk for item in written for user_pk in item.moved},
        displaced={user_pk for item in written for user_pk in item.displaced},
    )
    for item in written:
        outcome, entry = item.outcome, item.subject.entry
        is_deleted = (
            outcome.gone
            and not entry.recreate
            and bool(not entry.stored or outcome.done or item.freed)
        )
        tell(entry, message=item.message, actions=outcome.done, is_deleted=is_deleted)
    return written


def unwritten(items: Sequence[tuple[Subject, Outcome]]) -> list[Written]:
    """Return what ``write`` would of each pod, as far as that is known before."""
    return [Written(*item, message=_message(*item)) for item in items]


def _message(subject: Subject, outcome: Outcome) -> str:
    return str(subject.error or outcome.error or "")


def _write_all(items: list[_Item]) -> list[Written]:
    try:
        return retried(lambda: _write_together(items))
    except DatabaseError as error:
        if not is_at_fault(error):
            raise
        if len(items) == 1:
            return [_write_refused(items[0], error)]
    return [written for item in items for written in _write_all([item])]


def _write_refused(item: _Item, error: DatabaseError) -> Written:
    """Say on a row that the database does not take what was found of it."""
    entry, message = item.subject.entry, refusal(error)
    logger.error("%s: %s", entry, message)
    update(Q(pk=entry.pk), state=State.FAILED, message=message)
    history.settle([entry.pk], State.FAILED)
    return Written(item.subject, item.outcome, message=message)


def _write_together(items: list[_Item]) -> list[Written]:
    # Before the transaction: on SQLite one that reads first cannot write while another does, and
    # then fails at once, whatever the timeout.
    holders = _holders([a for item in items if (a := item.changes.get("address"))])
    losers = [pk for held in holders.values() for pk, _ in held]
    with transaction.atomic(using=alias()):
        if any("turn" in item.changes for item in items):
            Installation.objects.lock()
        lock(rows().filter(pk__in=[*(item.subject.entry.pk for item in items), *losers]))
        written = [_write_row(item, holders) for item in items]
        history.add([one.line for one in written if one.line is not None])
        for state in {one.synced for one in written if one.synced}:
            history.settle([o.subject.entry.pk for o in written if o.synced == state], state)
        rollout.record([one.result for one in written if one.result is not None])
        return written


def _holders(addresses: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the rows, as (primary key, user's primary key), that say they have these addresses."""
    holders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for batch in batches(addresses):
        held = rows().filter(address__in=batch)
        for address, pk, user_pk in held.values_list("address", "pk", "owner_pk"):
            holders[str(address)].append((pk, user_pk))
    return holders


def _write_row(item: _Item, holders: dict[str, list[tuple[str, str]]]) -> Written:
    subject, outcome, changes = item.subject, item.outcome, item.changes
    entry = subject.entry
    written = Written(subject, outcome, message=_message(subject, outcome))
    if entry.address and "address" in changes and not entry.absent:
        # (Of those who should have nothing routers were told when that was decided.)
        written.displaced.add(entry.user_pk)
    if not entry.stored:
        return written
    if outcome.gone and entry.user_id is None:
        nobodys = rows().filter(pk=entry.pk, owner=None, wanted=UserPod.Wanted.ABSENT)
        # First, so that the transaction begins with writing: Django reads what has a history.
        history.forget(nobodys)
        nobodys.delete()
        written.freed = True
        return written
    if not (changes or outcome.done):
        return written
    if changes.get("recreate") is False:
        written.again.add(entry.user_pk)
        written.freed = True
    if "address" in changes:
        written.moved.add(entry.user_pk)
        _take_address(written, holders.get(changes["address"], ()))
    now = timezone.now()
    changes = {**changes, "updated_at": now}
    if outcome.done or changes.keys() - {"restarts", "updated_at"}:
        # A restart alone is nobody's use of the pod, which this counts as: ``UserPod.lifetime``.
        changes["looked_at"] = now
    as_read = rows().filter(**entry.as_asked, state=entry.state)
    if "turn" in changes:
        as_read = as_read.filter(turn=entry.turn)
    if not as_read.update(**changes):
        # Another run has seen it in another state meanwhile, and written that line of its history.
        # Which of the two looked later nobody knows, so one of them looks again.
        written.crossed = True
        changes.pop("turn", None)
        changes.pop("to_sync", None)
        if not rows().filter(**entry.as_asked).update(**changes):
            _note_overtaken(written)
        return written
    _note_news(written, changes)
    return written


def _note_news(written: Written, changes: dict[str, Any]) -> None:
    """Note what of a row's changes belongs to its history, and to a rollout."""
    entry = written.subject.entry
    after, message = changes.get("state", entry.state), changes.get("message", entry.message)
    if "to_sync" in changes:
        written.synced = after
    if history.is_news(entry.state, after, said=entry.message, message=message):
        written.line = history.Line(entry.pk, entry.state, after, message)
    turn = changes.get("turn", entry.turn)
    went_well = rollout.result_of(entry.turn, turn, after)
    if turn == Turn.REFUSED and written.subject.was_refused:
        went_well = None  # it is the same failure
    if went_well is not None:
        update = written.subject.update
        said = message or (update.message if update is not None else "")
        written.result = went_well, f"{readable(str(entry), entry.username)}: {said}"


def _take_address(written: Written, holders: Iterable[tuple[str, str]]) -> None:
    """Take an address from rows that have it: the cluster has given it to this Service."""
    lost = dict(row for row in holders if row[0] != written.subject.entry.pk)
    if lost:
        held = rows().filter(pk__in=lost, address=written.subject.peer)
        held.update(address=None)
        for users in (written.again, written.moved, written.displaced):
            users.update(lost.values())


def _note_overtaken(written: Written) -> None:
    """Have another look: somebody asked for something else while this was done."""
    entry = written.subject.entry
    logger.info("%s: something else was asked for meanwhile; looking again", entry)
    written.again.add(entry.user_pk)
    written.freed = True
    if not rows().filter(pk=entry.pk).exists():
        written.orphan = entry


def _changes(subject: Subject, outcome: Outcome) -> dict[str, Any]:
    """Return the columns of the row that are to change."""
    entry = subject.entry
    health = _health(subject, outcome)
    new: dict[str, Any] = {
        "state": str(health.state),
        "message": health.message,
    }
    if not (subject.error or outcome.error):
        new["overruled"] = overruled.column_of(subject.overruled)
        said = overruled.message(subject.overruled.values())
        new["message"] = " ".join(text for text in (health.message, said) if text)
    if outcome.gone or not subject.has_service:
        # Its address can be another's by now.
        new["address"] = None
    elif subject.peer is not None:
        new["address"] = subject.peer
    if outcome.gone:
        new |= {"kinds": "", "image": ""}
    else:
        if subject.image:
            new["image"] = subject.image
        if subject.step_times is not None:
            new["step_times"] = subject.step_times
        if subject.activity is not None:
            new["activity"] = subject.activity
        if subject.template is not None and not (outcome.error or entry.recreate):
            kinds = subject.template.kinds_text
            # What an earlier template made is still there as long as the pod waits for its turn.
            new["kinds"] = _joined(entry.kinds, kinds) if subject.held else kinds
    if outcome.gone or health.state == State.STOPPED:
        new["restarts"] = 0
    elif subject.restarts is not None:
        new["restarts"] = subject.restarts
    if entry.recreate and outcome.gone:
        new["recreate"] = False
    new["to_sync"] = False
    new["turn"] = str(rollout.turn_after(subject, outcome, health.state))
    return {name: value for name, value in new.items() if getattr(entry, name) != value}


def _health(subject: Subject, outcome: Outcome) -> Health:
    entry = subject.entry
    if subject.error is not None:
        return Health(State.DELETING if entry.absent else State.FAILED, str(subject.error))
    if entry.recreate and outcome.error is None:
        waits = "" if outcome.gone else "Its pods are being stopped; it is made again after that."
        return Health(State.PENDING, waits)
    if (
        entry.absent
        and not (outcome.gone or outcome.error)
        and entry.state == State.STOPPED
        and all(item.ref.kind.kind in conf.USERPODS_RETAIN for item in subject.observed)
    ):
        return Health(State.STOPPED)
    return health_after(subject, outcome)


def _joined(before: str, coming: str) -> str:
    return ",".join(sorted({text for text in (*before.split(","), *coming.split(",")) if text}))
