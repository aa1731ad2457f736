"""The example project: a small real site whose users have pods."""

from __future__ import annotations
