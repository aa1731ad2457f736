"""Asking for a reconcile: recorded first, then done by a task backend or inline, in bounds."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import django
import pytest

from django_userpods import queues, tasks
from django_userpods.exceptions import ClusterTimeout, ClusterUnavailable, Forbidden
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import build, bulk, pairs, row, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db

#: Django has a task framework from 6.0 on; before, the package django-tasks is one.
PACKAGE = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
DUMMY = {"default": {"BACKEND": f"{PACKAGE}.backends.dummy.DummyBackend"}}
IMMEDIATE = {"default": {"BACKEND": f"{PACKAGE}.backends.immediate.ImmediateBackend"}}


def keys(some: list[Any]) -> list[str]:
    return [str(user.pk) for user in some]


# --- without a task backend


def test_without_a_backend_work_is_done_inline(memory: MemoryCluster) -> None:
    asked = tasks.ask(keys(bulk(2)))
    assert asked.report is not None
    assert asked.report.ok
    assert (asked.enqueued, asked.later, asked.failed) == (0, 0, [])
    assert len(pairs(memory)) == 2


def test_a_timeout_of_0_leaves_the_work_to_the_next_sync(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_INLINE_TIMEOUT = 0
    (user,) = bulk(1)
    asked = tasks.ask([str(user.pk)])
    assert (asked.report, asked.later) == (None, 1)
    assert asked.reason
    assert not memory.calls
    # It is on the row, not only in memory.
    assert row(user).state == UserPod.State.PENDING
    assert row(user).name == "user-bulk000"
    assert reconcile().ok
    assert len(pairs(memory)) == 1


def test_loading_the_client_takes_nothing_of_the_clusters_time(
    memory: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_INLINE_TIMEOUT = 1
    loaded: list[float] = []

    def load(_: Any) -> None:
        if not loaded:
            loaded.append(time.monotonic())
            time.sleep(1.1)

    monkeypatch.setattr(type(memory), "prepare", load)
    asked = tasks.ask(keys(bulk(1)))
    assert loaded
    assert (asked.later, asked.reason) == (0, "")
    assert len(pairs(memory)) == 1


def test_many_are_begun_with(memory: MemoryCluster) -> None:
    asked = tasks.ask(keys(bulk(60)))
    assert asked.later == 10
    assert len(pairs(memory)) == 50
    assert UserPod.objects.count() == 60
    assert reconcile().ok
    assert len(pairs(memory)) == 60


def test_a_hundred_saves_do_not_each_wait_for_a_cluster_that_is_down(
    memory: MemoryCluster, django_capture_on_commit_callbacks: Any
) -> None:
    memory.fail_with(ClusterTimeout("no answer within 2 s"))
    with django_capture_on_commit_callbacks(execute=True):
        for number in range(100):
            build(f"down{number:03}").save()
    assert len(memory.calls) == 1
    assert UserPod.objects.filter(state=UserPod.State.PENDING).count() == 100
    memory.heal()
    asked = tasks.ask([str(users().first().pk)])
    assert asked.later == 1
    assert "did not answer a moment ago" in asked.reason
    assert reconcile().ok
    assert len(pairs(memory)) == 100


def test_the_pause_ends(memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    some = bulk(1)
    memory.fail_with(ClusterUnavailable("down"), times=1)
    assert tasks.ask(keys(some)).later == 1
    assert tasks.ask(keys(some)).later == 1
    late = time.monotonic() + tasks.PAUSE + 1
    monkeypatch.setattr(tasks, "time", SimpleNamespace(monotonic=lambda: late))
    assert tasks.ask(keys(some)).report is not None
    assert len(pairs(memory)) == 1


def test_a_cluster_that_takes_lists_but_no_writes_is_paused_for_too(memory: MemoryCluster) -> None:
    memory.fail_with(ClusterTimeout("slow"), verb="create")
    asked = tasks.ask(keys(bulk(1)))
    assert asked.failed == ["user-bulk000: slow"]
    calls = len(memory.calls)
    assert tasks.ask(keys(bulk(1, "other"))).later == 1
    assert len(memory.calls) == calls


def test_a_try_that_used_its_time_up_is_paused_for_too(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0.0, 1.5)
    fake = SimpleNamespace(monotonic=lambda: float(next(clock)))
    some = bulk(1)
    with monkeypatch.context() as patch:
        patch.setattr("django_userpods.reconcile.request.time", fake)
        asked = tasks.ask(keys(some))
    assert asked.later == 1
    assert asked.reason == "There was no time to do it at once."
    memory.calls.clear()
    tasks.ask(keys(some))
    assert not memory.calls


def test_what_is_not_the_clusters_fault_does_not_pause(
    memory: MemoryCluster, settings: Any
) -> None:
    some = bulk(1)
    memory.fail_with(Forbidden("403"), times=1)
    assert tasks.ask(keys(some)).reason == "403"
    settings.USERPODS_IMAGE = None
    asked = tasks.ask(keys(some))
    assert "USERPODS_IMAGE" in asked.reason
    assert row(some[0]).state == UserPod.State.FAILED
    settings.USERPODS_IMAGE = "example.org/app:1"
    assert tasks.ask(keys(some)).report is not None


def test_a_user_for_whom_the_settings_fail_is_named(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_NAMESPACE = lambda user: "NOT VALID"
    asked = tasks.ask(keys(bulk(1)))
    assert "USERPODS_NAMESPACE" in asked.failed[0]


def test_keys_of_nobody_are_ignored(memory: MemoryCluster) -> None:
    asked = tasks.ask(["999999", "not a key", ""])
    assert asked.failed == []
    assert not memory.objects
    assert tasks.ask([]).failed == []


# --- with one


def test_a_task_backend_takes_the_work(
    memory: MemoryCluster, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    default_task_backend = import_module(PACKAGE).default_task_backend

    settings.TASKS = DUMMY
    with django_capture_on_commit_callbacks(execute=True):
        user = UserFactory(username="alice")
    assert not memory.calls
    assert row(user).state == UserPod.State.PENDING
    (result,) = default_task_backend.results
    assert result.task.module_path == "django_userpods.queues.django_tasks.reconcile"
    assert result.args == [[str(user.pk)], []]
    # What a worker does with it.
    result.task.call(*result.args)
    assert pairs(memory) == ["user-alice"]


def test_many_users_become_few_tasks(memory: MemoryCluster, settings: Any) -> None:
    default_task_backend = import_module(PACKAGE).default_task_backend

    settings.TASKS = DUMMY
    asked = tasks.ask(keys(bulk(620)))
    assert asked.enqueued == 620
    results = default_task_backend.results
    assert [len(result.args[0]) for result in results] == [500, 120]
    assert results[0].task.module_path == "django_userpods.queues.django_tasks.reconcile"
    assert UserPod.objects.count() == 620


@pytest.mark.parametrize("setting", [IMMEDIATE, {"other": DUMMY["default"]}, {}])
def test_what_is_no_backend_for_us_means_inline(
    memory: MemoryCluster, settings: Any, setting: Any
) -> None:
    settings.TASKS = setting
    assert not tasks.has_task_backend()
    asked = tasks.ask(keys(bulk(1)))
    assert asked.report is not None
    assert len(pairs(memory)) == 1


def test_a_queue_that_is_down_fails_no_save(
    memory: MemoryCluster,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.TASKS = DUMMY

    def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("redis is down")

    monkeypatch.setattr(f"{PACKAGE}.backends.dummy.DummyBackend.enqueue", down)
    some = bulk(2)
    asked = tasks.ask(keys(some))
    assert (asked.enqueued, asked.later) == (0, 2)
    assert "ConnectionError" in asked.reason
    assert "the next sync does it" in caplog.text
    assert row(some[0]).state == UserPod.State.PENDING


def test_a_task_that_fails_says_so_on_the_row(memory: MemoryCluster, settings: Any) -> None:
    settings.TASKS = DUMMY
    (user,) = bulk(1)
    tasks.ask([str(user.pk)])
    memory.fail_with(ClusterUnavailable("down"))
    with pytest.raises(ClusterUnavailable):
        queues.reconcile([str(user.pk)])
    assert row(user).message == "down"
    settings.USERPODS_IMAGE = None
    with pytest.raises(Exception, match="USERPODS_IMAGE"):
        queues.reconcile([str(user.pk)])
    assert row(user).state == UserPod.State.FAILED


@pytest.mark.parametrize(
    "setting",
    [
        f"{{'other': {DUMMY['default']}}}",
        f"{{'default': {DUMMY['default'] | {'QUEUES': ['mail']}}}}",
    ],
)
def test_a_project_with_tasks_of_its_own_starts(setting: str) -> None:
    code = (
        "import tests.settings as s\n"
        f"s.TASKS = {setting}\n"
        "import django\n"
        "django.setup()\n"
        "from django_userpods import tasks\n"
        "print(tasks.has_task_backend())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    assert "work is done inline" in done.stderr
