"""Fixtures for the tests of the Django side."""

from __future__ import annotations

import pytest

from django_userpods import tasks


@pytest.fixture(autouse=True)
def _no_pause() -> None:
    """Let no test suffer from an earlier one's cluster that was down."""
    tasks.forget_pause()
