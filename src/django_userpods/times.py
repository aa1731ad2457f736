"""Times for the database: aware, or naive where the project has ``USE_TZ = False``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

if TYPE_CHECKING:
    import datetime


def aware(at: datetime.datetime) -> datetime.datetime:
    """Return a time that can be compared with any other; a naive one is in ``TIME_ZONE``."""
    if timezone.is_aware(at):
        return at
    return timezone.make_aware(at, timezone.get_default_timezone())


def stored(at: datetime.datetime) -> datetime.datetime:
    """Return a time as columns and ``timezone.now()`` have it."""
    if settings.USE_TZ or timezone.is_naive(at):
        return at
    return timezone.make_naive(at, timezone.get_default_timezone())
