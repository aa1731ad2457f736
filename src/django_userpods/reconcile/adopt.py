"""Taking over what another installation's database knew: after that one was lost.

Objects say whose they are: installation, pod and username. A pod is taken over where there is a
user of its username who is to have one and has none in the cluster. It keeps its id, its name and
its volumes; its objects get our installation's label by an ordinary apply.

A pod is known by its Deployment or its Service. What is left of one that has neither, as the volume
of a user who was deleted, is nobody's: a new user of that name never gets it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, router, transaction
from django.utils.translation import gettext

from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref
from django_userpods.core.plan import Observed, plan
from django_userpods.exceptions import AdoptionError, ClusterError, NotOurs, TemplateError
from django_userpods.models import UserPod
from django_userpods.reconcile import apply
from django_userpods.reconcile.entries import Entry, Scope
from django_userpods.reconcile.lists import whole_list
from django_userpods.reconcile.observe import Subject, subject_of
from django_userpods.reconcile.pods import look, pods_in_use
from django_userpods.reconcile.report import Failure
from django_userpods.reconcile.rows import alias, make, rows
from django_userpods.reconcile.users import key_of
from django_userpods.reconcile.wanted import TemplateSource, row_values, this_installation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.template import Template


@dataclass(slots=True)
class Candidate:
    """A pod of the other installation, as its objects tell of it."""

    pod: str
    name: str
    namespace: str
    username: str
    slot: str = ""
    stopped: bool = False
    objects: list[Observed] = field(default_factory=list)
    #: The user it becomes the pod of.
    user: Any = None


@dataclass(slots=True)
class Adoption:
    """What would be taken over, and (name, reason) of what would be left."""

    identifier: str
    pods: list[Candidate] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    #: What people call the installation (USERPODS_INSTANCE); several where that was changed.
    names: list[str] = field(default_factory=list)

    @property
    def objects(self) -> int:
        """The number of objects that would get our label."""
        return sum(len(candidate.objects) for candidate in self.pods)


def find(identifier: str, user_pks: Collection[str] | None = None) -> Adoption:
    """Look for what can be taken over from the installation of this id. Writes nothing.

    ``user_pks`` are primary keys as text where it is about some users alone. Raises AdoptionError
    where it has nothing in the cluster that could be taken over, SettingError or TemplateError
    where the settings cannot be used, and ClusterError.
    """
    ours = this_installation(write=False)
    if not identifier or not naming.is_valid_label_value(identifier):
        message = gettext("%(id)r is not the id of an installation")
        raise AdoptionError(message % {"id": identifier})
    desired, cluster = TemplateSource(ours), get_cluster()
    objects: dict[str, list[Manifest]] = defaultdict(list)
    listed = {DEPLOYMENT, SERVICE} | desired.kinds
    for kind in sorted(listed):
        _collect(objects, _listed(cluster, kind, _namespace(), identifier))
    if not objects:
        namespace = _namespace()
        label = f"{naming.INSTALLATION_LABEL}={identifier}"
        message = gettext("no object carries the label %(label)s in any namespace") % {
            "label": label
        }
        if namespace is not None:
            message = gettext(
                "no object carries the label %(label)s in the namespace %(namespace)s"
            )
            message %= {"label": label, "namespace": namespace}
        raise AdoptionError(message)
    if identifier == ours.id:
        # Rows that were lost alone; what has a row is ours already.
        known = pods_in_use()
        objects = {pod: found for pod, found in objects.items() if pod not in known}
        if not objects:
            message = gettext("%(id)s is this installation, and all its pods have their rows")
            raise AdoptionError(message % {"id": identifier})
    adoption = Adoption(identifier, names=_instances(objects))
    here = _pods_here(cluster, ours.id)
    possible = []
    for pod, manifests in objects.items():
        candidate = _candidate(pod, manifests)
        if candidate is None:
            if user_pks is None:
                ref = Ref.of(min(manifests, key=_name_of))
                reason = gettext("no Deployment and no Service of its pod is left")
                adoption.left.append((str(ref), reason))
            continue
        reason = _obstacle(candidate, here)
        if user_pks is not None and (
            candidate.user is None or str(candidate.user.pk) not in user_pks
        ):
            continue
        if reason:
            adoption.left.append((candidate.name, reason))
        else:
            possible.append(candidate)
    if desired.per_user:
        possible = _with_kinds_of_each(possible, adoption, desired, cluster, listed)
    _part_twins(possible, adoption)
    adoption.pods.sort(key=lambda candidate: candidate.name)
    adoption.left.sort()
    return adoption


def take_over(adoption: Adoption) -> list[Failure]:
    """Write the rows of what was found and give the objects our label; return what failed.

    Each pod for itself: it can be tried again.
    """
    installation = this_installation()
    desired, cluster = TemplateSource(installation), get_cluster()
    failures = []
    for candidate in adoption.pods:
        try:
            _check_unchanged(cluster, candidate, adoption.identifier)
            _make_row(candidate)
        except ClusterError as error:
            failures.append(_failure(candidate, str(error)))
            continue
        except IntegrityError:
            failures.append(_failure(candidate, gettext("somebody else took the name or the slot")))
            continue
        changes = look(Scope.of(pods=[candidate.pod]), keep_users=desired.per_user)
        for entry in changes.entries:
            subject = subject_of(entry, desired)
            if subject.error is not None:
                failures.append(_failure(candidate, str(subject.error)))
                continue
            outcome = _relabel(cluster, subject, candidate, installation)
            if outcome.error is not None:
                failures.append(_failure(candidate, str(outcome.error)))
        failures += [Failure(*failed) for failed in changes.failed]
    return failures


def _collect(objects: dict[str, list[Manifest]], found: Iterable[Manifest]) -> None:
    """Add what belongs to a pod and is not being deleted, by the pod's id."""
    for manifest in found:
        pod = manifest["metadata"]["labels"].get(naming.POD_LABEL)
        if pod and "deletionTimestamp" not in manifest["metadata"]:
            objects[pod].append(manifest)


