"""System checks: one stable id for each thing that can be wrong with the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, router
from django.http.request import validate_host
from django.utils.http import is_same_domain

from django_userpods import setting
from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.core.addresses import Way
from django_userpods.exceptions import ClusterError, SettingError, TemplateError
from django_userpods.models import UserPod
from django_userpods.version import DOCUMENTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.addresses import Addresses

#: The id of each setting's check; ids are never given a new meaning.
SETTING_IDS = {
    "USERPODS_IMAGE": "userpods.E001",
    "USERPODS_PORT": "userpods.E002",
    "USERPODS_ENV": "userpods.E003",
    "USERPODS_RESOURCES": "userpods.E004",
    "USERPODS_TEMPLATE": "userpods.E005",
    "USERPODS_CUSTOMIZE": "userpods.E006",
    "USERPODS_SELECT": "userpods.E007",
    "USERPODS_NAMESPACE": "userpods.E008",
    "USERPODS_NAME_PREFIX": "userpods.E009",
    "USERPODS_INSTANCE": "userpods.E010",
    "USERPODS_CLUSTER": "userpods.E011",
    "USERPODS_AUTHENTICATORS": "userpods.E012",
    "USERPODS_TOKEN_COOKIE": "userpods.E013",
    "USERPODS_LOGIN_URL": "userpods.E014",
    "USERPODS_INLINE_TIMEOUT": "userpods.E015",
    "USERPODS_IDLE_TIMEOUT": "userpods.E016",
    "USERPODS_RETAIN": "userpods.E017",
    "USERPODS_ROUTERS": "userpods.E018",
    "USERPODS_CACHE": "userpods.E019",
    "USERPODS_MAX_PODS": "userpods.E021",
    "USERPODS_QUEUE": "userpods.E022",
    "USERPODS_CONTROLLER": "userpods.E023",
    "USERPODS_MAX_AGE": "userpods.E024",
    "USERPODS_SELF_SERVICE": "userpods.E025",
    "USERPODS_SHARING": "userpods.E026",
    "USERPODS_ROLLOUT": "userpods.E027",
    "USERPODS_PROFILES": "userpods.E028",
    "USERPODS_URL": "userpods.E030",
    "USERPODS_SITE_URL": "userpods.E031",
}
#: What is wrong inside the template.
TEMPLATE_ID = "userpods.E020"
#: A setting of ours that is not one: a typing mistake would go unseen.
UNKNOWN_ID = "userpods.W001"
#: Pods' hosts and the site's are not as far apart as they could be.
SITE_IS_A_POD_ID = "userpods.E032"
COOKIE_DOMAIN_ID = "userpods.W011"
ALLOWED_HOSTS_ID = "userpods.W012"
TRUSTED_ORIGINS_ID = "userpods.W013"
SAMESITE_ID = "userpods.W014"
#: There are pods whose names begin otherwise than the router admits.
PREFIX_ID = "userpods.W003"
#: Tasks are taken and never run.
DUMMY_TASKS_ID = "userpods.W004"
#: What whoami remembers is each process' own, or nothing.
CACHE_ID = "userpods.W005"
#: The settings name no cluster that can be spoken to from here.
UNREACHABLE_ID = "userpods.W002"
#: No Kubernetes client is installed, or one that will not do.
CLIENT_ID = "userpods.W018"
_DUMMY_TASKS = frozenset(
    f"{package}.backends.dummy.DummyBackend" for package in ("django.tasks", "django_tasks")
)
_UNSHARED_CACHES = {
    "django.core.cache.backends.dummy.DummyCache": "remembers nothing",
    "django.core.cache.backends.locmem.LocMemCache": (
        "each process has for itself: who is signed out in one is let in by the others for some "
        "seconds more"
    ),
}


def register() -> None:
    """Bind the checks; called once the app is ready."""
    checks.register(check_settings, "userpods")
    checks.register(check_template, "userpods")
    checks.register(check_unknown, "userpods")
    checks.register(check_cluster_is_named, "userpods")
    checks.register(check_client_is_installed, "userpods")
    checks.register(check_tasks_are_run, "userpods")
    checks.register(check_cache_is_shared, "userpods", deploy=True)
    checks.register(check_site_and_pods_are_apart, "userpods")
    # Under no tag of ours: Django 6.1 asks all databases of whoever names a tag.
    checks.register(check_names_of_pods, checks.Tags.database)


def check_settings(app_configs: Sequence[Any] | None = None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ANN401, ARG001
    """Read each setting, and say what is wrong with it."""
    readers: dict[str, Callable[[], object]] = {
        name: lambda name=name: getattr(conf, name)  # type: ignore[misc]
        for name in SETTING_IDS
        if name not in ("USERPODS_IMAGE", "USERPODS_CLUSTER")
    }
    readers["USERPODS_CLUSTER"] = get_cluster
    if conf_uses_builtin_template():
        readers["USERPODS_IMAGE"] = lambda: conf.USERPODS_IMAGE
    found: list[checks.CheckMessage] = []
    for name, read in sorted(readers.items(), key=lambda item: SETTING_IDS[item[0]]):
        try:
            read()
        except SettingError as error:
            found.append(_error(error))
        except ClusterError as error:
            found.append(checks.Error(f"{name}: {error}", id=SETTING_IDS[name]))
    return found


def check_template(app_configs: Sequence[Any] | None = None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ANN401, ARG001
    """Compile the pod template, and say where it is invalid."""
    try:
        given = conf.USERPODS_TEMPLATE
    except SettingError:
        return []  # said by check_settings
    if given is None and _is_plain():
        return []
    # What reads templates takes time to import, which no other start needs.
    from django_userpods.core import naming, template
    from django_userpods.reconcile.wanted import base_manifests

    try:
        if not callable(given):
            template.compile_template(
                base_manifests(),
                installation=naming.InstallationIdentity("anybody", conf.USERPODS_INSTANCE),
            )
    except TemplateError as error:
        return [
            checks.Error(
                f"The pod template is invalid: {error}",
                hint="Correct USERPODS_TEMPLATE at the place named.",
                id=TEMPLATE_ID,
            )
        ]
    except SettingError as error:
        # Only the template's own settings are this check's business.
        return [_error(error)] if error.setting == "USERPODS_TEMPLATE" else []
    return []


def check_unknown(app_configs: Sequence[Any] | None = None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ANN401, ARG001
    """Find settings that begin like ours and are not."""
    return [
        checks.Warning(
            f"{name} is not a setting of django-userpods.",
            hint=setting.nearest(name, SETTING_IDS).strip()
            or f"Known are {', '.join(sorted(SETTING_IDS))}.",
            obj=name,
            id=UNKNOWN_ID,
        )
        for name in sorted(dir(settings))
        if name.startswith("USERPODS_") and name not in SETTING_IDS
    ]


def check_cluster_is_named(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out, without connecting, that no cluster can be spoken to.

    A warning and no error: migrations, or a machine that only runs tests, need no cluster.
    """
    return _cannot_be_made(
        lambda cluster: cluster.misconfiguration(),
        page=f"{DOCUMENTATION}/settings.md#options-of-the-kubernetes-cluster",
        check_id=UNREACHABLE_ID,
    )


