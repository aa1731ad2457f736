"""The settings, read anew at each use so that ``override_settings`` just works.

Each property returns a valid value or raises SettingError, which says what to do;
``checks`` turns the same errors into system checks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings

from django_userpods import setting
from django_userpods.core import addresses, builtin, naming, rollout
from django_userpods.core.operations import FOR_USERS
from django_userpods.exceptions import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AbstractBaseUser

    from django_userpods.core.objects import Manifest
    from django_userpods.core.profile import Profile

    _Template = Callable[[AbstractBaseUser], list[Manifest]]
    _SecondsOf = Callable[[Any], float | None]
    _Customize = Callable[[list[Manifest], AbstractBaseUser], list[Manifest]]

DEFAULT_CLUSTER = {"BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster"}
DEFAULT_INSTANCE = "default"
#: What users can be let do by themselves with what is theirs.
SELF_SERVICE = (*map(str, FOR_USERS), "add", "profile", "delete", "tokens", "logs")
#: Of these, what they are not let do unless somebody says so: it needs rights in the cluster.
_UNLESS_SAID = frozenset({"logs"})
#: A token of RFC 9110 (5.6.2), as RFC 6265 (4.1.1) has a cookie's name.
_COOKIE_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
DEFAULT_AUTHENTICATORS = (
    "django_userpods.access.PodSessionAuthenticator",
    "django_userpods.access.SessionAuthenticator",
    "django_userpods.access.TokenAuthenticator",
)


def is_active(user: AbstractBaseUser) -> bool:
    """Tell whether a user gets a pod, as ``USERPODS_SELECT`` does by default."""
    return bool(user.is_active)


class Conf:
    """The settings of django-userpods by their names."""

    @property
    def USERPODS_IMAGE(self) -> str:
        """The image of the built-in template."""
        value = setting.get("USERPODS_IMAGE", None)
        if value is None:
            raise setting.invalid(
                "USERPODS_IMAGE", "is not set", "Name the image that each user's pod runs."
            )
        if not isinstance(value, str) or not value.strip() or value != value.strip():
            raise setting.invalid(
                "USERPODS_IMAGE", f"is {value!r}", "Name an image, as in 'example.org/app:1'."
            )
        return value

    @property
    def USERPODS_PORT(self) -> int:
        """The port that the app in the pod listens on, and its Service."""
        return setting.integer("USERPODS_PORT", 8000, least=1, most=65535)

    @property
    def USERPODS_ENV(self) -> dict[str, str]:
        """Environment variables of the built-in template's container."""
        value = setting.mapping("USERPODS_ENV", {})
        for name, text in value.items():
            if not isinstance(name, str) or not isinstance(text, str):
                hint = f"Write USERPODS_ENV = {{{str(name)!r}: {str(text)!r}}}."
                raise setting.invalid("USERPODS_ENV", f"{name!r}: {text!r} is not text", hint)
        return value

    @property
    def USERPODS_RESOURCES(self) -> dict[str, Any]:
        """Requests and limits of the built-in template's container."""
        value = setting.mapping("USERPODS_RESOURCES", builtin.RESOURCES)
        if unknown := sorted(set(value) - {"requests", "limits", "claims"}):
            hint = "It has 'requests' and 'limits', as a container's resources have."
            raise setting.invalid(
                "USERPODS_RESOURCES", f"has unknown keys {', '.join(unknown)}", hint
            )
        return value

    @property
    def USERPODS_TEMPLATE(self) -> list[Manifest] | Path | _Template | None:
        """The pod template: manifests, a YAML file, a callable, or None for the built-in one."""
        value = setting.get("USERPODS_TEMPLATE", None)
        if value is None or callable(value) or isinstance(value, Path):
            return cast("Path | _Template", value)
        if isinstance(value, list | tuple):
            return list(value)
        if isinstance(value, str):
            if value.endswith((".yaml", ".yml")) or "/" in value:
                return Path(value)
            return cast("_Template", setting.imported("USERPODS_TEMPLATE", value))
        hint = "Give a list of manifests, the path of a YAML file, or a dotted path to a callable."
        raise setting.invalid("USERPODS_TEMPLATE", f"is a {type(value).__name__}", hint)

    @property
    def USERPODS_CUSTOMIZE(self) -> _Customize | None:
        """What changes a user's manifests before they are used."""
        return cast("_Customize | None", setting.function("USERPODS_CUSTOMIZE", None))

    @property
    def USERPODS_PROFILES(self) -> dict[str, Profile] | str | None:
        """What users may choose from, by its slug; "database" for the admin's, None for nothing."""
        return setting.profiles("USERPODS_PROFILES")

    def has_profiles(self) -> bool:
        """Whether ``USERPODS_PROFILES`` says anything; as of ``has_rollout``."""
        return bool(setting.get("USERPODS_PROFILES", None))

    @property
    def USERPODS_SELECT(self) -> Callable[[AbstractBaseUser], bool]:
        """What tells whether a user gets a pod."""
        return setting.function("USERPODS_SELECT", is_active) or is_active

    @property
    def USERPODS_NAMESPACE(self) -> str | Callable[[AbstractBaseUser], str]:
        """The namespace of users' objects, or what tells it for one user."""
        value = setting.get("USERPODS_NAMESPACE", "default")
        if callable(value):
            return cast("Callable[[AbstractBaseUser], str]", value)
        if isinstance(value, str) and naming.is_valid_label(value):
            return value
        if isinstance(value, str) and "." in value:
            return cast(
                "Callable[[AbstractBaseUser], str]", setting.imported("USERPODS_NAMESPACE", value)
            )
        hint = "Give a namespace's name (a-z, 0-9 and '-'), or a dotted path to (user) -> str."
        raise setting.invalid("USERPODS_NAMESPACE", f"is {value!r}", hint)

    def namespace_of(self, user: AbstractBaseUser) -> str:
        """Return the namespace for one user; SettingError where the callable gives none."""
        namespace = self.USERPODS_NAMESPACE
        if isinstance(namespace, str):
            return namespace
        name = namespace(user)
        if not isinstance(name, str) or not naming.is_valid_label(name):
            hint = "A namespace's name is at most 63 of a-z, 0-9 and '-'."
            raise setting.invalid("USERPODS_NAMESPACE", f"gave {name!r} for user {user.pk}", hint)
        return name

    @property
    def USERPODS_NAME_PREFIX(self) -> str:
        """What the names of users' objects begin with."""
        value = setting.get("USERPODS_NAME_PREFIX", "user-")
        if not isinstance(value, str) or not naming.is_valid_prefix(value):
            hint = f"Up to {naming.MAX_PREFIX} of a-z, 0-9 and '-', a letter first, no '--'."
            raise setting.invalid("USERPODS_NAME_PREFIX", f"is {value!r}", hint)
        return value

    @property
    def USERPODS_INSTANCE(self) -> str:
        """What tells this project's objects from another's in the same cluster."""
        value = setting.get("USERPODS_INSTANCE", DEFAULT_INSTANCE)
        if not isinstance(value, str) or not value or not naming.is_valid_label_value(value):
            hint = "It becomes a label's value: up to 63 of A-Z, a-z, 0-9, '-', '_' and '.'."
            raise setting.invalid("USERPODS_INSTANCE", f"is {value!r}", hint)
        return value

    @property
    def USERPODS_CLUSTER(self) -> tuple[str, dict[str, Any], bool | None]:
        """``USERPODS_CLUSTER`` as (dotted path, options, whether tests may use it if it says)."""
        value = setting.get("USERPODS_CLUSTER", DEFAULT_CLUSTER)
        hint = "Write {'BACKEND': 'dotted.path', 'OPTIONS': {...}}."
        if not isinstance(value, dict) or not isinstance(value.get("BACKEND"), str):
            raise setting.invalid("USERPODS_CLUSTER", f"is {value!r}", hint)
        options = value.get("OPTIONS", {})
        if unknown := sorted(set(value) - {"BACKEND", "OPTIONS", "IN_TESTS"}):
            raise setting.invalid(
                "USERPODS_CLUSTER", f"has unknown keys {', '.join(unknown)}", hint
            )
        if not isinstance(options, dict):
            raise setting.invalid("USERPODS_CLUSTER", f"OPTIONS is {options!r}", hint)
        in_tests = value.get("IN_TESTS")
        if in_tests not in (True, False, None):
            raise setting.invalid(
                "USERPODS_CLUSTER", f"IN_TESTS is {in_tests!r}", "Give True or False."
            )
        return value["BACKEND"], options, in_tests

    @property
    def USERPODS_AUTHENTICATORS(self) -> list[Any]:
        """The authenticator objects, in order."""
        return setting.authenticators("USERPODS_AUTHENTICATORS", DEFAULT_AUTHENTICATORS)

    @property
    def USERPODS_URL(self) -> addresses.Addresses | None:
        """Where pods are found; None where they have no address of their own."""
        value = setting.get("USERPODS_URL", None)
        if value is None:
            return None
        hint = (
            "Write 'https://{pod}.pods.example.org/' (a host for each), 'https://app.example.org/'"
            " (one for all) or '/pods/{pod}/' (a path below the site)."
        )
        if not isinstance(value, str):
            raise setting.invalid("USERPODS_URL", f"is {value!r}", hint)
        site = self.USERPODS_SITE_URL
        try:
            return addresses.parse(value, site)
        except ValueError as error:
            raise setting.invalid("USERPODS_URL", f"is {value!r}: it {error}", hint) from error

    @property
    def USERPODS_SITE_URL(self) -> str | None:
        """The origin of the Django site itself, with a slash; None where nobody said."""
        value = setting.get("USERPODS_SITE_URL", None)
        if value is None:
            return None
        hint = "Write the site's own address without a path, as in 'https://www.example.org/'."
        if not isinstance(value, str):
            raise setting.invalid("USERPODS_SITE_URL", f"is {value!r}", hint)
        try:
            return addresses.parse_site(value).url("")
        except ValueError as error:
            raise setting.invalid("USERPODS_SITE_URL", f"is {value!r}: it {error}", hint) from error

    def url_of(self, name: str, *, slot: str = "") -> str:
        """Return the URL of the pod of this name, "" where it has none.

        On one host for all that is the main pod's alone: a further one cannot be told there.
        """
        where = self.USERPODS_URL
        label = addresses.label_of(name, prefix=self.USERPODS_NAME_PREFIX)
        if where is None or label is None or (slot and where.way is addresses.Way.ONE_HOST):
            return ""
        return where.url(label)

    def path_of(self, name: str) -> str:
        """Return the path at which the pod of this name is found: ``/``, or ``/pods/alice/``."""
        where = self.USERPODS_URL
        label = addresses.label_of(name, prefix=self.USERPODS_NAME_PREFIX)
        return "/" if where is None or label is None else where.path(label)

    @property
    def USERPODS_TOKEN_COOKIE(self) -> str:
        """The name of the cookie that may hold a token."""
        value = setting.get("USERPODS_TOKEN_COOKIE", "userpods_token")
        if not isinstance(value, str) or not re.fullmatch(_COOKIE_NAME, value):
            hint = "Give the name of a cookie: letters, digits, '-', '_', without blanks."
            raise setting.invalid("USERPODS_TOKEN_COOKIE", f"is {value!r}", hint)
        return value

    @property
    def USERPODS_LOGIN_URL(self) -> str:
        """Where a browser without credentials is sent, as a URL or the name of one."""
        return str(setting.get("USERPODS_LOGIN_URL", settings.LOGIN_URL))

    @property
    def USERPODS_INLINE_TIMEOUT(self) -> float:
        """Seconds that work without a task backend may take in a request; 0 for never."""
        return setting.number("USERPODS_INLINE_TIMEOUT", 2.0)

    @property
    def USERPODS_QUEUE(self) -> Any:  # noqa: ANN401 - a tasks.Queue, or None
        """What hands work to the project's workers; None for Django's tasks, or no queue."""
        return setting.function("USERPODS_QUEUE", None)

    @property
    def USERPODS_CONTROLLER(self) -> bool:
        """Whether ``run_userpods`` does the work: then nothing else speaks to the cluster."""
        return setting.flag("USERPODS_CONTROLLER", default=False)

    @property
    def USERPODS_IDLE_TIMEOUT(self) -> float | _SecondsOf | None:
        """Seconds without use after which a pod is stopped, or what tells it for a pod."""
        return cast(
            "float | _SecondsOf | None",
            setting.seconds("USERPODS_IDLE_TIMEOUT"),
        )

    @property
    def USERPODS_MAX_AGE(self) -> float | _SecondsOf | None:
        """Seconds after its start after which a pod is stopped, or what tells it for a pod."""
        return cast("float | _SecondsOf | None", setting.seconds("USERPODS_MAX_AGE"))

    def idle_timeout_of(self, pod: object) -> float | None:
        """Return how long one pod may be idle; SettingError where the callable gives nonsense."""
        return setting.seconds_of("USERPODS_IDLE_TIMEOUT", self.USERPODS_IDLE_TIMEOUT, pod)

    def max_age_of(self, pod: object) -> float | None:
        """Return how old one pod may get; SettingError where the callable gives nonsense."""
        return setting.seconds_of("USERPODS_MAX_AGE", self.USERPODS_MAX_AGE, pod)

    @property
    def USERPODS_ROLLOUT(self) -> rollout.Rule | None:
        """How a changed template reaches pods that run; None for all of them at once."""
        try:
            return rollout.parse(setting.get("USERPODS_ROLLOUT", None))
        except ValueError as error:
            hint = (
                "Write {'MAX_UNREADY': 10, 'MAX_FAILURES': 3} (whole numbers from 1), "
                "{'WHEN': 'next start'}, or None for all at once."
            )
            raise setting.invalid("USERPODS_ROLLOUT", str(error), hint) from error

    def has_rollout(self) -> bool:
        """Whether ``USERPODS_ROLLOUT`` says anything; an invalid one is for the check to tell."""
        try:
            return self.USERPODS_ROLLOUT is not None
        except SettingError:
            return False

    @property
    def USERPODS_MAX_PODS(self) -> int | Callable[[AbstractBaseUser], int]:
        """The maximum number of pods of one user, or what tells it for a user."""
        value = setting.get("USERPODS_MAX_PODS", 1)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        if callable(value):
            return cast("Callable[[AbstractBaseUser], int]", value)
        if isinstance(value, str):
            return cast(
                "Callable[[AbstractBaseUser], int]", setting.imported("USERPODS_MAX_PODS", value)
            )
        hint = "Give a whole number from 1, or a dotted path to (user) -> int."
        raise setting.invalid("USERPODS_MAX_PODS", f"is {value!r}", hint)

    def max_pods_of(self, user: AbstractBaseUser) -> int:
        """Return the maximum for one user; SettingError where the callable gives none."""
        limit = self.USERPODS_MAX_PODS
        if not callable(limit):
            return limit
        number = limit(user)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            hint = "It has to return a whole number from 1."
            raise setting.invalid("USERPODS_MAX_PODS", f"gave {number!r} for user {user.pk}", hint)
        return number

    @property
    def USERPODS_SELF_SERVICE(self) -> frozenset[str]:
        """What users may do with what is theirs on the page "My pods"; see ``SELF_SERVICE``."""
        default = [what for what in SELF_SERVICE if what not in _UNLESS_SAID]
        value = setting.get("USERPODS_SELF_SERVICE", default)
        hint = f"Give a list of {', '.join(SELF_SERVICE)}; an empty one for nothing."
        if not setting.is_list_of_text(value):
            raise setting.invalid("USERPODS_SELF_SERVICE", f"is {value!r}", hint)
        if unknown := sorted(set(value) - set(SELF_SERVICE)):
            raise setting.invalid("USERPODS_SELF_SERVICE", f"has {', '.join(unknown)}", hint)
        return frozenset(value)

    @property
    def USERPODS_SHARING(self) -> bool:
        """Whether a pod may be shared; SettingError where pods have no addresses of their own."""
        value = setting.flag("USERPODS_SHARING", default=False)
        try:
            where = self.USERPODS_URL
        except SettingError:
            return False  # that setting's own check says so
        if value and (where is None or where.way is addresses.Way.ONE_HOST):
            message = "is True, and pods have no addresses of their own: who asks decides which"
            hint = "Write {pod} into USERPODS_URL, as in 'https://{pod}.pods.example.org/'."
            raise setting.invalid("USERPODS_SHARING", message, hint)
        return value

    @property
    def USERPODS_RETAIN(self) -> frozenset[str]:
        """The kinds that are kept when a user is deleted."""
        value = setting.get("USERPODS_RETAIN", ["PersistentVolumeClaim"])
        if not setting.is_list_of_text(value):
            raise setting.invalid("USERPODS_RETAIN", f"is {value!r}", "Give a list of kinds.")
        return frozenset(value)

    @property
    def USERPODS_ROUTERS(self) -> list[str]:
        """Base URLs of the routers' internal port, told when cached answers are void."""
        value = setting.get("USERPODS_ROUTERS", [])
        if not setting.is_list_of_text(value) or not all(
            url.startswith("http://") for url in value
        ):
            hint = "Give a list of URLs, as in ['http://userpods-router-internal:8081']."
            raise setting.invalid("USERPODS_ROUTERS", f"is {value!r}", hint)
        return list(value)

    @property
    def USERPODS_CACHE(self) -> str | None:
        """The alias in ``CACHES`` that whoami may use, or None. It must be shared by all."""
        value = setting.get("USERPODS_CACHE", None)
        if value is not None and (not isinstance(value, str) or value not in settings.CACHES):
            hint = f"CACHES has {', '.join(sorted(settings.CACHES))}."
            raise setting.invalid("USERPODS_CACHE", f"is {value!r}, which is not in CACHES", hint)
        return value


conf = Conf()
