"""What a user's save costs more with the app than without it, where a task backend is configured.

    python benchmarks/save.py [--rounds 400]

The same save with our receivers connected and disconnected, in turn, on SQLite in a file. The
task backend is Django's dummy: what a real one takes to store a task is its own affair.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import publish, set_up_django


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    set_up_django(
        TASKS={"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.UnsaltedMD5PasswordHasher"],
    )
    from django.contrib.auth.models import User

    from django_userpods import tasks

    if not tasks.has_task_backend():
        sys.exit("the task backend is not taken for one")

    number = 0

    def create() -> None:
        nonlocal number
        number += 1
        User.objects.create(username=f"user{number}")

    existing = User.objects.create(username="existing")

    def change() -> None:
        existing.first_name = f"{time.monotonic()}"
        existing.save()

    rows = []
    for what, work in (("Creating a user", create), ("Saving one that has a pod", change)):
        ours, bare = medians(work, rounds)
        value = f"{ours - bare:.2f} ms more ({ours:.2f} ms, {bare:.2f} ms; {ours / bare:.1f} times)"
        rows.append((what, value, "less than 2 ms more"))
    publish("save", "What a user's save costs", rows, (__doc__ or "").split("\n\n", 2)[2])


def medians(work: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Work with our receiver and without it in turn; return the medians of both, in ms."""
    from django.db.models.signals import post_save
    from django.tasks import default_task_backend
    from django.tasks.backends.dummy import DummyBackend

    from django_userpods import receivers

    uid = "django_userpods.user_saved"
    times: dict[bool, list[float]] = {True: [], False: []}
    for index in range(rounds):
        ours = index % 2 == 0
        if ours:
            post_save.connect(receivers.user_saved, dispatch_uid=uid)
        else:
            post_save.disconnect(dispatch_uid=uid)
        began = time.perf_counter()
        work()
        times[ours].append(time.perf_counter() - began)
    post_save.connect(receivers.user_saved, dispatch_uid=uid)
    cast("DummyBackend", default_task_backend).clear()
    return statistics.median(times[True]) * 1e3, statistics.median(times[False]) * 1e3


if __name__ == "__main__":
    main()