def check_client_is_installed(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out that the cluster's client, an extra of ours, is not installed.

    A warning for the same reason as ``check_cluster_is_named``.
    """
    return _cannot_be_made(
        lambda cluster: cluster.lacks_client(),
        page=f"{DOCUMENTATION}/adopting.md#versions-of-the-kubernetes-client",
        check_id=CLIENT_ID,
    )


def _cannot_be_made(
    obstacle: Callable[[Cluster], str], *, page: str, check_id: str
) -> list[checks.CheckMessage]:
    """Warn of what stands in the way of every pod, where the cluster knows of something."""
    try:
        problem = obstacle(get_cluster())
    except (SettingError, ClusterError):
        return []  # said by check_settings
    if not problem:
        return []
    return [
        checks.Warning(
            f"User pods cannot be made from here: {problem}.",
            hint=f"See {page}",
            id=check_id,
        )
    ]


def check_tasks_are_run(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out that pods are asked for of a task backend that runs nothing."""
    try:
        if conf.USERPODS_QUEUE is not None or setting.task_backend() not in _DUMMY_TASKS:
            return []
    except SettingError:
        return []  # said by check_settings
    return [
        checks.Warning(
            "TASKS['default'] is a DummyBackend, which takes tasks and never runs them: "
            "pods are made by sync_userpods alone.",
            hint="Name a backend that runs tasks, or none: work is then done in the request, "
            "within USERPODS_INLINE_TIMEOUT.",
            id=DUMMY_TASKS_ID,
        )
    ]


def check_cache_is_shared(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out that ``USERPODS_CACHE`` names a cache that is of no use to whoami.

    At ``check --deploy``: one process on a developer's machine shares with nobody.
    """
    try:
        alias = conf.USERPODS_CACHE
    except SettingError:
        return []  # said by check_settings
    said = _UNSHARED_CACHES.get(settings.CACHES[alias].get("BACKEND", "")) if alias else None
    if said is None:
        return []
    return [
        checks.Warning(
            f"USERPODS_CACHE names CACHES[{alias!r}], which {said}.",
            hint="Name a cache that all processes share (Redis, memcached, the database), or leave "
            "the setting out.",
            id=CACHE_ID,
        )
    ]


def check_site_and_pods_are_apart(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out where a pod could speak for the site, or plant its cookies."""
    try:
        where, site = conf.USERPODS_URL, conf.USERPODS_SITE_URL
    except SettingError:
        return []  # said by check_settings
    if where is None:
        return []
    found: list[checks.CheckMessage] = []
    if settings.SESSION_COOKIE_SAMESITE in (False, "None"):
        found.append(
            checks.Warning(
                f"SESSION_COOKIE_SAMESITE is {settings.SESSION_COOKIE_SAMESITE!r}: pages of pods "
                "and of anybody else make requests to the site with its session.",
                hint="Leave it at 'Lax'.",
                id=SAMESITE_ID,
            )
        )
    if where.way is not Way.PATHS:
        found += _site_apart(where, site)
    return found


def _site_apart(where: Addresses, site: str | None) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    if site is None:
        found.append(
            checks.Error(
                "USERPODS_SITE_URL is not set, and USERPODS_URL leads to another host.",
                hint="Write where the site itself is, as in 'https://www.example.org/': people "
                "sign in there.",
                id=SETTING_IDS["USERPODS_SITE_URL"],
            )
        )
    elif where.covers(urlsplit(site).hostname or ""):
        found.append(
            checks.Error(
                f"USERPODS_SITE_URL {site} is the address of a pod, too (USERPODS_URL).",
                hint="Cookies tell hosts apart, but no ports: give pods a host of their own.",
                id=SITE_IS_A_POD_ID,
            )
        )
    sample = where.host if where.way is Way.ONE_HOST else f"pod{where.host}"
    for name in ("SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_DOMAIN"):
        domain = (getattr(settings, name) or "").lower().removeprefix(".")
        if domain and (f".{sample}".endswith(f".{domain}") or where.covers(domain)):
            found.append(
                checks.Warning(
                    f"{name} {domain!r} covers the hosts of pods: they are sent the cookie, and "
                    "can plant another.",
                    hint="Leave it out, unless you mean to share the session "
                    f"({DOCUMENTATION}/one-login.md). Silence this check then.",
                    id=COOKIE_DOMAIN_ID,
                )
            )
    allowed = settings.ALLOWED_HOSTS
    if validate_host(sample, allowed) or any(map(where.covers, allowed)):
        found.append(
            checks.Warning(
                f"ALLOWED_HOSTS {allowed!r} lets the site be reached at a pods' host.",
                hint="Name the site's own hosts alone.",
                id=ALLOWED_HOSTS_ID,
            )
        )
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        host = urlsplit(origin).netloc.partition(":")[0].lower()
        if where.covers(host) or (host[:1] == "*" and is_same_domain(sample, host[1:])):
            found.append(
                checks.Warning(
                    f"CSRF_TRUSTED_ORIGINS has {origin!r}: a page of a pod may post to the site.",
                    hint="Name no origin of a pod.",
                    id=TRUSTED_ORIGINS_ID,
                )
            )
    return found


def check_names_of_pods(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    databases: Sequence[str] | None = None,
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find pods that were named before ``USERPODS_NAME_PREFIX`` was changed.

    They keep their names, and a router that is told of the new prefix alone lets nobody through to
    them. Only where the database may be asked: at ``migrate`` and ``check --database``.
    """
    alias = router.db_for_write(UserPod)
    if alias not in (databases or ()):
        return []
    try:
        prefix = conf.USERPODS_NAME_PREFIX
        named = UserPod.objects.using(alias).exclude(name=None)
        others = named.exclude(name__startswith=prefix).order_by("name")
        count, first = others.count(), others.values_list("name", flat=True).first()
    except (SettingError, DatabaseError):
        return []  # the one is said by check_settings, and before the first migration there is none
    if not count:
        return []
    return [
        checks.Warning(
            f"{count} pods have names that do not begin with USERPODS_NAME_PREFIX ({prefix!r}), as "
            f"{first}.",
            hint="They keep the names that they were given, and have no address of their own where "
            "USERPODS_URL has {pod}. Set the prefix back, or delete these users' pods and let them "
            "be made anew.",
            id=PREFIX_ID,
        )
    ]


def _is_plain() -> bool:
    """Tell whether the project gives the built-in template nothing but an image and a port."""
    others = ("USERPODS_ENV", "USERPODS_RESOURCES")
    return not any(hasattr(settings, name) for name in others) and "{" not in str(
        getattr(settings, "USERPODS_IMAGE", "")
    )


def conf_uses_builtin_template() -> bool:
    """Tell whether the built-in template is in use: only that needs an image."""
    try:
        return conf.USERPODS_TEMPLATE is None
    except SettingError:
        return False


def _error(error: SettingError) -> checks.CheckMessage:
    return checks.Error(str(error), hint=error.hint or None, id=SETTING_IDS[error.setting])
