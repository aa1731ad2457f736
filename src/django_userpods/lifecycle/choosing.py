"""Which profile a pod is of: who may have it, choose it and start it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from django_userpods import profiles
from django_userpods.core import naming
from django_userpods.exceptions import ProfileNotAllowed
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import history
from django_userpods.reconcile.rows import alias, batches, lock, retried, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.db.models import QuerySet

    from django_userpods.core.profile import Profile

Wanted, State = UserPod.Wanted, UserPod.State

#: What the history calls it.
CHOSEN = "profile"


class Asked(NamedTuple):
    """A pod that is to be of a profile, and whether it is to run, which takes a place."""

    pk: str
    owner_id: Any
    profile: str
    takes_place: bool = True


def assign(
    selected: QuerySet[UserPod], profile: str, *, actor: str = ""
) -> tuple[list[str], dict[str, ProfileNotAllowed]]:
    """Have some rows be of a profile ("" for none); return whose are now, and who may not.

    Rows that were so already, or are to have no pod, are neither. The cluster is not asked.
    """

    def work() -> tuple[list[str], dict[str, ProfileNotAllowed]]:
        with transaction.atomic(using=alias()):
            if profile:
                Installation.objects.lock()
            found = selected.using(alias()).exclude(wanted=Wanted.ABSENT)
            if not profile or naming.is_valid_label(profile):
                # Anything else is no row's, and not every database takes every text.
                found = found.exclude(profile=profile)
            columns = ("pk", "owner_id", "wanted", "state", "name")
            read = {values[0]: values for values in found.values_list(*columns)}
            asked = [
                Asked(pk, owner_id, profile, wanted == Wanted.RUNNING)
                for pk, owner_id, wanted, _, _ in read.values()
            ]
            refused = refusals(asked) | _too_long(profile, read)
            todo = sorted(read.keys() - refused.keys())
            for batch in batches(todo):
                _write(batch, profile, {pk: read[pk][3] for pk in batch}, actor)
            return todo, refused

    return retried(work)


def _write(batch: Sequence[str], profile: str, states: Mapping[str, str], actor: str) -> None:
    found = rows().filter(pk__in=batch)
    lock(found)
    found.update(profile=profile, state=State.PENDING, message="", updated_at=timezone.now())
    history.add(
        [
            history.Line(pk, states[pk], State.PENDING, profile, operation=CHOSEN, actor=actor)
            for pk in batch
        ]
    )


def refusals(asked: Sequence[Asked]) -> dict[str, ProfileNotAllowed]:
    """Return why some pods may not be of their profile, by their ids; those that may are not there.

    In a transaction that holds ``Installation.objects.lock`` two at once do not take one place.
    No query where none has a profile; else as many, however many pods there are.
    """
    asked = [one for one in asked if one.profile]
    if not asked:
        return {}
    known = profiles.known()
    wanted = {one.profile for one in asked}
    named = [profile for slug, profile in known.items() if slug in wanted]
    member = profiles.groups_of({one.owner_id for one in asked}, profiles.groups_in(named))
    places = _places([profile for profile in named if profile.at_once is not None])
    found = {}
    for one in asked:
        profile = known.get(one.profile)
        if profile is None:
            found[one.pk] = ProfileNotAllowed(one.profile, "gone")
        elif not profile.enabled:
            found[one.pk] = ProfileNotAllowed(one.profile, "disabled")
        elif not profiles.is_for(profile, member[one.owner_id]):
            found[one.pk] = ProfileNotAllowed(one.profile, "group")
        elif one.takes_place and places.get(one.profile, 1) < 1:
            found[one.pk] = ProfileNotAllowed(one.profile, "full")
        elif one.takes_place and one.profile in places:
            places[one.profile] -= 1
    return found


def of_stopped(pods: Sequence[str]) -> list[Asked]:
    """Return those of some pods that are stopped and have a profile, as their rows are now."""
    found: list[Asked] = []
    for batch in batches(sorted(pods)):
        stopped = rows().filter(pk__in=batch, wanted=Wanted.STOPPED).exclude(profile="")
        found += (Asked(*values) for values in stopped.values_list("pk", "owner_id", "profile"))
    return found


def _places(limited: Sequence[Profile]) -> dict[str, int]:
    """Return how many more pods of each may run."""
    if not limited:
        return {}
    running = rows().filter(wanted=Wanted.RUNNING, profile__in=[one.slug for one in limited])
    counted = dict(running.order_by().values_list("profile").annotate(Count("pk")))
    return {one.slug: (one.at_once or 0) - counted.get(one.slug, 0) for one in limited}


def _too_long(profile: str, read: Mapping[str, Sequence[Any]]) -> dict[str, ProfileNotAllowed]:
    """Return those whose names leave no room for what the profile's template appends to them."""
    names = {pk: values[4] for pk, values in read.items() if values[4]}
    if not profile or not names:
        return {}
    from django_userpods.reconcile.wanted import room_of_profile

    most = naming.MAX_LABEL - room_of_profile(profile)
    return {
        pk: ProfileNotAllowed(profile, "name") for pk, name in names.items() if len(name) > most
    }


def note(refused: Mapping[str, ProfileNotAllowed]) -> None:
    """Say on rows that are not started why they are not."""
    by_text: dict[str, list[str]] = {}
    for pk in sorted(refused):
        by_text.setdefault(str(refused[pk]), []).append(pk)
    for text, pks in by_text.items():
        for batch in batches(pks):
            rows().filter(pk__in=batch).update(message=text)
