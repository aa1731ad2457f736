"""What this project's settings say of hosts, paths and cookies, for the router and the way in."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, URLResolver, get_resolver, reverse
from django.utils.translation import gettext

from django_userpods.access.addresses import SESSION_COOKIE, cookie_name
from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.core.addresses import Way
from django_userpods.deploy import shipped
from django_userpods.exceptions import ManifestError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from django_userpods.core.addresses import Addresses

    Warn = Callable[[str], None]

#: ``app_name`` of our URLs.
_APP = "userpods"


def site_host(option: str | None, warn: Warn) -> str:
    """Return the site's host name: that of ``USERPODS_SITE_URL``, of ``--host``, or a likely one.

    Raises SettingError or ManifestError where these contradict each other, or pods' address.
    """
    where, site = conf.USERPODS_URL, conf.USERPODS_SITE_URL
    named = urlsplit(site or "").hostname
    if option and named and option != named:
        message = gettext(
            "--host is %(host)s, and USERPODS_SITE_URL says %(site)s: leave --host out"
        )
        raise ManifestError(message % {"host": option, "site": site})
    is_apart = where is not None and where.way is not Way.PATHS
    if is_apart and site is None:
        message = "is not set, and USERPODS_URL leads to another host"
        hint = "Write where the site itself is, as in 'https://www.example.org/'."
        raise SettingError(message, setting="USERPODS_SITE_URL", hint=hint)
    host = named or option or _likely_host(where, warn)
    if where is not None and is_apart and where.covers(host):
        message = f"leads to the site's own host, {host}"
        hint = "Give pods another host: all of it is theirs."
        raise SettingError(message, setting="USERPODS_URL", hint=hint)
    return host


def check_way_in(groups: Collection[str], warn: Warn) -> None:
    """Refuse addresses that an Ingress or Gateway of ours cannot serve: they end TLS."""
    where, site = conf.USERPODS_URL, conf.USERPODS_SITE_URL
    ways_in = [group for group in groups if group in shipped.WAYS_IN]
    urls = [url for url in (shipped.text_of(where), site) if url]
    if not ways_in:
        return
    for setting, url in zip(("USERPODS_URL", "USERPODS_SITE_URL"), urls, strict=False):
        if url.startswith("http://"):
            message = f"begins with http://, and {' and '.join(ways_in)} would serve it over TLS"
            hint = "Write https://, or leave these out (--only)."
            raise SettingError(message, setting=setting, hint=hint)
        if (port := urlsplit(url).port) is not None:
            text = gettext(
                "%(setting)s names port %(port)s: let your ingress or gateway listen there."
            )
            warn(text % {"setting": setting, "port": port})


def _likely_host(where: Addresses | None, warn: Warn) -> str:
    origins = [urlsplit(origin).hostname or "" for origin in settings.CSRF_TRUSTED_ORIGINS]
    for name in [*settings.ALLOWED_HOSTS, *origins]:
        if _is_public_name(name) and not (where is not None and where.covers(name)):
            return str(name).lower()
    default = shipped.DEFAULTS["host"]
    text = gettext("neither ALLOWED_HOSTS nor --host names the site's host: %(host)s is written.")
    warn(text % {"host": default})
    return default


def _is_public_name(name: object) -> bool:
    if not isinstance(name, str) or "." not in name or name.startswith("."):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return all(map(naming.is_valid_label, name.lower().split(".")))
    return False


def login_url() -> str:
    """Return where browsers without credentials are sent."""
    try:
        return str(resolve_url(conf.USERPODS_LOGIN_URL))
    except NoReverseMatch as error:
        message = f"is {conf.USERPODS_LOGIN_URL!r}, which is not the name of a URL"
        hint = "Give a URL, or the name of one in ROOT_URLCONF."
        raise SettingError(message, setting="USERPODS_LOGIN_URL", hint=hint) from error


def lua(warn: Warn) -> dict[str, str | list[str]]:
    """Return the settings of the router's Lua that the project decides: see docs/router.md."""
    where = conf.USERPODS_URL
    found: dict[str, str | list[str]] = {
        "pods_url": shipped.text_of(where),
        "site_url": conf.USERPODS_SITE_URL or "",
        "login_url": login_url(),
        "cookies": _cookies(where),
        "credential_cookies": _credential_cookies(where),
        "session_cookie": settings.SESSION_COOKIE_NAME,
    }
    if any(getattr(one, "reads_authorization", False) for one in conf.USERPODS_AUTHENTICATORS):
        # What they read does not begin as our tokens do.
        found["token_prefix"] = ""
        warn(
            gettext(
                "an authenticator reads Authorization, so the router lets no pod have that header."
            )
        )
    namespace = next(_namespaces(get_resolver()), None)
    if namespace is not None:
        found["whoami_path"] = reverse(f"{namespace}:whoami")
        found["waiting_path"] = reverse(f"{namespace}:waiting")
    else:
        text = gettext("the router will not work before ROOT_URLCONF has %(line)s.")
        warn(text % {"line": 'path("", include("django_userpods.urls"))'})
    return found


def _namespaces(resolver: URLResolver, outer: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the names under which our URLs are included, however deep."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            inner = (*outer, pattern.namespace) if pattern.namespace else outer
            if pattern.app_name == _APP:
                yield ":".join(inner)
            else:
                yield from _namespaces(pattern, inner)


def _cookies(where: Addresses | None) -> list[str]:
    """Return the site's cookies that browsers send to pods, too: no pod sees or sets them.

    Those of our own on pods' hosts the router knows by itself.
    """
    domains = {
        settings.SESSION_COOKIE_NAME: settings.SESSION_COOKIE_DOMAIN,
        settings.CSRF_COOKIE_NAME: settings.CSRF_COOKIE_DOMAIN,
        "messages": settings.SESSION_COOKIE_DOMAIN,
    }
    if "django.middleware.locale.LocaleMiddleware" in settings.MIDDLEWARE:
        domains[settings.LANGUAGE_COOKIE_NAME] = settings.LANGUAGE_COOKIE_DOMAIN
    names = [name for name, domain in domains.items() if _is_shared(where, domain)]
    return list(dict.fromkeys([*names, conf.USERPODS_TOKEN_COOKIE]))


def _credential_cookies(where: Addresses | None) -> list[str]:
    names = [] if where is None or where.way is Way.PATHS else [cookie_name(SESSION_COOKIE)]
    if _is_shared(where, settings.SESSION_COOKIE_DOMAIN):
        names.append(settings.SESSION_COOKIE_NAME)
    return [*names, conf.USERPODS_TOKEN_COOKIE]


def _is_shared(where: Addresses | None, domain: str | None) -> bool:
    """Tell whether browsers send the site's cookies to pods, too: on one host, or by a domain."""
    if where is None or where.way is Way.PATHS:
        return True
    name = (domain or "").lower().removeprefix(".")
    sample = where.host if where.way is Way.ONE_HOST else f"pod{where.host}"
    return bool(name) and f".{sample}".endswith(f".{name}")


def site_paths() -> list[str]:
    """Return the paths that are Django's where it shares a host with pods at ``/``.

    As nginx's ``location`` has them: the shipped ones, and those of the login and static files.
    """
    paths = list(shipped.SITE_PATHS)
    for url in (login_url(), settings.STATIC_URL or ""):
        parts = urlsplit(url)
        first, deep, _ = parts.path.lstrip("/").partition("/")
        if first and not parts.netloc:
            # A login page at the top of the site is one page, not a folder.
            path = f"/{first}/" if deep else f"= /{first}"
            if path not in paths:
                paths.append(path)
    return paths
