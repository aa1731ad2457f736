"""Asking for a reconcile: written down first, then done by a controller, a task or inline.

With a controller (``USERPODS_CONTROLLER``) that is all: it finds the mark on the row. A task is a
wake-up only. What was asked for is on the row, so a task that is lost costs time,
not work: the next sync does it.

What reconciles is imported by the first who asks, and the client of the cluster by no request:
the first try that a request asks for in a process is done beside it, see ``background``.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.utils.module_loading import import_string

from django_userpods import background, marks, setting
from django_userpods.cluster import get_cluster, is_inert
from django_userpods.conf import conf
from django_userpods.exceptions import (
    ClusterError,
    ClusterUnavailable,
    NotInTests,
    OutOfTime,
    SettingError,
    TemplateError,
)
from django_userpods.models import UserPod
from django_userpods.reconcile import history
from django_userpods.reconcile.entries import Scope
from django_userpods.reconcile.rows import rows, update

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from django.contrib.auth.models import AbstractBaseUser

    from django_userpods.reconcile.report import Report

    ScopeOf = Callable[[Collection[str]], Scope]
    #: Takes primary keys of users, and ids of rows.
    Queue = Callable[[Sequence[str], Sequence[str]], None]

logger = logging.getLogger("django_userpods")

#: Backends that run a task in the request that enqueues it: our own bounded way is better.
_INLINE_BACKENDS = frozenset(
    f"{package}.backends.immediate.ImmediateBackend" for package in ("django.tasks", "django_tasks")
)
_DJANGO_QUEUE = "django_userpods.queues.django_tasks.enqueue"
#: Maximum number of users of a task, and of an inline try.
_TASK_SIZE, _INLINE_SIZE = 500, 50
#: Seconds for which inline tries pause after the cluster did not answer one.
PAUSE = 30.0


@dataclass(slots=True)
class Asked:
    """What became of a request: users done here, handed to a task backend, or left for later."""

    report: Report | None = None
    enqueued: int = 0
    later: int = 0
    #: Why what is left for later was not done now.
    reason: str = ""
    failed: list[str] = field(default_factory=list)


def ask(user_pks: Collection[str]) -> Asked:
    """Ask for a reconcile of some users, after a commit; never raises for the cluster's sake.

    The rows are written first. With a task backend the work is enqueued; without one it is tried
    here for at most ``USERPODS_INLINE_TIMEOUT`` seconds.
    """
    return _ask([str(pk) for pk in user_pks], Scope.of)


def ask_for_pods(pods: Collection[str]) -> Asked:
    """Ask for a reconcile of some pods, by the ids of their rows, as ``ask`` does for users."""
    return _ask(list(pods), _scope_of_pods)


def _ask(keys: list[str], scope_of: ScopeOf) -> Asked:
    from django_userpods.reconcile.pods import update_rows

    changes = update_rows(scope_of(keys))
    asked = Asked(failed=[f"{name}: {message}" for _, name, message in changes.failed])
    _hand_over(keys, scope_of, asked)
    return asked


def _scope_of_pods(pods: Collection[str]) -> Scope:
    return Scope.of(pods=pods)


def ask_for(user: AbstractBaseUser, *, created: bool, needed: bool) -> None:
    """Ask for a reconcile of a user who was just saved, as ``ask`` does but cheaper.

    Only where the save matters: where it changes whether there is to be a pod, or what is in it
    (``needed``).
    """
    from django_userpods.reconcile.pods import record_save

    if user.pk is None:
        # Deleted again before the commit; whatever is left to do was asked for by that.
        return
    if record_save(user, created=created) or needed:
        _hand_over([str(user.pk)], Scope.of, Asked())


def ask_for_some(user_pks: Sequence[str], *, needed: Collection[str]) -> None:
    """Ask for a reconcile of those of some users whose saves matter, as ``ask_for`` does."""
    from django_userpods.reconcile.pods import update_rows

    changes = update_rows(Scope.of(user_pks))
    matter = {entry.user_pk for entry in (*changes.new, *changes.changed)} | {*needed}
    if keys := [key for key in user_pks if key in matter]:
        _hand_over(keys, Scope.of, Asked())


def _hand_over(keys: Sequence[str], scope_of: ScopeOf, asked: Asked) -> None:
    if is_inert():
        _leave_in_tests(keys, scope_of, asked)
    elif conf.USERPODS_CONTROLLER:
        marks.set_on(scope_of, keys)
        asked.enqueued = len(keys)
    elif (put := queue()) is not None:
        _enqueue(put, keys, asked, pods=scope_of is _scope_of_pods)
    else:
        _inline(keys, scope_of, asked)


def has_task_backend() -> bool:
    """Tell whether work is done outside the request: by a controller, or by the project's queue."""
    return conf.USERPODS_CONTROLLER or queue() is not None


