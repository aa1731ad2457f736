"""A Kubernetes home for every Django user."""

from __future__ import annotations

__version__ = "0.1.0.dev0"
