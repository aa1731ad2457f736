"""The fixture ``userpods_cluster``; pytest finds it by itself where django-userpods is installed.

Imports nothing of Django before a test asks for the fixture, and needs no pytest-django.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_userpods.testing.environment import memory_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing.memory import MemoryCluster


@pytest.fixture
def userpods_cluster() -> Iterator[MemoryCluster]:
    """A fresh cluster in memory, which the settings name for as long as the test lasts."""
    with memory_cluster() as cluster:
        yield cluster
