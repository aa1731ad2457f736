"""Which pods nobody uses, and which are too old: they are stopped, with all that they keep.

``decide`` is the rule, on what is known of the rows; ``tick`` finds that out and acts. It writes
down when pods were used, no more than about once a minute for each.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import logging
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, prefetch_related_objects
from django.utils import timezone

from django_userpods import lifecycle
from django_userpods.access import router_activity
from django_userpods.conf import conf
from django_userpods.controller import applications
from django_userpods.core import activity
from django_userpods.core.states import State
from django_userpods.exceptions import NothingHeard, SettingError
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile.rows import alias, batches, lock, retried, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from django.db.models import QuerySet

    from django_userpods.access.router_activity import Heard
    from django_userpods.core.lifetime import Lifetime

logger = logging.getLogger("django_userpods")

#: Who asks for it, in pods' histories.
IDLE, TOO_OLD = "idle rule", "lifetime rule"
#: Seconds between two looks, and between two notes of one pod's use.
_EVERY, _NOTE_EVERY = 30.0, 60.0
#: Maximum number of statements that write the uses of one batch, one for each time.
_STATEMENTS = 60
#: A router that is begun anew forgets what it was not asked about; less than this is no gap.
_GAP = datetime.timedelta(minutes=5)
#: What is read of a row.
_COLUMNS = (
    "name",
    "owner",
    "slot",
    "state",
    "address",
    "activity",
    "started_at",
    "last_activity",
    "looked_at",
    "wanted",
)


@dataclass(slots=True)
class _Look:
    """What a process knows from its last look."""

    at: datetime.datetime | None = None
    is_silence_said: bool = False


@dataclass(slots=True)
class _Noted:
    """When a pod was used last, by its row."""

    pk: str
    name: str
    last_activity: datetime.datetime | None


@dataclass(slots=True)
class Decision:
    """Which pods are to be stopped at a moment."""

    idle: list[UserPod] = field(default_factory=list)
    too_old: list[UserPod] = field(default_factory=list)


_last = _Look()


def tick(now: datetime.datetime) -> None:
    """Stop what is idle or too old at this moment (aware); does nothing if it just looked.

    Whoever leads calls it every second or so, and ``sync_userpods`` once. Raises SettingError
    where a setting is invalid, and database errors as they are.
    """
    idle, max_age = conf.USERPODS_IDLE_TIMEOUT, conf.USERPODS_MAX_AGE
    if idle is None and max_age is None:
        return
    every = min(_EVERY, idle / 8) if isinstance(idle, float) else _EVERY
    if _last.at is not None and now - _last.at < datetime.timedelta(seconds=every):
        return
    _last.at = now
    heard, known_since = _hear(now) if idle is not None else (None, None)
    running = rows().filter(wanted=UserPod.Wanted.RUNNING).exclude(owner=None).exclude(name=None)
    used = heard.used if heard is not None else {}
    if _per_pod():
        pods = list(running.select_related("owner"))
        record_use(pods, used, now=now)
    else:
        # Of 10,000 pods few are in use and hardly one is due: the others are not even read.
        record_use(_named(running, used), used, now=now)
        pods = list(_may_be_due(running, known_since, now))
        # (What was noted less than a minute ago is not written yet.)
        _take_in(pods, used)
    found = decide(_lifetimes(pods, known_since), now=now)
    asked = [pod for pod in found.idle if _says_itself(pod)]
    ids = {pod.pk for pod in asked}
    _stop([pod for pod in found.idle if pod.pk not in ids], IDLE, now)
    _stop(found.too_old, TOO_OLD, now)
    if asked and (idle_still := _asked_themselves(asked, known_since, now=now)):
        _stop(_unused_meanwhile(idle_still), IDLE, now)


def _stop(pods: Iterable[UserPod], actor: str, now: datetime.datetime) -> None:
    for batch in batches(sorted(pods, key=lambda pod: pod.pk)):
        logger.info("%s: stopping %s", actor, ", ".join(map(str, batch)))
        lifecycle.stop(
            rows().filter(pk__in=[pod.pk for pod in batch]),
            actor=actor,
            # What is too old is stopped whether it is used or not.
            unless_used_since=now if actor == IDLE else None,
            unless_started_since=now,
        )


def decide(pods: Iterable[tuple[UserPod, Lifetime]], *, now: datetime.datetime) -> Decision:
    """Return which of these pods are to be stopped."""
    found = Decision()
    for pod, lifetime in pods:
        if lifetime.too_old_at is not None and lifetime.too_old_at <= now:
            found.too_old.append(pod)
        elif lifetime.idle_at is not None and lifetime.idle_at <= now:
            found.idle.append(pod)
    return found


def _named(running: QuerySet[UserPod], names: Iterable[str]) -> list[_Noted]:
    columns = running.values_list("pk", "name", "last_activity")
    found = (columns.filter(name__in=batch) for batch in batches(sorted(names)))
    return [_Noted(pk, str(name), at) for some in found for pk, name, at in some]


def _may_be_due(
    running: QuerySet[UserPod], known_since: datetime.datetime | None, now: datetime.datetime
) -> QuerySet[UserPod]:
    """Return all pods that ``decide`` may find due by their rows, where limits are numbers.

    ``UserPod.lifetime`` and ``core.lifetime`` say the same of one pod.
    """
    idle, max_age = conf.USERPODS_IDLE_TIMEOUT, conf.USERPODS_MAX_AGE
    rules = []
    if isinstance(max_age, float):
        rules.append(Q(started_at__lte=now - datetime.timedelta(seconds=max_age)))
    if isinstance(idle, float) and known_since is not None:
        since = now - datetime.timedelta(seconds=idle)
        unused = Q(last_activity=None) | Q(last_activity__lte=since)
        nobody_waits = Q(state=State.FAILED) | Q(looked_at=None) | Q(looked_at__lte=since)
        if known_since <= since:
            rules.append(Q(started_at__lte=since) & unused & nobody_waits)
    if not rules:
        return running.none()
    return running.filter(functools.reduce(operator.or_, rules)).only(*_COLUMNS)


def _take_in(pods: Iterable[UserPod], used: Mapping[str, datetime.datetime]) -> None:
    for pod in pods:
        at = used.get(str(pod.name))
        if at is not None and (pod.last_activity is None or at > pod.last_activity):
            pod.last_activity = at


def record_use(
    pods: Sequence[UserPod] | Sequence[_Noted],
    used: dict[str, datetime.datetime],
    *,
    now: datetime.datetime,
) -> None:
    """Take in when pods were used, by their names, and write it down.

    Of a pod in use that is about once a minute; its last use is written once it is over.
    """
    minute = datetime.timedelta(seconds=_NOTE_EVERY)
    changed: list[UserPod | _Noted] = []
    for pod in pods:
        at, before = used.get(str(pod.name)), pod.last_activity
        if at is None or (before is not None and at <= before):
            continue
        pod.last_activity = at
        if before is None or at - before >= minute or now - at >= minute:
            changed.append(pod)
    _write_last_activity(changed)


def _write_last_activity(pods: Sequence[UserPod | _Noted]) -> None:
    """Write it in a statement for each time where those are few, as uses are known by the second.

    ``bulk_update`` takes four times as long for 5,000 rows of thirty times (PostgreSQL), and less
    than two thirds where each has its own: after a gap in listening, or as applications tell it.
    """
    for batch in batches(sorted(pods, key=lambda pod: pod.pk)):

        def work(batch: Sequence[UserPod | _Noted] = batch) -> None:
            together: dict[datetime.datetime | None, list[str]] = {}
            for pod in batch:
                together.setdefault(pod.last_activity, []).append(pod.pk)
            with transaction.atomic(using=alias()):
                lock(rows().filter(pk__in=[pod.pk for pod in batch]))
                if len(together) > _STATEMENTS:
                    written = [UserPod(pk=pod.pk, last_activity=pod.last_activity) for pod in batch]
                    rows().bulk_update(written, ["last_activity"])
                    return
                for at, keys in together.items():
                    rows().filter(pk__in=keys).update(last_activity=at)

        retried(work)


def _lifetimes(
    pods: Iterable[UserPod], known_since: datetime.datetime | None
) -> Iterator[tuple[UserPod, Lifetime]]:
    """Yield each pod with its lifetime, but those for which a setting's function fails."""
    for pod in pods:
        try:
            yield pod, pod.lifetime(known_since)
        except SettingError as error:
            logger.error("%s: %s", pod, error)


