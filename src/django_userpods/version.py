"""The version, where whatever imports nothing else of ours can read it."""

from __future__ import annotations

__version__ = "0.1.0.dev0"
