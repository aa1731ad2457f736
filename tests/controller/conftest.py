"""Fixtures that files of this folder share."""

from __future__ import annotations

from tests.controller.unused import old, routers

__all__ = ["old", "routers"]
