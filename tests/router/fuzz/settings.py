"""The test site as the fuzzer runs it: besides whoami, it says how it reads each request."""

from __future__ import annotations

from tests.router.site_settings import *  # noqa: F403 - settings build on settings

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tests.router.fuzz.reading.Reading",
]
