"""What pods themselves say: why one does not come up, and how often it was started again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from django_userpods.core import health, naming, restarts, step_times, workloads
from django_userpods.core.objects import POD
from django_userpods.core.states import State
from django_userpods.exceptions import ClusterError
from django_userpods.reconcile.observe import FEW, objects

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest
    from django_userpods.reconcile.observe import Reader, Subject


def explain(reader: Reader, subjects: dict[str, Subject]) -> None:
    """Look at the pods of those that do not come up, for a reason a person can act on.

    Restarts are counted on the way, and those of pods that run where there may be another: it came
    up just now, somebody asked for a sync, or ``may_have_restarted`` says so. All of 10,000 would
    be half as much to read again as all that is read otherwise.
    """
    unwell: dict[str, Subject] = {}
    counted: dict[str, Subject] = {}
    for label, subject in subjects.items():
        if (found := subject.health) is None or found.state == State.STOPPED:
            continue
        if found.state.may_explain or subject.is_updating:
            unwell[label] = subject
        elif subject.came_up or subject.entry.to_sync or reader.may_have_restarted(label):
            counted[label] = subject
    asked = unwell | counted
    if not asked:
        return
    pods: dict[str, list[Manifest]] = defaultdict(list)
    if len(asked) <= FEW:
        reader = replace(reader, everybody=False)
    try:
        for pod in objects(reader, POD, asked):
            label = pod["metadata"]["labels"].get(naming.POD_LABEL, "")
            if label in asked:
                pods[label].append(pod if label in unwell else restarts.in_brief(pod))
    except ClusterError:
        if unwell or any(map(reader.may_have_restarted, counted)):
            raise
        return  # what is known of them by now does not hang on a count
    for label, subject in asked.items():
        subject.restarts = restarts.of_pods(pods[label], subject.others)
    for label, subject in unwell.items():
        _explain_one(subject, pods[label])


def _explain_one(subject: Subject, pods: list[Manifest]) -> None:
    is_updating = subject.is_updating
    by_workload = workloads.pods_by_workload(pods, subject.others)
    own = by_workload.pop(None, [])
    if subject.main is not None:
        if subject.main.state.may_explain:
            subject.step_times = step_times.of_pods(own) or subject.step_times
        subject.main = health.explained(subject.main, own)
    if subject.main_update is not None and is_updating:
        subject.main_update = health.explained_update(subject.main_update, own)
    for key, found in by_workload.items():
        assert key is not None  # noqa: S101 - the main workload's are taken out
        subject.others[key] = health.explained(subject.others[key], found)
        if is_updating:
            update = health.explained_update(subject.other_updates[key], found)
            subject.other_updates[key] = update