def _per_pod() -> bool:
    """Tell whether the project's own code looks at each pod."""
    return callable(conf.USERPODS_IDLE_TIMEOUT) or callable(conf.USERPODS_MAX_AGE)


def _hear(now: datetime.datetime) -> tuple[Heard | None, datetime.datetime | None]:
    """Return what the routers say, and since when it is known without a gap; None for silence."""
    installation = Installation.objects.current()
    before = installation.heard_at
    gone = (now - before).total_seconds() if before is not None else 10 * 365 * 86400.0
    try:
        heard = router_activity.ask(within=max(0.0, gone) + 3 * _NOTE_EVERY)
    except NothingHeard as error:
        if not _last.is_silence_said:
            _last.is_silence_said = True
            logger.warning(
                "no pod is stopped for being idle (USERPODS_IDLE_TIMEOUT): nobody tells which are "
                "used: %s",
                error,
            )
        return None, None
    _last.is_silence_said = False
    if installation.known_since is None or before is None or heard.since > before + _GAP:
        installation.known_since = heard.since
    elif gone < _NOTE_EVERY:
        return heard, installation.known_since
    installation.heard_at = now
    installation.save(using=alias(), update_fields=["heard_at", "known_since"])
    return heard, installation.known_since


def _says_itself(pod: UserPod) -> bool:
    """Tell whether a pod's application is to be asked when it was used."""
    return bool(pod.address and pod.state == State.RUNNING and activity.addresses(pod.activity))


def _asked_themselves(
    pods: Sequence[UserPod], known_since: datetime.datetime | None, *, now: datetime.datetime
) -> list[UserPod]:
    """Return those of the idle pods whose application says nothing else."""
    asked = {pod.pk: pod for pod in pods}
    # Here, and not one by one in the threads that ask.
    prefetch_related_objects(list(asked.values()), "owner")
    said = applications.last_uses(asked.values(), now=now)
    used = [
        pod
        for pk, pod in asked.items()
        if (at := said.get(pk)) is not None and at > pod.lifetime(known_since).idle_since
    ]
    for pod in used:
        pod.last_activity = said[pod.pk]
    _write_last_activity(used)
    still = decide(_lifetimes(pods, known_since), now=now).idle
    return [pod for pod in still if pod.pk in said]


def _unused_meanwhile(pods: Sequence[UserPod]) -> list[UserPod]:
    """Return those of the idle pods that are so still: asking them took its time."""
    now = timezone.now()
    heard, known_since = _hear(now)
    if heard is None:
        return []
    record_use(pods, heard.used, now=now)
    return decide(_lifetimes(pods, known_since), now=now).idle


def forget() -> None:
    """Begin anew, as a process that has not looked yet."""
    for name, value in dataclasses.asdict(_Look()).items():
        setattr(_last, name, value)