def _instances(objects: dict[str, list[Manifest]]) -> list[str]:
    labels = (item["metadata"]["labels"] for manifests in objects.values() for item in manifests)
    return sorted({found.get(naming.INSTANCE_LABEL, "") for found in labels} - {""})


def _pods_here(cluster: Cluster, ours: str) -> set[str | None]:
    """Return the ids of the pods that are in the cluster as ours, wherever rows say they are."""
    namespaces: set[str | None] = {_namespace()}
    if None not in namespaces:
        namespaces |= set(rows().values_list("namespace", flat=True).distinct())
    return {
        found["metadata"]["labels"].get(naming.POD_LABEL)
        for kind in (DEPLOYMENT, SERVICE)
        for namespace in namespaces
        for found in _listed(cluster, kind, namespace, ours)
    }


def _candidate(pod: str, manifests: list[Manifest]) -> Candidate | None:
    """Return what a pod's objects say; None where none says what the pod is called."""
    username = next(
        (
            name
            for item in manifests
            if (name := item["metadata"].get("annotations", {}).get(naming.USERNAME_ANNOTATION))
        ),
        "",
    )
    objects = [_observed(item) for item in manifests]
    # Of one that was taken over by half the row is there already.
    row = rows().filter(pk=pod).exclude(name=None).first()
    if row is not None:
        return Candidate(
            pod=pod,
            name=str(row.name),
            namespace=row.namespace,
            username=username,
            slot=row.slot,
            stopped=row.wanted == UserPod.Wanted.STOPPED,
            objects=objects,
        )
    # Deployments first: only they tell whether the pod was stopped.
    for item in sorted(manifests, key=lambda item: item["kind"] != DEPLOYMENT.kind):
        parts = naming.parts_of(_name_of(item))
        if item["kind"] in (DEPLOYMENT.kind, SERVICE.kind) and parts and not parts.suffix:
            return Candidate(
                pod=pod,
                name=parts.pod,
                namespace=item["metadata"]["namespace"],
                username=username,
                slot=parts.slot,
                stopped=item["kind"] == DEPLOYMENT.kind and item["spec"].get("replicas") == 0,
                objects=objects,
            )
    return None


def _with_kinds_of_each(
    possible: list[Candidate],
    adoption: Adoption,
    desired: TemplateSource,
    cluster: Cluster,
    listed: set[Kind],
) -> list[Candidate]:
    """Add the objects of further kinds that users' own templates make; leave invalid ones.

    Where a function gives the template, nobody knows the kinds before it is asked for each user.
    """
    usable: list[Candidate] = []
    further: set[Kind] = set()
    for candidate in possible:
        try:
            further |= _template_of(candidate, desired).kinds - listed
        except TemplateError as error:
            adoption.left.append((candidate.name, str(error)))
            continue
        usable.append(candidate)
    objects: dict[str, list[Manifest]] = defaultdict(list)
    for kind in sorted(further):
        _collect(objects, _listed(cluster, kind, _namespace(), adoption.identifier))
    for candidate in usable:
        candidate.objects += [_observed(item) for item in objects[candidate.pod]]
    return usable


def _template_of(candidate: Candidate, desired: TemplateSource) -> Template:
    values = row_values(
        naming.PodIdentity(candidate.pod, str(candidate.user.pk)),
        name=candidate.name,
        namespace=candidate.namespace,
        username=candidate.username,
        slot=candidate.slot,
        stopped=candidate.stopped,
        restarted_at=None,
    )
    return desired.template_for(candidate.user, values)


