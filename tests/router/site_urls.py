"""URLs of a site that takes its time to log somebody out."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.signals import user_logged_out

from tests.urls import urlpatterns

__all__ = ["urlpatterns"]


def take_time(**_: Any) -> None:
    """As a receiver does that writes an audit log elsewhere. The session is still there."""
    time.sleep(0.5)


# URLs are imported after all apps are ready, so this is heard after our own receiver.
user_logged_out.connect(take_time)
