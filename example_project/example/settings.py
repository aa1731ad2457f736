"""Settings of the example project, from environment variables or a ``.env`` file beside manage.py.

With nothing set it is a site for one machine: SQLite, the local cluster, ``DEBUG``. In Kubernetes
set at least ``DEBUG=off``, ``SECRET_KEY``, ``ALLOWED_HOSTS``, ``CSRF_TRUSTED_ORIGINS``,
``USERPODS_URL``, ``USERPODS_SITE_URL``, ``K8S_NAMESPACE`` and ``USER_APP_IMAGE``; ``DATABASE_URL``
as soon as there are two of it. ``ALLOWED_HOSTS`` are the site's own: never a pod's.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")
#: Where the site keeps its files: the SQLite database and the local cluster's state.
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "data")))

# Debugging is for a developer's machine: where a namespace is given it has to be asked for.
DEBUG = env.bool("DEBUG", default="K8S_NAMESPACE" not in env.ENVIRON)
SECRET_KEY = env.str("SECRET_KEY", default="insecure, for development alone" if DEBUG else "")
if not SECRET_KEY:
    msg = "SECRET_KEY is not set: give a long random text (a default exists with DEBUG alone)"
    raise ImproperlyConfigured(msg)
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else []
)
#: Origins that people sign in at, with scheme and port: ``https://site.example``.
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "example.admin_config.ExampleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "axes",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_userpods",
    "example",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # Pages and the admin in the language of the browser: English or Chinese.
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Every view is for people who signed in, unless it says otherwise.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "example.urls"
WSGI_APPLICATION = "example.wsgi.application"
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
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Several processes write to it: wait for each other, and let readers read meanwhile.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        timeout=20, transaction_mode="IMMEDIATE", init_command="PRAGMA journal_mode=WAL"
    )
    if DATABASES["default"]["NAME"] != ":memory:":
        Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
else:
    # Kept open, one for each thread: a request, and so a whoami, waits neither for a name (five
    # seconds where one DNS packet is lost) nor for PostgreSQL's costly check of the password.
    DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
    DATABASES["default"].setdefault("CONN_HEALTH_CHECKS", True)
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        # One that is gone without a word must not hold requests, and with them all threads.
        DATABASES["default"]["OPTIONS"] = {
            "connect_timeout": 5,  # seconds
            "tcp_user_timeout": 5000,  # milliseconds
            **DATABASES["default"].get("OPTIONS", {}),
        }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Five wrong passwords for an account from one source, and that source waits five minutes before it
# may try this account again. django-axes keeps count in the database, so for all processes, of
# every login that there is (page, admin, API), and forgets what is older.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = datetime.timedelta(minutes=5)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "example.throttle.source"
AXES_LOCKOUT_CALLABLE = "example.throttle.refuse"
#: Where the client's address stands: the router sets X-Real-IP. Empty: nobody is in front.
CLIENT_ADDRESS_HEADER = env.str(
    "CLIENT_ADDRESS_HEADER", default="HTTP_X_REAL_IP" if "K8S_NAMESPACE" in env.ENVIRON else ""
)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
# Behind the router this is the user's own pod; without one it is the account page.
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en-us"
# Those that all pages have, so that none is half in another one.
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "static"))
# Without DEBUG, collectstatic makes files with the hash of their content in the name.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# TLS ends in front of the site, at an ingress or gateway that sets X-Forwarded-Proto; the router
# removes what clients say there. HTTPS=off is for a network without TLS, and nothing else.
HTTPS = env.bool("HTTPS", default=not DEBUG)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
#: ``example.org``: one session for login.example.org and app.example.org. See docs/addresses.md for
#: when that will do.
SESSION_COOKIE_DOMAIN = env.str("SESSION_COOKIE_DOMAIN", default="") or None
# A prefix that keeps every other host from setting them, pods' and siblings' (RFC 6265bis, 4.1.3).
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS and not SESSION_COOKIE_DOMAIN else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("HSTS_INCLUDE_SUBDOMAINS", default=HTTPS)
SECURE_HSTS_PRELOAD = env.bool("HSTS_PRELOAD", default=HTTPS)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
# Probes and the router speak plain HTTP inside the cluster.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^whoami$"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}

# Where users' pods run: processes on this machine until a namespace is given.
CLUSTER_KIND = env.str(
    "USERPODS_CLUSTER", default="kubernetes" if env.str("K8S_NAMESPACE", default="") else "local"
)
USERPODS_NAMESPACE = env.str("K8S_NAMESPACE", default="") or "default"
USERPODS_IMAGE = env.str("USER_APP_IMAGE", default="django-userpods-example-workload:latest")
USERPODS_PORT = env.int("USER_APP_PORT", default=8000)
#: The path of a pod template (``examples/apps``), in place of image and port.
USERPODS_TEMPLATE = env.str("USER_APP_TEMPLATE", default="") or None
#: Where pods are found, and the site: ``https://{pod}.pods.example.org/`` and
#: ``https://userpods.example.org/``. Without, pods are at ``/`` of the site's own host.
USERPODS_URL = env.str("USERPODS_URL", default="") or None
USERPODS_SITE_URL = env.str("USERPODS_SITE_URL", default="") or None
#: For the example workload's link to the account page.
USERPODS_ENV = {"SITE_URL": USERPODS_SITE_URL} if USERPODS_SITE_URL else {}
USERPODS_CONTROLLER = env.bool("USERPODS_CONTROLLER", default=False)
#: ``database``: users choose from the profiles that are made in the admin.
USERPODS_PROFILES = env.str("USERPODS_PROFILES", default="") or None
#: Whether owners with the permission share their pods; needs ``{pod}`` in ``USERPODS_URL``.
USERPODS_SHARING = env.bool("USERPODS_SHARING", default=False)
USERPODS_INSTANCE = env.str("USERPODS_INSTANCE", default="default")
#: Internal addresses of the routers, ``http://userpods-router-internal:8081``.
USERPODS_ROUTERS = env.list("USERPODS_ROUTERS", default=[])
#: Seconds after which a pod that nobody uses is stopped, where a controller runs.
USERPODS_IDLE_TIMEOUT = env.float("USERPODS_IDLE_TIMEOUT", default=0) or None
if CLUSTER_KIND == "local":
    USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.local.LocalCluster",
        "OPTIONS": {
            "state_dir": str(DATA_DIR / "pods"),
            # A JSON list of words; a template's own command goes before it.
            "command": env.json("USER_APP_COMMAND", default=None)
            or [sys.executable, str(BASE_DIR / "workload.py"), "--host", "127.0.0.1"],
        },
    }
elif CLUSTER_KIND == "kubernetes":
    USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        # In a pod its service account; elsewhere the context has to be named.
        "OPTIONS": {"context": context} if (context := env.str("KUBE_CONTEXT", default="")) else {},
    }
else:
    msg = f"USERPODS_CLUSTER is {CLUSTER_KIND!r}: it can be 'local' or 'kubernetes'"
    raise ImproperlyConfigured(msg)
