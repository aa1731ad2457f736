"""What this project's settings say to the shipped manifests (``shipped.ProjectValues``)."""

from __future__ import annotations

import ipaddress
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse

from django_userpods.conf import conf, get_cluster
from django_userpods.core import naming, template
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind
from django_userpods.deploy import shipped
from django_userpods.exceptions import SettingError, TemplateError
from django_userpods.models import UserPod
from django_userpods.reconcile.wanted import TemplateSource, base_manifests, row_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Warn = Callable[[str], None]

#: Maximum number of users looked at to learn the kinds of a template that depends on the user.
_SAMPLE = 20


def values(
    *,
    django_namespace: str,
    host: str | None,
    site_image: str | None,
    site_paths: Collection[str] | None,
    gateway_class: str,
    private: Collection[str],
    extra_kinds: Collection[Kind],
    secrets: Mapping[str, str],
    warn: Warn,
) -> shipped.ProjectValues:
    """Return the project's values; ``warn`` is told what a person should know of them.

    What settings do not say is given: where Django is, the site's host (None: from
    ``ALLOWED_HOSTS``), the image of Django and the paths that are its own (None: as shipped and
    as ``LOGIN_URL`` and ``STATIC_URL`` need), kinds that no look at the template finds.

    Raises SettingError, TemplateError or ClusterError where the settings are invalid.
    """
    namespace = conf.USERPODS_NAMESPACE
    text = {
        "django-namespace": django_namespace,
        "host": host or _host(warn),
        "instance": conf.USERPODS_INSTANCE,
        "user-port": str(conf.USERPODS_PORT),
        "cluster-domain": get_cluster().cluster_domain,
        "name-prefix": conf.USERPODS_NAME_PREFIX,
        "gateway-class": gateway_class,
    }
    shared = False
    if isinstance(namespace, str):
        text["users-namespace"] = namespace
        shared = namespace in ("default", django_namespace) or namespace.startswith("kube-")
    if conf.USERPODS_TEMPLATE is None:
        text["user-image"] = conf.USERPODS_IMAGE
    if site_image:
        text["site-image"] = site_image
    login_url = _login_url()
    return shipped.ProjectValues(
        text=text,
        rules=_rules(extra_kinds, warn),
        everywhere=callable(namespace),
        shared=shared,
        private=private,
        lua=_lua(login_url, warn),
        site_paths=site_paths or _site_paths(login_url),
        secrets=secrets,
    )


def _host(warn: Warn) -> str:
    origins = [urlsplit(origin).hostname or "" for origin in settings.CSRF_TRUSTED_ORIGINS]
    for name in [*settings.ALLOWED_HOSTS, *origins]:
        if _is_public_name(name):
            return str(name).lower()
    default = shipped.DEFAULTS["host"]
    warn(f"neither ALLOWED_HOSTS nor --host names the site's host: {default} is written.")
    return default


def _is_public_name(name: object) -> bool:
    if not isinstance(name, str) or "." not in name or name.startswith("."):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return all(map(naming.is_valid_label, name.lower().split(".")))
    return False


# --- the router


def _login_url() -> str:
    try:
        return str(resolve_url(conf.USERPODS_LOGIN_URL))
    except NoReverseMatch as error:
        message = f"is {conf.USERPODS_LOGIN_URL!r}, which is no name of a URL"
        hint = "Give a URL, or the name of one in ROOT_URLCONF."
        raise SettingError(message, setting="USERPODS_LOGIN_URL", hint=hint) from error


def _lua(login_url: str, warn: Warn) -> dict[str, str | list[str]]:
    """Return the settings of the router's Lua that the project decides."""
    cookies = [
        settings.SESSION_COOKIE_NAME,
        settings.CSRF_COOKIE_NAME,
        "messages",
        conf.USERPODS_TOKEN_COOKIE,
    ]
    if "django.middleware.locale.LocaleMiddleware" in settings.MIDDLEWARE:
        cookies.append(settings.LANGUAGE_COOKIE_NAME)
    lua: dict[str, str | list[str]] = {
        "login_url": login_url,
        "cookies": list(dict.fromkeys(cookies)),
        "credential_cookies": [settings.SESSION_COOKIE_NAME, conf.USERPODS_TOKEN_COOKIE],
        "session_cookie": settings.SESSION_COOKIE_NAME,
    }
    try:
        lua["whoami_path"] = reverse("userpods:whoami")
        lua["waiting_path"] = reverse("userpods:waiting")
    except NoReverseMatch:
        warn(
            "the router will not work before ROOT_URLCONF has "
            'path("", include("django_userpods.urls")).'
        )
    return lua


def _site_paths(login_url: str) -> list[str]:
    """Return the paths that the router is to send to Django, as nginx's ``location`` has them."""
    paths = list(shipped.SITE_PATHS)
    for url in (login_url, settings.STATIC_URL or ""):
        parts = urlsplit(url)
        first, deep, _ = parts.path.lstrip("/").partition("/")
        if first and not parts.netloc:
            # A login page at the top of the site is one page, not a folder.
            path = f"/{first}/" if deep else f"= /{first}"
            if path not in paths:
                paths.append(path)
    return paths


# --- rights


def _rules(extra: Collection[Kind], warn: Warn) -> dict[Kind, frozenset[str]]:
    kinds = {*_template_kinds(warn), *extra}
    try:
        texts = set(UserPod.objects.order_by().values_list("kinds", flat=True).distinct())
    except DatabaseError as error:
        texts = set()
        warn(
            "the database cannot be read, so rights on kinds that earlier templates made are "
            f"left out: {str(error).strip()}"
        )
    former = {Kind.parse(text) for joined in texts for text in joined.split(",") if text}
    rules = shipped.rules_for(kinds, former=former - kinds, retain=conf.USERPODS_RETAIN)
    names = {kind.kind for kind in rules}
    if "Secret" in names:
        warn(
            "the pod template makes Secrets: Django gets to read every Secret of the namespace. "
            "Put nothing else's there."
        )
    if names & {"Role", "RoleBinding"}:
        warn(
            "the pod template makes Roles: the API server lets Django grant only rights that its "
            "own ServiceAccount has, so give it those too."
        )
    return rules


def _template_kinds(warn: Warn) -> set[Kind]:
    # Kinds do not depend on who we are, and the database may not be there yet.
    anybody = naming.Installation("anybody", conf.USERPODS_INSTANCE)
    desired = TemplateSource(anybody)
    if not callable(conf.USERPODS_TEMPLATE):
        kinds = set(template.compile_template(base_manifests(), installation=anybody).kinds)
    else:
        kinds = {DEPLOYMENT, SERVICE}
    if not desired.per_user:
        return kinds
    seen = 0
    try:
        users = get_user_model()._default_manager.all()  # noqa: SLF001 - Django's documented name
        for user in islice(users.iterator(), _SAMPLE):
            username = user.get_username()
            filling = row_values(
                naming.PodIdentity("anybody", str(user.pk)),
                name=naming.name_for(username, prefix=conf.USERPODS_NAME_PREFIX),
                namespace=conf.namespace_of(user),
                username=username,
                slot="",
                stopped=False,
                restarted_at=None,
            )
            kinds |= desired.template_for(user, filling).kinds
            seen += 1
    except (DatabaseError, TemplateError) as error:
        warn(f"the kinds that a user's template makes could not be found: {str(error).strip()}")
    warn(
        f"the template depends on the user: kinds were learnt from {seen} users. Add any others "
        "with --kind."
    )
    return kinds
