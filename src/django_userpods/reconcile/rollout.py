"""A changed template in waves (``USERPODS_ROLLOUT``): whose turn it is, decided in one place.

Turns are columns of rows, given in a transaction that no two take at once, so however many
processes there are they keep to one limit. Whoever has no turn is left as it is, but for what
``core.behind`` says.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from django_userpods.conf import conf
from django_userpods.core import behind, kinds
from django_userpods.core.plan import Verb
from django_userpods.core.rollout import BEHIND, UNDER_WAY, Turn
from django_userpods.core.states import State
from django_userpods.exceptions import UserpodsError
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile.rows import alias, batches, lock, retried, rows
from django_userpods.reconcile.users import BATCH
from django_userpods.reconcile.wanted import TemplateSource, this_installation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from django.db.models import QuerySet

    from django_userpods.core.plan import Action
    from django_userpods.core.rollout import Rule
    from django_userpods.reconcile.apply import Outcome
    from django_userpods.reconcile.observe import Subject
    from django_userpods.reconcile.report import Report
    from django_userpods.reconcile.request import Run

logger = logging.getLogger("django_userpods")


def give_turns(
    run: Run,
    subjects: dict[str, Subject],
    plans: dict[str, list[Action]],
    desired: TemplateSource,
) -> dict[str, list[Action]]:
    """Return the plans without what waits: of pods that are behind, of whom it is not the turn."""
    rule = conf.USERPODS_ROLLOUT
    for pod in subjects:
        run.waiting.pop(pod, None)
    if rule is None:
        return plans
    run.report.at_next_start = rule.max_unready is None
    late = [pod for pod in plans if _has_to_wait(subjects[pod], plans[pod], rule)]
    if not late:
        return plans
    some = [subjects[pod] for pod in late]
    if run.request.dry_run:
        granted = _rehearsed(rule, desired.digest, some)
    else:
        granted = retried(partial(_claim, rule, desired.digest, some))
    plans = dict(plans)
    for pod in late:
        if pod in granted:
            continue
        subject = subjects[pod]
        subject.held = True
        run.waiting[pod] = str(subject.entry)
        observed = {item.ref: item for item in subject.observed}
        if actions := behind.at_once(plans[pod], observed):
            plans[pod] = actions
        else:
            del plans[pod]
    return plans


def turn_after(subject: Subject, outcome: Outcome, state: State) -> str:
    """Return where a pod is in a rollout once this came of its plan."""
    entry = subject.entry
    turn = Turn(entry.turn)
    if turn is Turn.NONE:
        return turn
    is_to_run = entry.wanted == UserPod.Wanted.RUNNING and not entry.recreate
    if not is_to_run or conf.USERPODS_ROLLOUT is None:
        return Turn.NONE
    if subject.held:
        return turn
    if subject.error is not None and turn.is_under_way:
        # Of one whose template cannot be made at the moment nobody knows how its update is doing.
        # One of which that is so at the next look, too, has failed: it may be so for ever.
        return Turn.FAILED if entry.message == str(subject.error) else turn
    if turn in BEHIND or subject.error is not None:
        return Turn.NONE
    if outcome.error is not None:
        # What the cluster refuses leaves the pod as it was, so it is not one of the unready.
        return turn if outcome.error.transient else Turn.REFUSED
    if any(_replaces_pods(action) for action in outcome.done):
        return Turn.UPDATING
    update = subject.update.state if subject.update is not None else State.STARTING
    if State.FAILED in (state, update):
        return Turn.FAILED
    if state == update == State.RUNNING:
        return Turn.NONE
    return turn


def result_of(before: str, after: str, state: str) -> bool | None:
    """Tell whether a pod that had its turn runs now, or failed; None for neither."""
    if not Turn(before).is_under_way:
        return None
    if after == Turn.NONE and state == State.RUNNING:
        return True
    if after == Turn.REFUSED or (before == Turn.UPDATING and after == Turn.FAILED):
        return False
    return None


def record(results: Sequence[tuple[bool, str]]) -> None:
    """Record how those fared that had their turn, with what there is to say of each.

    Part of the transaction that writes their rows, which has begun with ``Installation.lock``.
    """
    rule = conf.USERPODS_ROLLOUT
    if rule is None or not results:
        return
    found = Installation.objects.current()
    stop = False
    failed = rows().filter(turn=Turn.FAILED).count()
    for went_well, said in results:
        if went_well and found.rollout_stopped_at is not None:
            continue  # what it was stopped for stays so
        found.rollout_failures = 0 if went_well else found.rollout_failures + 1
        found.rollout_reason = found.rollout_reason if went_well else said
        stop = stop or rule.is_to_stop(in_a_row=found.rollout_failures, failed=0)
        if stop:
            break
    stop = stop or rule.is_to_stop(in_a_row=0, failed=failed)
    if stop and found.rollout_stopped_at is None:
        _stop(found, failed)
    _save(found)


def resume() -> bool:
    """Go on with a rollout that was stopped; tell whether there was one.

    Who failed is left alone and takes no room any more, and who was refused is tried again. It is
    stopped again by as many failures.
    """

    def work() -> bool:
        with transaction.atomic(using=alias()):
            Installation.objects.lock()
            found = Installation.objects.current()
            if found.rollout_stopped_at is None:
                return False
            _begin(found, found.rollout_of)
            _leave_failed()
            return True

    return retried(work)


def due(among: QuerySet[UserPod] | None = None) -> list[str]:
    """Return the ids of the next rows of which it is the turn, for whoever looks at them.

    No more at once than a statement names. One query where nobody waits, none without the setting.
    Who was refused is not among them: whoever looks at everything tries it again.
    """
    rule = conf.USERPODS_ROLLOUT
    if rule is None or rule.max_unready is None:
        return []
    numbers = counts()
    if not numbers[Turn.WAITING]:
        return []
    room = rule.room(numbers[Turn.UPDATING] + numbers[Turn.FAILED])
    if not room:
        _stop_where_none_has_room(rule, numbers[Turn.FAILED])
        return []
    if Installation.objects.current(write=False).rollout_stopped_at is not None:
        return []
    waiting = (rows() if among is None else among).filter(
        turn=Turn.WAITING, wanted=UserPod.Wanted.RUNNING
    )
    return list(waiting.order_by("pk").values_list("pk", flat=True)[: min(room, BATCH)])


def waits(some: QuerySet[UserPod]) -> bool:
    """Tell whether any of some rows waits for a turn that comes once others have had theirs."""
    rule = conf.USERPODS_ROLLOUT
    if rule is None or rule.max_unready is None or stopped() is not None:
        return False
    return some.filter(turn=Turn.WAITING, wanted=UserPod.Wanted.RUNNING).exists()


def counts() -> dict[Turn, int]:
    """Return how many pods wait, are being updated, failed, and were refused.

    It is asked for every second: what is greater than nothing is found by the index, what is not
    nothing is looked for in all of it.
    """
    counted = rows().filter(turn__gt="").order_by().values_list("turn").annotate(Count("pk"))
    found = dict(counted)
    return {turn: found.get(turn.value, 0) for turn in Turn if turn}


def stopped() -> tuple[int, str] | None:
    """Return after how many failures a rollout was stopped, and the last; None where none was.

    Nor where nobody is left in it, all having gone back to the template before, say.
    """
    rule = conf.USERPODS_ROLLOUT
    if rule is None or rule.max_unready is None:
        return None
    found = stopped_of(Installation.objects.current(write=False))
    return found if found is not None and _is_anybody_left() else None


def stopped_of(installation: Installation) -> tuple[int, str] | None:
    """Return the same of a row that was read."""
    if installation.rollout_stopped_at is None:
        return None
    return installation.rollout_failures, installation.rollout_reason


def tell(report: Report, found: QuerySet[UserPod]) -> None:
    """Say in a report who of some rows waits by now."""
    waiting = found.filter(turn__in=BEHIND).order_by("name").values_list("name", flat=True)
    report.waiting = [name or "" for name in waiting]
    report.stopped = stopped()


def _has_to_wait(subject: Subject, actions: Sequence[Action], rule: Rule) -> bool:
    """Tell whether a plan replaces a pod that somebody may use, because its template changed."""
    entry, main = subject.entry, subject.main
    if entry.wanted != UserPod.Wanted.RUNNING or entry.recreate or subject.template is None:
        return False
    if main is None or main.state == State.STOPPED:
        return False  # it starts
    observed = {item.ref: item for item in subject.observed}
    if not behind.is_behind(actions, observed):
        return False
    if entry.restarted_at is not None and behind.is_restart(subject.observed):
        return False
    if Turn(entry.turn).is_under_way:
        return rule.max_unready is not None
    # Nobody uses one that failed, and nothing but an update may help it. One that is not ready for
    # a moment, as all are whose node is away, waits like the others.
    return subject.health is None or subject.health.state != State.FAILED


def _claim(rule: Rule, template: str, late: Sequence[Subject]) -> set[str]:
    """Give as many their turn as there is room, note who waits, and return who has it."""
    with transaction.atomic(using=alias()):
        Installation.objects.lock()
        installation = Installation.objects.current()
        if _is_another(installation, template, late):
            _begin(installation, template)
            # Who failed is given this one first where they are behind it, and else takes no room.
            _leave_failed(but=[s.entry.pk for s in late if s.entry.turn == Turn.FAILED])
        # The rows as they are now: others may have had their turn since this run has read them.
        found = dict(rows().filter(turn__in=UNDER_WAY).values_list("pk", "turn"))
        under_way = set(found)
        failed = sum(turn == Turn.FAILED for turn in found.values())
        if _leaves_no_room(rule, installation, failed):
            _stop(installation, failed)
            _save(installation)
        granted, new = _chosen(rule, installation, late, under_way)
        for subject in late:
            subject.was_refused = subject.entry.turn == Turn.REFUSED
        _turn([s for s in late if s.entry.pk in new], Turn.UPDATING)
        others = [s for s in late if not s.entry.turn and s.entry.pk not in granted | under_way]
        _turn(others, Turn.WAITING)
    return granted


def _rehearsed(rule: Rule, template: str, late: Sequence[Subject]) -> set[str]:
    """Return who would have their turn; writes nothing."""
    installation = Installation.objects.current(write=False)
    found = rows().filter(turn__in=UNDER_WAY)
    if _is_another(installation, template, late):
        installation.rollout_stopped_at = None
        behind_it = [s.entry.pk for s in late if s.entry.turn == Turn.FAILED]
        found = found.filter(Q(turn=Turn.UPDATING) | Q(pk__in=behind_it))
    elif _leaves_no_room(rule, installation, found.filter(turn=Turn.FAILED).count()):
        return set()
    under_way = set(found.values_list("pk", flat=True))
    return _chosen(rule, installation, late, under_way)[0]


def _is_anybody_left() -> bool:
    """Tell whether anybody waits, is being updated, or failed."""
    return rows().filter(turn__gt="").exists()


def _is_another(installation: Installation, template: str, late: Iterable[Subject]) -> bool:
    """Tell whether this is another rollout than the last, which counts its own failures."""
    is_over = installation.rollout_stopped_at is not None and not _is_anybody_left()
    # A template of each user's own is another if those who failed are behind it.
    is_corrected = any(subject.entry.turn == Turn.FAILED for subject in late)
    return installation.rollout_of != template or is_over or is_corrected


def _chosen(
    rule: Rule, installation: Installation, late: Sequence[Subject], under_way: Collection[str]
) -> tuple[set[str], set[str]]:
    """Return who has their turn, and who of them has it only now."""
    if installation.rollout_stopped_at is not None:
        return set(), set()
    # Who was refused comes last, so that nobody waits for them.
    pods = [s.entry.pk for s in sorted(late, key=lambda s: s.entry.turn == Turn.REFUSED)]
    room = rule.room(len(under_way))
    new = set([pod for pod in pods if pod not in under_way][:room])
    had = {s.entry.pk for s in late if Turn(s.entry.turn).is_under_way} & set(under_way)
    return had | new, new


def _turn(some: Iterable[Subject], turn: Turn) -> None:
    by_key = {subject.entry.pk: subject.entry for subject in some}
    for batch in batches(sorted(by_key)):
        found = rows().filter(pk__in=batch)
        lock(found)
        found.update(turn=turn)
    for entry in by_key.values():
        entry.turn = turn


def _leaves_no_room(rule: Rule, installation: Installation, failed: int) -> bool:
    """Tell whether nobody can have a turn any more because of those who failed with this template.

    Without a failure that was their last this is noticed once the setting is lower than it was.
    """
    is_going_on = installation.rollout_stopped_at is None and bool(installation.rollout_reason)
    return is_going_on and rule.is_to_stop(in_a_row=0, failed=failed)


def _stop_where_none_has_room(rule: Rule, failed: int) -> None:
    found = Installation.objects.current(write=False)
    if not _leaves_no_room(rule, found, failed) or not _is_of_now(found):
        return

    def work() -> None:
        with transaction.atomic(using=alias()):
            Installation.objects.lock()
            installation = Installation.objects.current()
            now = rows().filter(turn=Turn.FAILED).count()
            if _leaves_no_room(rule, installation, now):
                _stop(installation, now)
                _save(installation)

    retried(work)


def _is_of_now(installation: Installation) -> bool:
    """Tell whether the template is still the rollout's: whoever looks at pods begins another's.

    Of one that is up to each user it is taken to be. One that makes no sense is nobody's; the look
    at pods says so.
    """
    try:
        return TemplateSource(this_installation(write=False)).digest == installation.rollout_of
    except UserpodsError:
        return False


def _stop(installation: Installation, failed: int) -> None:
    installation.rollout_failures = max(installation.rollout_failures, failed)
    installation.rollout_stopped_at = timezone.now()
    logger.error("the rollout was stopped: %s", installation.rollout_reason)


def _begin(installation: Installation, template: str) -> None:
    installation.rollout_of = template
    installation.rollout_failures = 0
    installation.rollout_reason = ""
    installation.rollout_stopped_at = None
    _save(installation)
    refused = rows().filter(turn=Turn.REFUSED)
    lock(refused)
    refused.update(turn=Turn.WAITING)


def _leave_failed(*, but: Collection[str] = ()) -> None:
    failed = rows().filter(turn=Turn.FAILED).exclude(pk__in=but)
    lock(failed)
    failed.update(turn=Turn.NONE)


def _save(installation: Installation) -> None:
    names = ("rollout_of", "rollout_failures", "rollout_reason", "rollout_stopped_at")
    installation.save(update_fields=names)


def _replaces_pods(action: Action) -> bool:
    is_of_pods = action.ref.kind.kind in kinds.REPLACING
    return action.verb == Verb.UPDATE and is_of_pods and not action.keeps_pods