def _part_twins(possible: list[Candidate], adoption: Adoption) -> None:
    """Take whom nobody else claims to be; of several that are one user's leave all."""
    count = Counter((candidate.user.pk, candidate.slot) for candidate in possible)
    for candidate in possible:
        if count[candidate.user.pk, candidate.slot] == 1:
            adoption.pods.append(candidate)
            continue
        reason = gettext(
            "several pods say that they are %(username)r's; delete the objects with the labels of "
            "those that are not needed, then try again (of this one: %(label)s, namespace "
            "%(namespace)s)"
        )
        told = {
            "username": candidate.username,
            "label": f"{naming.POD_LABEL}={candidate.pod}",
            "namespace": candidate.namespace,
        }
        adoption.left.append((candidate.name, reason % told))


def _check_unchanged(cluster: Cluster, candidate: Candidate, identifier: str) -> None:
    """Raise NotOurs where somebody else took one of the objects since they were listed."""
    for item in candidate.objects:
        existing = cluster.get(item.ref)
        metadata = existing["metadata"] if existing is not None else {}
        labels = metadata.get("labels") or {}
        whose = labels.get(naming.INSTALLATION_LABEL), labels.get(naming.POD_LABEL)
        if metadata.get("uid") != item.uid or whose != (identifier, candidate.pod):
            message = gettext(
                "%(object)s was deleted or taken by somebody else meanwhile: left alone"
            )
            raise NotOurs(message % {"object": item.ref})


def _observed(item: Manifest) -> Observed:
    return Observed(Ref.of(item), item["metadata"]["uid"], ("labels",))


def _name_of(item: Manifest) -> str:
    name: str = item["metadata"]["name"]
    return name


def _obstacle(candidate: Candidate, here: set[str | None]) -> str:
    """Return why a pod cannot be taken over, or nothing; note its user."""
    model: Any = get_user_model()
    users = model._default_manager.using(router.db_for_write(model))  # noqa: SLF001 - Django's documented name
    candidate.user = users.filter(**{model.USERNAME_FIELD: candidate.username}).first()
    if candidate.user is None:
        return gettext("there is no user %(name)r") % {"name": candidate.username}
    if not conf.USERPODS_SELECT(candidate.user):
        return gettext("user %(name)r is to have no pod") % {"name": candidate.username}
    held = (
        rows().filter(owner=candidate.user, slot=candidate.slot).exclude(pk=candidate.pod).first()
    )
    if held is not None and held.pk in here:
        return gettext("user %(name)r has a pod here already") % {"name": candidate.username}
    other = rows().filter(name=candidate.name).exclude(pk=candidate.pod)
    if held is not None:
        other = other.exclude(pk=held.pk)
    return gettext("another pod here has its name") if other.exists() else ""


def _make_row(candidate: Candidate) -> None:
    entry = Entry(
        pk=candidate.pod,
        user_pk=key_of(candidate.user),
        user_id=candidate.user.pk,
        slot=candidate.slot,
        name=candidate.name,
        namespace=candidate.namespace,
        wanted=UserPod.Wanted.STOPPED if candidate.stopped else UserPod.Wanted.RUNNING,
        state=UserPod.State.PENDING,
        kinds=",".join(sorted({str(item.ref.kind) for item in candidate.objects})),
    )
    with transaction.atomic(using=alias()):
        # A row without objects, made by a sync or a save since.
        rows().filter(owner=candidate.user, slot=candidate.slot).delete()
        make(entry)


def _relabel(
    cluster: Cluster,
    subject: Subject,
    candidate: Candidate,
    installation: naming.InstallationIdentity,
) -> apply.Outcome:
    subject.observed = candidate.objects
    actions = plan(subject.wanted(), subject.observed, retain=conf.USERPODS_RETAIN)
    return apply.perform(
        cluster, subject, actions, installation=installation, remaining=lambda: None
    )


def _namespace() -> str | None:
    """Return the namespace to look in, None for all."""
    return None if callable(conf.USERPODS_NAMESPACE) else conf.USERPODS_NAMESPACE


def _listed(
    cluster: Cluster, kind: Kind, namespace: str | None, identifier: str
) -> Iterable[Manifest]:
    return whole_list(
        cluster,
        kind,
        namespace=namespace,
        labels={naming.INSTALLATION_LABEL: identifier},
        remaining=lambda: None,
    )


def _failure(candidate: Candidate, message: str) -> Failure:
    user = candidate.user
    return Failure(str(user.pk), candidate.name, message, username=str(user.get_username()))