def queue() -> Queue | None:
    """Return what takes work for the project's workers, or None where it is done inline.

    That is what ``USERPODS_QUEUE`` names, else Django's tasks where ``TASKS`` has a backend for it.
    Raises SettingError.
    """
    if (given := conf.USERPODS_QUEUE) is not None:
        return cast("Queue", given)
    configured = getattr(settings, "TASKS", {})
    if configured and "default" not in configured:
        _say_inline("TASKS has no 'default'")
        return None
    if setting.task_backend() in {"", *_INLINE_BACKENDS}:
        return None
    try:
        # By its name, since it imports this module: it is what a worker calls.
        return cast("Queue", import_string(_DJANGO_QUEUE))
    except Exception as error:  # noqa: BLE001 - a backend may refuse in a way of its own
        # One without the queue "default", say: not for us, and no reason to die.
        _say_inline(str(error))
        return None


@cache
def _say_inline(reason: str) -> None:
    logger.warning("Django's tasks are not used, work is done inline: %s", reason)


def _leave_in_tests(keys: Sequence[str], scope_of: ScopeOf, asked: Asked) -> None:
    """Say on the rows why nothing is sent; quietly, since it is so at every save of a user."""
    asked.later, asked.reason = len(keys), str(NotInTests())
    for start in range(0, len(keys), _TASK_SIZE):
        some = scope_of(keys[start : start + _TASK_SIZE])
        update(some.where, message=asked.reason)


def _enqueue(put: Queue, keys: Sequence[str], asked: Asked, *, pods: bool) -> None:
    try:
        for start in range(0, len(keys), _TASK_SIZE):
            some = list(keys[start : start + _TASK_SIZE])
            put([] if pods else some, some if pods else [])
        asked.enqueued = len(keys)
    except Exception as error:
        # A queue that is down must not fail a save either.
        logger.exception("the task backend did not take the work; the next sync does it")
        asked.later = len(keys)
        asked.reason = f"The task backend did not take the work ({type(error).__name__})."


def _pause() -> None:
    get_cluster().paused_until = time.monotonic() + PAUSE


def _is_paused() -> bool:
    try:
        return time.monotonic() < get_cluster().paused_until
    except (SettingError, ClusterError):
        return False  # the try says what is wrong


def _inline(pks: Sequence[str], scope_of: ScopeOf, asked: Asked) -> None:
    timeout = conf.USERPODS_INLINE_TIMEOUT
    now, later = list(pks[:_INLINE_SIZE]), len(pks) - len(pks[:_INLINE_SIZE])
    if timeout == 0:
        asked.later, asked.reason = len(pks), "Nothing is done inside requests."
        return
    if _is_paused():
        asked.later, asked.reason = len(pks), "The cluster did not answer a moment ago."
        return
    if background.is_needed():
        asked.later, asked.reason = len(pks), "The cluster's client is being loaded."
        background.do(partial(_try, now, scope_of, Asked(), later=0))
        return
    _try(now, scope_of, asked, later=later)


def _try(now: Sequence[str], scope_of: ScopeOf, asked: Asked, *, later: int) -> None:
    """Try it here, in bounds; ``later`` are left for the next sync in any case."""
    timeout = conf.USERPODS_INLINE_TIMEOUT
    everything = len(now) + later
    started = time.monotonic()
    try:
        # In a command, whose time it is: a request finds the client loaded, see ``_inline``.
        get_cluster().prepare()
        started = time.monotonic()
        report = carry_out(scope_of(now), timeout=timeout)
    except OutOfTime:
        _pause()
        asked.later, asked.reason = everything, "There was no time to do it at once."
        return
    except (SettingError, TemplateError) as error:
        asked.later, asked.reason = everything, str(error)
        return
    except ClusterError as error:
        if isinstance(error, ClusterUnavailable) or time.monotonic() - started >= timeout:
            _pause()
        asked.later, asked.reason = everything, str(error)
        return
    if report.unavailable or time.monotonic() - started >= timeout:
        # Whoever saves next need not wait as long for the same.
        _pause()
    asked.report = report
    asked.later = later + len(report.not_done)
    asked.failed += [f"{failure.label}: {failure.message}" for failure in report.failed]


def carry_out(scope: Scope, *, timeout: float | None = None) -> Report:
    """Reconcile now, and write on the rows what is in the way of all of it, which is raised."""
    from django_userpods.reconcile import run

    try:
        return run.reconcile(scope.user_pks, pods=scope.pods, timeout=timeout)
    except (SettingError, TemplateError) as error:
        logger.error("%s", error)
        update(scope.where, state=UserPod.State.FAILED, message=str(error))
        failed = rows().filter(scope.where).values_list("pk", flat=True)
        history.settle(failed, UserPod.State.FAILED)
        raise
    except ClusterError as error:
        logger.warning("left for the next sync: %s", error)
        raise
