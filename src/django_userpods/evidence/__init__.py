"""What the cluster has to show of a pod now: its events, and the last lines of its logs.

``comparison`` has the third: what of it is not as it should be.

Asked of the cluster when somebody opens the page of it, never by a list or by itself, and kept
nowhere. Who may see it is for the page to say.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils.translation import gettext

from django_userpods.cluster import get_cluster
from django_userpods.core import naming
from django_userpods.exceptions import (
    ClusterTimeout,
    ClusterUnavailable,
    Forbidden,
    NodeUnavailable,
    UserpodsError,
)
from django_userpods.reconcile.wanted import this_installation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from django_userpods.clusters.base import Cluster, PodEvent, PodLog
    from django_userpods.models import UserPod

logger = logging.getLogger("django_userpods")

#: Maximum number of events, and of lines and bytes of each log.
EVENTS, LINES, SIZE = 50, 200, 64 * 1024
#: Seconds that the cluster may take for all of it.
SECONDS = 8.0
#: Seconds that it may take for events alone, for which a page asks by itself.
EVENTS_SECONDS = 3.0
#: How many may wait for the cluster at the same time in one process, so that threads are left.
_turns = threading.BoundedSemaphore(2)
#: What terminals take for colours and the like, and other characters that are no text.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    # Titles and links; one that does not end hides nothing of what follows.
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]+[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    # What has letters shown in another order than they were written in.
    r"|[\u202a-\u202e\u2066-\u2069]"
)


@dataclass
class Evidence:
    """What was found; ``problems`` says in sentences for people what could not be asked."""

    events: Sequence[PodEvent] = ()
    logs: list[PodLog] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def of(pod: UserPod, *, events: bool = True, logs: bool = True) -> Evidence:
    """Ask the cluster about a pod. Never raises for what is wrong with the cluster.

    One that is slow, down or does not allow it is among the ``problems``.
    """
    return _of(pod, SECONDS, events=events, logs=logs)


def events_of(pod: UserPod) -> Evidence:
    """Ask the cluster for a pod's events alone, as ``of`` does, in less time."""
    return _of(pod, EVENTS_SECONDS, events=True, logs=False)


@contextmanager
def turn(problems: list[str]) -> Iterator[bool]:
    """Wait for the cluster as one of a few; False, and said so, where enough do already."""
    is_ours = _turns.acquire(blocking=False)
    if not is_ours:
        problems.append(gettext("Too many people are asking at the moment. Try again soon."))
    try:
        yield is_ours
    finally:
        if is_ours:
            _turns.release()


def _of(pod: UserPod, seconds: float, *, events: bool, logs: bool) -> Evidence:
    found = Evidence()
    if not pod.name:
        return found
    with turn(found.problems) as is_ours:
        if is_ours:
            _ask(pod, found, time.monotonic() + seconds, events=events, logs=logs)
    return found


def _ask(pod: UserPod, found: Evidence, until: float, *, events: bool, logs: bool) -> None:
    labels = {naming.POD_LABEL: pod.pk}

    def ask(what: Callable[[Cluster, float], None]) -> None:
        try:
            labels[naming.INSTALLATION_LABEL] = this_installation(write=False).id
            what(get_cluster(), max(0.1, until - time.monotonic()))
        except UserpodsError as error:
            logger.warning("pod %s: %s", pod.name, error)
            found.problems.append(worded(error))

    def ask_for_events(cluster: Cluster, seconds: float) -> None:
        told = cluster.events(namespace=pod.namespace, labels=labels, limit=EVENTS, timeout=seconds)
        found.events = [event._replace(message=plain(event.message)) for event in told]

    def ask_for_logs(cluster: Cluster, seconds: float) -> None:
        told = cluster.logs(
            namespace=pod.namespace, labels=labels, lines=LINES, size=SIZE, timeout=seconds
        )
        # Those before one that cannot be had are kept.
        found.logs.extend(log._replace(text=plain(log.text)) for log in told)

    for question, is_asked in ((ask_for_events, events), (ask_for_logs, logs)):
        if is_asked:
            ask(question)
    found.problems = list(dict.fromkeys(found.problems))


def plain(text: str) -> str:
    """Return a text without what is for terminals, and with nothing else that is no text."""
    return _CONTROL.sub("", text)


def worded(error: UserpodsError) -> str:
    """Return a sentence for people, who are told nothing of what is inside."""
    if isinstance(error, Forbidden):
        return gettext("The cluster does not let this site see all of it.")
    if isinstance(error, ClusterTimeout):
        return gettext("The cluster did not answer in time.")
    if isinstance(error, NodeUnavailable):
        return gettext("The machine that it runs on does not answer at the moment.")
    if isinstance(error, ClusterUnavailable):
        return gettext("The cluster cannot be reached at the moment.")
    return gettext("The cluster could not show all of it.")
