"""The test project as it runs under gunicorn behind the router: a database file, real purges."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403 - settings build on settings

DATABASES["default"]["NAME"] = os.environ["SITE_DATABASE"]  # noqa: F405 - from above
ALLOWED_HOSTS = ["site.test"]
LOGIN_URL = "/admin/login/"
USERPODS_ROUTERS = os.environ["SITE_ROUTER"].split()
ROOT_URLCONF = os.environ.get("SITE_URLS", "tests.urls")
# 0 where pods are at addresses of the test's, which the cluster in memory knows nothing of.
USERPODS_INLINE_TIMEOUT = float(os.environ.get("SITE_INLINE_TIMEOUT", "2"))
USERPODS_URL = os.environ.get("SITE_PODS") or None
if USERPODS_URL:
    USERPODS_SITE_URL = os.environ.get("SITE_URL") or "https://site.test/"
    # As TLS that ends in front has it.
    CSRF_TRUSTED_ORIGINS = ["https://site.test"]
if shared := os.environ.get("SITE_COOKIE_DOMAIN"):
    SESSION_COOKIE_DOMAIN = shared
if location := os.environ.get("SITE_CACHE"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": location,
        }
    }
    USERPODS_CACHE = "default"
