"""What this project's settings say to the shipped manifests (``shipped.ProjectValues``)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.utils.translation import gettext

from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.core import naming, template
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind
from django_userpods.deploy import rights, routing, shipped
from django_userpods.exceptions import ManifestError, TemplateError
from django_userpods.models import UserPod
from django_userpods.reconcile.wanted import TemplateSource, base_manifests, row_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Warn = Callable[[str], None]

#: Maximum number of users looked at to learn the kinds of a template that depends on the user.
_SAMPLE = 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """What settings do not say, and a person may.

    ``host`` is the site's (None: from ``USERPODS_SITE_URL`` or ``ALLOWED_HOSTS``), ``site_image``
    the image of Django, ``site_paths`` the paths that are Django's where pods are at ``/`` of its
    host (None: as shipped and as ``LOGIN_URL`` and ``STATIC_URL`` need), ``private`` addresses
    (CIDR) that users' pods may not reach, ``kinds`` those that no look at the template finds,
    ``monitoring_namespace`` where Prometheus and Grafana are.
    """

    django_namespace: str = shipped.DEFAULTS["django-namespace"]
    host: str | None = None
    site_image: str | None = None
    site_paths: Collection[str] | None = None
    gateway_class: str = shipped.DEFAULTS["gateway-class"]
    gateway_namespace: str | None = None
    monitoring_namespace: str = shipped.DEFAULTS["monitoring-namespace"]
    private: Collection[str] = ()
    kinds: Collection[Kind] = ()


def values(
    groups: Collection[str], options: Options, *, secrets: Mapping[str, str], warn: Warn
) -> shipped.ProjectValues:
    """Return the project's values for ``groups``; ``warn`` is told what a person should know.

    ``secrets`` are the texts of the example's Secrets by key. Raises SettingError, TemplateError,
    ClusterError or ManifestError where something is invalid or does not fit the rest.
    """
    where, namespace = conf.USERPODS_URL, conf.USERPODS_NAMESPACE
    if options.site_paths and where is not None:
        message = gettext(
            "--site-path is for pods at / of the site's own host. With USERPODS_URL all of the "
            "site's host is Django's but pods' addresses: leave it out"
        )
        raise ManifestError(message)
    routing.check_way_in(groups, warn)
    # No file has it, but pods would be named by it: an invalid one is said here as well.
    _ = conf.USERPODS_NAME_PREFIX
    return shipped.ProjectValues(
        text=_text(options, warn),
        where=where,
        rules=rules(options.kinds, warn),
        everywhere=callable(namespace),
        shared=isinstance(namespace, str) and _is_shared(namespace, options.django_namespace),
        private=options.private,
        lua=routing.lua(warn),
        site_paths=(options.site_paths or routing.site_paths()) if where is None else (),
        gateway_namespace=options.gateway_namespace or "",
        secrets=secrets,
    )


def _text(options: Options, warn: Warn) -> dict[str, str]:
    """Return what fills marks, as far as it is known, keyed as ``shipped.DEFAULTS`` is."""
    namespace = conf.USERPODS_NAMESPACE
    found = {
        "django-namespace": options.django_namespace,
        "host": routing.site_host(options.host, warn),
        "instance": conf.USERPODS_INSTANCE,
        "user-port": str(conf.USERPODS_PORT),
        "cluster-domain": get_cluster().cluster_domain,
        "gateway-class": options.gateway_class,
        "monitoring-namespace": options.monitoring_namespace,
        "users-namespace": namespace if isinstance(namespace, str) else None,
        "user-image": conf.USERPODS_IMAGE if conf.USERPODS_TEMPLATE is None else None,
        "site-image": options.site_image,
        "site-url": conf.USERPODS_SITE_URL,
    }
    return {name: text for name, text in found.items() if text}


def _is_shared(namespace: str, django_namespace: str) -> bool:
    """Tell whether a namespace is not for users' pods alone."""
    return namespace in ("default", django_namespace) or namespace.startswith("kube-")


# --- rights


def rules(extra: Collection[Kind], warn: Warn) -> dict[Kind, frozenset[str]]:
    """Return the verbs that Django needs for each kind of its pods' objects, past ones too.

    Raises SettingError or TemplateError where the template is invalid.
    """
    kinds = {*_template_kinds(warn), *extra}
    try:
        texts = set(UserPod.objects.order_by().values_list("kinds", flat=True).distinct())
    except DatabaseError as error:
        texts = set()
        text = gettext(
            "the database cannot be read, so rights on kinds that earlier templates made are "
            "left out: %(error)s"
        )
        warn(text % {"error": str(error).strip()})
    former = {Kind.parse(text) for joined in texts for text in joined.split(",") if text}
    found = rights.rules_for(kinds, former=former - kinds, retain=conf.USERPODS_RETAIN)
    names = {kind.kind for kind in found}
    if "Secret" in names:
        warn(
            gettext(
                "the pod template makes Secrets: Django gets to read every Secret of the "
                "namespace. Put nothing else's there."
            )
        )
    if names & {"Role", "RoleBinding"}:
        warn(
            gettext(
                "the pod template makes Roles: the API server lets Django grant only rights that "
                "its own ServiceAccount has, so give it those too."
            )
        )
    return found


def _kinds_of_profiles(desired: TemplateSource, warn: Warn) -> set[Kind]:
    found: set[Kind] = set()
    try:
        profiles = desired.profiles
    except DatabaseError as error:
        text = gettext("the profiles in the database cannot be read: %(error)s")
        warn(text % {"error": str(error).strip()})
        return found
    for slug, profile in profiles.items():
        if callable(conf.USERPODS_TEMPLATE) and profile.template is None:
            continue  # those of the users' own templates
        try:
            found |= desired.shared_by(slug, None).kinds
        except TemplateError as error:
            text = gettext("the kinds of a profile could not be found: %(error)s")
            warn(text % {"error": error})
    return found


def _template_kinds(warn: Warn) -> set[Kind]:
    # Kinds do not depend on who we are, and the database may not be there yet.
    anybody = naming.InstallationIdentity("anybody", conf.USERPODS_INSTANCE)
    desired = TemplateSource(anybody)
    if not callable(conf.USERPODS_TEMPLATE):
        kinds = set(template.compile_template(base_manifests(), installation=anybody).kinds)
    else:
        kinds = {DEPLOYMENT, SERVICE}
    kinds |= _kinds_of_profiles(desired, warn)
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
        text = gettext("the kinds that a user's template makes could not be found: %(error)s")
        warn(text % {"error": str(error).strip()})
    text = gettext(
        "the template depends on the user: kinds were learnt from %(count)s users. Add any others "
        "with --kind."
    )
    warn(text % {"count": seen})
    return kinds
