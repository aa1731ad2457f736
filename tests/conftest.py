"""Fixtures for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_userpods.testing import MemoryCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["tests.testcluster.fixtures"]


@pytest.fixture
def memory() -> Iterator[MemoryCluster]:
    """The in-memory cluster that the test settings name, empty."""
    MemoryCluster.reset()
    yield MemoryCluster()
    MemoryCluster.reset()
