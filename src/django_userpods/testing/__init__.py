"""What the tests of a host project need: a cluster in memory."""

from __future__ import annotations

from django_userpods.testing.memory import Call, MemoryCluster

__all__ = ["Call", "MemoryCluster"]
