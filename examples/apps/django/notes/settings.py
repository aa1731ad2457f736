"""Settings of the notes. What a Django site has to know of its pod's address is in the first part.

Every pod has its own database and its own accounts, none of which are the site's that the pod
belongs to. On a host of its own it may have Django's usual names of cookies, too.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

#: The pod's own URL; on the third way without a host where nobody said what the site's is.
URL = urlsplit(os.environ.get("USERPODS_URL", ""))
PATH = os.environ.get("USERPODS_PATH", "/")
HOME = Path(os.environ.get("HOME", "."))

# The router hands Host on as it came, and sends nothing here that is not for this pod.
ALLOWED_HOSTS = [URL.hostname] if URL.hostname else ["*"]
# Forms come from the address that people see, whatever the scheme is between router and pod.
CSRF_TRUSTED_ORIGINS = [f"{URL.scheme}://{URL.netloc}"] if URL.hostname else []
# Nobody but the router writes this header, and nobody but the router reaches the pod.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = URL.scheme == "https"
# Below the site's own host the path is a prefix, which Django puts before every URL that it makes,
# and the site's cookies are Django's usual ones: names and paths of our own keep out of their way.
FORCE_SCRIPT_NAME = PATH.rstrip("/") or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = PATH
if FORCE_SCRIPT_NAME:
    SESSION_COOKIE_NAME = "notes_sessionid"
    CSRF_COOKIE_NAME = "notes_csrftoken"

# The pod's home is a volume: what is in it outlives the pod.
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HOME / "notes.sqlite3"}}
_KEY = HOME / "secret_key"
if not _KEY.exists():
    _KEY.touch(0o600)
    _KEY.write_text(secrets.token_urlsafe(50))
SECRET_KEY = _KEY.read_text()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "notes",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "notes.urls"
WSGI_APPLICATION = "notes.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
# With the prefix: a relative one is completed before the first request says what the prefix is.
STATIC_URL = f"{PATH}static/"
WHITENOISE_USE_FINDERS = True
TIME_ZONE = "UTC"
USE_TZ = True
