"""Why a pod does not come up, as the pods of its workloads say."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from django_userpods.core import health
from django_userpods.core.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django_userpods.core.health import Health
    from django_userpods.core.objects import Manifest
    from django_userpods.reconcile.observe import Subject


def explain(subject: Subject, pods: Iterable[Manifest]) -> None:
    """Find out which of the pods are whose: a workload's are called after it."""
    of_others: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
    own = []
    for pod in pods:
        name = pod["metadata"]["name"]
        called = [key for key in subject.others if name.startswith(f"{key[1]}-")]
        if called:
            of_others[max(called, key=lambda key: len(key[1]))].append(pod)
        else:
            own.append(pod)
    is_updating = subject.is_updating
    if subject.main is not None and subject.main.state.may_explain:
        subject.main = health.of_pods(own) or subject.main
    if subject.main_update is not None and is_updating:
        subject.main_update = _of_update(subject.main_update, own)
    for key, found in of_others.items():
        if subject.others[key].state.may_explain:
            subject.others[key] = health.of_pods(found) or subject.others[key]
        if is_updating:
            subject.other_updates[key] = _of_update(subject.other_updates[key], found)


def _of_update(update: Health, pods: Iterable[Manifest]) -> Health:
    """Return how an update is doing, with what its pods say where it is not through."""
    if not update.state.may_explain or (why := health.of_pods(pods)) is None:
        return update
    # What has taken too long has failed, whatever it waits for.
    return replace(why, state=State.FAILED) if update.state == State.FAILED else why
