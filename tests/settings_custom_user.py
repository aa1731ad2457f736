"""The test project with a user model of its own."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.custom_user"]
AUTH_USER_MODEL = "custom_user.Person"
