"""System checks of what the site has to have beside our settings. None of them connects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.http.request import validate_host
from django.urls import (
    NoReverseMatch,
    URLResolver,
    get_resolver,
    get_script_prefix,
    reverse,
)
from django.utils.module_loading import import_string

from django_userpods.conf import conf
from django_userpods.core.addresses import Way
from django_userpods.exceptions import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The URLs are not included.
URLS_ID = "userpods.W006"
#: The page where people sign in does not exist.
LOGIN_ID = "userpods.W007"
#: django-guardian's anonymous user would get a pod.
GUARDIAN_ID = "userpods.W008"
#: The site refuses requests at its own address, or what is posted there.
SITE_HOST_ID = "userpods.W015"
SITE_ORIGIN_ID = "userpods.W016"
#: A pattern of the project's comes before our URLs and takes them.
SHADOWED_ID = "userpods.W017"
#: What is wrong inside a profile.
PROFILE_ID = "userpods.E029"
#: The middleware that leads back to a pod is there, and pods have no addresses to lead back to.
BACK_TO_POD_ID = "userpods.W019"
#: Guests' browsers take what a shared pod's pages say for the site's own word.
SHARED_ORIGIN_ID = "userpods.W020"
_BACK_TO_POD = "django_userpods.middleware.BackToPodMiddleware"
#: What a route has beside a path: converters, regular expressions.
_NOT_PLAIN = frozenset("<>()[]{}^$\\*+?|")


def register() -> None:
    """Bind the checks; called once the app is ready."""
    checks.register(check_urls, "userpods")
    checks.register(check_login, "userpods")
    checks.register(check_anonymous_user, "userpods")
    checks.register(check_back_to_pod, "userpods")
    checks.register(check_guests_are_apart, "userpods")
    checks.register(check_profiles, "userpods")
    checks.register(check_site_is_served, "userpods", deploy=True)


def check_profiles(app_configs: Sequence[Any] | None = None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ANN401, ARG001
    """Compile the template of each profile of the settings, and say where it is invalid."""
    try:
        found = conf.USERPODS_PROFILES
    except SettingError:
        return []  # said of the setting
    if not found or isinstance(found, str):
        return []
    # What reads templates takes time to import, which no other start needs.
    from django_userpods.reconcile.wanted import problem_of

    return [
        checks.Error(
            f"The profile {slug!r} is invalid: {problem}",
            hint="Correct it in USERPODS_PROFILES at the place named.",
            id=PROFILE_ID,
        )
        for slug, profile in found.items()
        if (problem := problem_of(profile))
    ]


def check_urls(app_configs: Sequence[Any] | None = None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ANN401, ARG001
    """Find out that nothing leads to our pages, or to something else first."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []  # workers and the like have none
    ours = _our_views()
    patterns = get_resolver().url_patterns
    leaves = [leaf for leaf in _leaves(patterns) if id(leaf.view) in ours]
    if leaves:
        return _shadowed(leaves, patterns)
    return [
        checks.Warning(
            f"{settings.ROOT_URLCONF} does not include the URLs of django-userpods: nobody "
            "reaches their pod.",
            hint='Add path("", include("django_userpods.urls")) to urlpatterns.',
            id=URLS_ID,
        )
    ]


def _our_views(*, route_has: str = "") -> frozenset[int]:
    """Return the identities of our views: a project's own need not be hashable."""
    ours = import_string("django_userpods.urls.urlpatterns")
    return frozenset(id(one.callback) for one in ours if route_has in str(one.pattern))


def _shadowed(leaves: Iterable[_Leaf], patterns: Sequence[Any]) -> list[checks.CheckMessage]:
    taken: dict[str, str] = {}
    ours = _our_views()
    for leaf in leaves:
        if "<" in leaf.route:
            continue  # it takes arguments
        try:
            before = get_script_prefix()
            url = before + leaf.route if leaf.is_plain else reverse(leaf.name)
        except NoReverseMatch:
            continue
        others = ours - {id(leaf.view)}
        found = _first_match(patterns, url.removeprefix(before), others)
        if found is not None and found.view is not leaf.view:
            taken[url] = found.route
    if not taken:
        return []
    return [
        checks.Warning(
            f"In {settings.ROOT_URLCONF} the pattern {next(iter(taken.values()))!r} comes before "
            f"the URLs of django-userpods and takes of them: {', '.join(taken)}",
            hint='Put path("", include("django_userpods.urls")) first in urlpatterns.',
            id=SHADOWED_ID,
        )
    ]


class _Leaf(NamedTuple):
    """A pattern that leads to a view: its whole route and its whole name, as ``admin:login``."""

    route: str
    name: str
    view: Any

    @property
    def is_plain(self) -> bool:
        """Whether the route is a path as it stands, without arguments and regular expressions."""
        return not set(self.route) & _NOT_PLAIN


def _leaves(patterns: Iterable[Any], route: str = "", namespace: str = "") -> Iterable[_Leaf]:
    """Yield all patterns. Django's ``reverse`` compiles each first, which a start would feel."""
    for pattern in patterns:
        here = route + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inside = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _leaves(pattern.url_patterns, here, inside)
        else:
            yield _Leaf(here, f"{namespace}{pattern.name}", pattern.callback)


def _first_match(
    patterns: Iterable[Any], path: str, skipped: frozenset[int], route: str = ""
) -> _Leaf | None:
    """Return the pattern that takes a path, but for those of views that cannot be meant.

    Django's ``resolve`` compiles each that it passes, which a start would feel.
    """
    for pattern in patterns:
        here = f"{route}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            match = pattern.pattern.match(path)
            inside = match and _first_match(pattern.url_patterns, match[0], skipped, here)
            if inside:
                return inside
        elif id(pattern.callback) not in skipped and pattern.pattern.match(path):
            return _Leaf(here, pattern.name or "", pattern.callback)
    return None


