"""Pods in memory for as long as a test lasts."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django_userpods.testing.memory import MemoryCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that the work of one save may take: a slow machine is no failed test.
_ENOUGH = 60.0


@contextmanager
def memory_cluster() -> Iterator[MemoryCluster]:
    """Point the settings at a fresh cluster in memory, and yield it.

    Inside, the work for a user's pod is done at once after the commit, whatever
    ``USERPODS_INLINE_TIMEOUT`` says (with a task backend of the project's it is enqueued there),
    and no router is told. Afterwards all is as before.
    """
    from django.test.utils import override_settings

    name = f"test-{secrets.token_hex(8)}"
    cluster = {
        "BACKEND": "django_userpods.testing.MemoryCluster",
        "OPTIONS": {"name": name},
    }
    with override_settings(
        USERPODS_CLUSTER=cluster, USERPODS_ROUTERS=[], USERPODS_INLINE_TIMEOUT=_ENOUGH
    ):
        try:
            yield MemoryCluster(name=name)
        finally:
            MemoryCluster.reset(name)
