"""The site of `site_settings` with a host for each pod, as the example project has its cookies."""

from __future__ import annotations

from tests.router.site_settings import *  # noqa: F403 - settings build on settings

# The first is the router's own word for the site.
ALLOWED_HOSTS = ["site.test", "www.example.org"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
USERPODS_URL = "https://{pod}.pods.example.org/"
USERPODS_SITE_URL = "https://www.example.org/"
USERPODS_MAX_PODS = 3
# What is tried here is tried where pods may be shared.
USERPODS_SHARING = True
