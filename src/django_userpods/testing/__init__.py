"""What the tests of a host project need, see ``docs/testing.md``: a cluster in memory.

``memory_cluster`` is for any test, ``pytest_plugin`` has the same as a fixture for pytest.
"""

from __future__ import annotations

from django_userpods.testing.environment import memory_cluster
from django_userpods.testing.memory import MemoryCluster
from django_userpods.testing.memory_store import Call

__all__ = ["Call", "MemoryCluster", "memory_cluster"]
