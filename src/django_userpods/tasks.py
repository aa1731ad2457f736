"""Asking for a reconcile: written down first, then done by a task backend or inline, in bounds.

A task is a wake-up only. What was asked for is on the row, so a task that is lost costs time,
not work: the next sync does it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.conf import settings

from django_userpods.conf import conf, get_cluster, is_inert
from django_userpods.exceptions import (
    ClusterError,
    ClusterUnavailable,
    NotInTests,
    OutOfTime,
    SettingError,
    TemplateError,
)
from django_userpods.models import UserPod
from django_userpods.reconcile import run
from django_userpods.reconcile.entries import Scope
from django_userpods.reconcile.pods import record_save, update_rows
from django_userpods.reconcile.rows import update

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from django.contrib.auth.models import AbstractBaseUser

    from django_userpods.reconcile.report import Report

    ScopeOf = Callable[[Collection[str]], Scope]

_task: Any = None
with contextlib.suppress(ImportError):  # Django 5.2 has no tasks
    from django.tasks import task as _task

logger = logging.getLogger("django_userpods")

#: Backends that run a task in the request that enqueues it: our own bounded way is better.
_INLINE_BACKENDS = frozenset({"django.tasks.backends.immediate.ImmediateBackend"})
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


def reconcile_user(user_pk: str) -> None:
    """Reconcile one user (a task)."""
    _run(Scope.of([user_pk]))


def reconcile_users(user_pks: list[str]) -> None:
    """Reconcile some users (a task)."""
    _run(Scope.of(user_pks))


def reconcile_pods(pods: list[str]) -> None:
    """Reconcile some pods by the ids of their rows (a task)."""
    _run(Scope.of(pods=pods))


try:
    if _task is not None:
        reconcile_user, reconcile_users, reconcile_pods = map(
            _task, (reconcile_user, reconcile_users, reconcile_pods)
        )
except Exception as error:  # noqa: BLE001 - a backend may refuse in a way of its own
    # No backend "default", or one without the queue "default": not for us, and no reason to die.
    logger.warning("Django's tasks are not used, work is done inline: %s", error)
    _task = None


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
    changes = update_rows(scope_of(keys))
    asked = Asked(failed=[f"{name}: {message}" for _, name, message in changes.failed])
    _hand_over(keys, scope_of, asked)
    return asked


def _scope_of_pods(pods: Collection[str]) -> Scope:
    return Scope.of(pods=pods)


def ask_for(user: AbstractBaseUser, *, created: bool) -> None:
    """Ask for a reconcile of a user who was just saved, as ``ask`` does but cheaper."""
    if user.pk is None:
        # Deleted again before the commit; whatever is left to do was asked for by that.
        return
    record_save(user, created=created)
    _hand_over([str(user.pk)], Scope.of, Asked())


def _hand_over(keys: Sequence[str], scope_of: ScopeOf, asked: Asked) -> None:
    if is_inert():
        _leave_in_tests(keys, scope_of, asked)
    elif has_task_backend():
        _enqueue(keys, asked, pods=scope_of is _scope_of_pods)
    else:
        _inline(keys, scope_of, asked)


def has_task_backend() -> bool:
    """Tell whether the project has a backend that runs tasks outside the request."""
    return backend_name() not in {"", *_INLINE_BACKENDS}


def backend_name() -> str:
    """Return the dotted name of the project's task backend; "" where there is none."""
    if _task is None:
        return ""
    return str(getattr(settings, "TASKS", {}).get("default", {}).get("BACKEND") or "")


def _leave_in_tests(keys: Sequence[str], scope_of: ScopeOf, asked: Asked) -> None:
    """Say on the rows why nothing is sent; quietly, since it is so at every save of a user."""
    asked.later, asked.reason = len(keys), str(NotInTests())
    for start in range(0, len(keys), _TASK_SIZE):
        some = scope_of(keys[start : start + _TASK_SIZE])
        update(some.where, message=asked.reason)


def _enqueue(pks: Sequence[str], asked: Asked, *, pods: bool) -> None:
    single: Any = reconcile_user
    several: Any = reconcile_pods if pods else reconcile_users
    try:
        if len(pks) == 1 and not pods:
            single.enqueue(pks[0])
        else:
            for start in range(0, len(pks), _TASK_SIZE):
                several.enqueue(list(pks[start : start + _TASK_SIZE]))
        asked.enqueued = len(pks)
    except Exception as error:
        # A queue that is down must not fail a save either.
        logger.exception("the task backend did not take the work; the next sync does it")
        asked.later = len(pks)
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
    started = time.monotonic()
    try:
        report = _run(scope_of(now), timeout=timeout)
    except OutOfTime:
        _pause()
        asked.later, asked.reason = len(pks), "There was no time to do it at once."
        return
    except (SettingError, TemplateError) as error:
        asked.later, asked.reason = len(pks), str(error)
        return
    except ClusterError as error:
        if isinstance(error, ClusterUnavailable) or time.monotonic() - started >= timeout:
            _pause()
        asked.later, asked.reason = len(pks), str(error)
        return
    if report.unavailable or time.monotonic() - started >= timeout:
        # Whoever saves next need not wait as long for the same.
        _pause()
    asked.report = report
    asked.later = later + len(report.not_done)
    asked.failed += [f"{failure.name}: {failure.message}" for failure in report.failed]


def _run(scope: Scope, *, timeout: float | None = None) -> Report:
    try:
        return run.reconcile(scope.user_pks, pods=scope.pods, timeout=timeout)
    except (SettingError, TemplateError) as error:
        logger.error("%s", error)
        update(scope.where, state=UserPod.State.FAILED, message=str(error))
        raise
    except ClusterError as error:
        logger.warning("left for the next sync: %s", error)
        raise