def check_login(app_configs: Sequence[Any] | None = None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ANN401, ARG001
    """Find out that people would be sent to a page that is not there."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        url = conf.USERPODS_LOGIN_URL
    except SettingError:
        return []  # said by check_settings
    if _is_page(url):
        return []
    name = "USERPODS_LOGIN_URL" if hasattr(settings, "USERPODS_LOGIN_URL") else "LOGIN_URL"
    return [
        checks.Warning(
            f"{name} is {url!r}, which leads to no page of this site: whoever comes to a pod "
            "without being signed in is sent there.",
            hint="Name the page where your users sign in, as in LOGIN_URL = 'admin:login'.",
            id=LOGIN_ID,
        )
    ]


def _is_page(url: str) -> bool:
    """Tell whether the name or address of a login leads to a page of the site, or to another."""
    patterns = get_resolver().url_patterns
    if "/" not in url:
        if any(leaf.name == url and leaf.is_plain for leaf in _leaves(patterns)):
            return True
        try:
            url = reverse(url)
        except NoReverseMatch:
            return False
    parts = urlsplit(url)
    if parts.netloc:
        return True
    if not parts.path.startswith("/"):
        return False
    # None of ours with a pod's name in it is where people sign in.
    of_pods = _our_views(route_has="<")
    return _first_match(patterns, parts.path[1:], of_pods) is not None


def check_anonymous_user(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out that django-guardian's user for anonymous visitors would get a pod."""
    name = getattr(settings, "ANONYMOUS_USER_NAME", "AnonymousUser")
    if not apps.is_installed("guardian") or not name:
        return []
    model: Any = get_user_model()
    try:
        selected = conf.USERPODS_SELECT(model(**{model.USERNAME_FIELD: name}))
    except Exception:  # noqa: BLE001 - the project's own code, asked of a user who is none
        return []
    if not selected:
        return []
    return [
        checks.Warning(
            f"django-guardian's user {name!r} stands for visitors who are not signed in, and "
            "would get a pod.",
            hint="Leave it out, as by USERPODS_SELECT = django_userpods.selectors.not_named"
            f"({name!r}).",
            id=GUARDIAN_ID,
        )
    ]


def check_back_to_pod(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out that a middleware does nothing, since nobody comes to the login by way of Django."""
    try:
        where = conf.USERPODS_URL
    except SettingError:
        return []  # said by check_settings
    if where is not None or _BACK_TO_POD not in settings.MIDDLEWARE:
        return []
    return [
        checks.Warning(
            f"{_BACK_TO_POD} does nothing without USERPODS_URL: the router itself sends people to "
            "the login, with the pod's page in 'next'.",
            hint="Say in USERPODS_URL where pods are found. Otherwise have the login keep 'next', "
            "a path of this host, as Django's own does, and leave the middleware out.",
            id=BACK_TO_POD_ID,
        )
    ]


def check_guests_are_apart(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out that whoever shares a pod could act at the site as each of its guests."""
    try:
        where = conf.USERPODS_URL if conf.USERPODS_SHARING else None
    except SettingError:
        return []  # said by check_settings
    if where is None or where.way is not Way.PATHS:
        return []
    return [
        checks.Warning(
            "USERPODS_SHARING is True where pods are paths of the site's own host: scripts of a "
            "shared pod can do at the site what its guests may do there, in the admin, too.",
            hint="Give each pod a host of its own, as in 'https://{pod}.pods.example.org/'. "
            "Silence this check if you trust whoever can share a pod as much as every guest.",
            id=SHARED_ORIGIN_ID,
        )
    ]


def check_site_is_served(
    app_configs: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,  # noqa: ANN401
) -> list[checks.CheckMessage]:
    """Find out that Django refuses requests to the site's address, or what is posted there."""
    try:
        site = conf.USERPODS_SITE_URL
    except SettingError:
        return []  # said by check_settings
    if site is None:
        return []
    parts = urlsplit(site)
    origin = f"{parts.scheme}://{parts.netloc}"
    found: list[checks.CheckMessage] = []
    if not validate_host(parts.hostname or "", settings.ALLOWED_HOSTS):
        found.append(
            checks.Warning(
                f"ALLOWED_HOSTS {settings.ALLOWED_HOSTS!r} does not have the host of "
                f"USERPODS_SITE_URL {site}: every request there is refused with 400.",
                hint=f"Add {parts.hostname!r}.",
                id=SITE_HOST_ID,
            )
        )
    trusted = any(
        origin == one or ("*" in one and _matches(origin, one))
        for one in settings.CSRF_TRUSTED_ORIGINS
    )
    if parts.scheme == "https" and not settings.SECURE_PROXY_SSL_HEADER and not trusted:
        found.append(
            checks.Warning(
                f"Behind a proxy that ends TLS Django takes what is posted at {origin} for forged, "
                "signing in as well.",
                hint="Set SECURE_PROXY_SSL_HEADER, if your proxy sets that header itself, or add "
                f"{origin!r} to CSRF_TRUSTED_ORIGINS.",
                id=SITE_ORIGIN_ID,
            )
        )
    return found


def _matches(origin: str, pattern: str) -> bool:
    """Tell whether an origin is one of ``https://*.example.org``, as Django has it."""
    scheme, _, host = pattern.partition("://*")
    return origin.startswith(f"{scheme}://") and origin.endswith(host)
