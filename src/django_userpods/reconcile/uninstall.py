"""Taking everything of this installation out of the cluster, once somebody has seen what it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Ref
from django_userpods.exceptions import ClusterError, UserpodsError
from django_userpods.reconcile.lists import whole_list
from django_userpods.reconcile.report import Failure
from django_userpods.reconcile.rows import rows
from django_userpods.reconcile.wanted import TemplateSource, this_installation

if TYPE_CHECKING:
    from collections.abc import Collection

    from django_userpods.core.objects import Manifest


@dataclass(frozen=True, slots=True)
class Found:
    """An object of ours in the cluster, and the id of the pod that it belongs to."""

    ref: Ref
    uid: str
    pod: str
    #: What the object says that its user is called.
    username: str = ""

    @property
    def label(self) -> str:
        """Which object it is and whose, for people."""
        return naming.readable_object(self.ref, self.ref.name, self.username)


@dataclass(slots=True)
class Uninstallation:
    """What would be deleted, and what stays."""

    identifier: str
    objects: list[Found] = field(default_factory=list)
    #: Of kinds that ``USERPODS_RETAIN`` keeps.
    kept: list[Found] = field(default_factory=list)
    #: Kinds that could not be looked for, and why.
    unknown: list[Failure] = field(default_factory=list)


def find(*, with_retained: bool) -> Uninstallation:
    """Look for all objects that carry the label of this database. Writes nothing.

    Of the kinds that the settings and the rows know, in the namespaces that they name; kinds in
    ``USERPODS_RETAIN`` are kept unless ``with_retained``. Raises SettingError, and ClusterError
    where Deployments or Services cannot be listed.
    """
    found = Uninstallation(this_installation(write=False).id)
    retained = frozenset() if with_retained else conf.USERPODS_RETAIN
    for kind in sorted(_kinds()):
        try:
            for item in _listed(kind, found.identifier):
                kept = kind.kind in retained
                (found.kept if kept else found.objects).append(item)
        except ClusterError as error:
            if kind in (DEPLOYMENT, SERVICE):
                raise
            found.unknown.append(Failure("", kind.kind, str(error)))
    return found


def carry_out(uninstallation: Uninstallation) -> list[Failure]:
    """Delete what was found, each object as it was seen, and the rows of pods that are gone.

    Return what failed; it can be tried again.
    """
    cluster = get_cluster()

    def delete(item: Found) -> Failure | None:
        try:
            cluster.delete(item.ref, uid=item.uid)
        except ClusterError as error:
            return Failure(item.pod, str(item.ref), str(error))
        return None

    with ThreadPoolExecutor(cluster.concurrency) as pool:
        failures = [failure for failure in pool.map(delete, uninstallation.objects) if failure]
    # Of a pod of which something is left the row stays, so that it is found again.
    rows().exclude(pk__in={failure.user_pk for failure in failures}).delete()
    return failures


def _kinds() -> set[Kind]:
    """Return the kinds that there may be objects of."""
    made = rows().exclude(kinds="").values_list("kinds", flat=True).distinct()
    kinds = {Kind.parse(text) for joined in made for text in joined.split(",") if text}
    # One that is no longer valid made objects all the same.
    with suppress(UserpodsError):
        kinds |= TemplateSource(this_installation(write=False)).kinds
    return kinds | {DEPLOYMENT, SERVICE}


def _namespaces() -> Collection[str | None]:
    if callable(conf.USERPODS_NAMESPACE):
        return {None}
    return {conf.USERPODS_NAMESPACE, *rows().values_list("namespace", flat=True).distinct()}


def _listed(kind: Kind, identifier: str) -> list[Found]:
    """Return the objects of one kind that are ours and not on their way out."""
    return [
        _found(item)
        for namespace in _namespaces()
        for item in whole_list(
            get_cluster(),
            kind,
            namespace=namespace,
            labels={
                naming.MANAGED_BY_LABEL: naming.MANAGED_BY,
                naming.INSTALLATION_LABEL: identifier,
            },
            remaining=lambda: None,
        )
        if "deletionTimestamp" not in item["metadata"]
    ]


def _found(item: Manifest) -> Found:
    metadata = item["metadata"]
    return Found(
        Ref.of(item),
        metadata["uid"],
        metadata["labels"].get(naming.POD_LABEL, ""),
        (metadata.get("annotations") or {}).get(naming.USERNAME_ANNOTATION, ""),
    )
