"""What this project's settings say to the shipped manifests (``shipped.ProjectValues``)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import DatabaseError

from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.core import naming, template
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind
from django_userpods.deploy import routing, shipped
from django_userpods.exceptions import ManifestError, TemplateError
from django_userpods.models import UserPod
from django_userpods.reconcile.wanted import TemplateSource, base_manifests, row_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Warn = Callable[[str], None]

#: Maximum number of users looked at to learn the kinds of a template that depends on the user.
_SAMPLE = 20


def values(
    *,
    groups: Collection[str],
    django_namespace: str,
    host: str | None,
    site_image: str | None,
    site_paths: Collection[str] | None,
    gateway_class: str,
    gateway_namespace: str,
    private: Collection[str],
    extra_kinds: Collection[Kind],
    secrets: Mapping[str, str],
    warn: Warn,
) -> shipped.ProjectValues:
    """Return the project's values for ``groups``; ``warn`` is told what a person should know.

    What settings do not say is given: where Django is, the site's host (None: from
    ``USERPODS_SITE_URL`` or ``ALLOWED_HOSTS``), the image of Django, the paths that are its own
    where pods are at ``/`` of its host (None: as shipped and as ``LOGIN_URL`` and ``STATIC_URL``
    need), the namespace of the gateway (""), kinds that no look at the template finds.

    Raises SettingError, TemplateError, ClusterError or ManifestError where something is invalid
    or does not fit the rest.
    """
    where = conf.USERPODS_URL
    if site_paths and where is not None:
        message = (
            "--site-path is for pods at / of the site's own host. With USERPODS_URL all of the "
            "site's host is Django's but pods' addresses: leave it out"
        )
        raise ManifestError(message)
    routing.check_way_in(groups, warn)
    # No file has it, but pods would be named by it: an invalid one is said here as well.
    _ = conf.USERPODS_NAME_PREFIX
    namespace = conf.USERPODS_NAMESPACE
    text = {
        "django-namespace": django_namespace,
        "host": routing.site_host(host, warn),
        "instance": conf.USERPODS_INSTANCE,
        "user-port": str(conf.USERPODS_PORT),
        "cluster-domain": get_cluster().cluster_domain,
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
    if conf.USERPODS_SITE_URL is not None:
        text["site-url"] = conf.USERPODS_SITE_URL
    return shipped.ProjectValues(
        text=text,
        where=where,
        rules=_rules(extra_kinds, warn),
        everywhere=callable(namespace),
        shared=shared,
        private=private,
        lua=routing.lua(warn),
        site_paths=(site_paths or routing.site_paths()) if where is None else (),
        gateway_namespace=gateway_namespace,
        secrets=secrets,
    )


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
    anybody = naming.InstallationIdentity("anybody", conf.USERPODS_INSTANCE)
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
