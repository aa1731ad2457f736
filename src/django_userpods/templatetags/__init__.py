"""Template tags, for our own templates."""

from __future__ import annotations
