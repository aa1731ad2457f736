"""Taking over what another installation's database knew: after that one was lost.

Objects say whose they are: installation, pod and username. A pod is taken over where there is a
user of its username who is to have one and has none in the cluster. It keeps its id, its name and
its volumes; its objects get our installation's label by an ordinary apply.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, router, transaction

from django_userpods.conf import conf, get_cluster
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref
from django_userpods.core.plan import Observed, plan
from django_userpods.exceptions import AdoptionError
from django_userpods.models import UserPod
from django_userpods.reconcile import apply
from django_userpods.reconcile.entries import Entry, Scope
from django_userpods.reconcile.observe import Subject, subject_of, whole_list
from django_userpods.reconcile.pods import look
from django_userpods.reconcile.report import Failure
from django_userpods.reconcile.rows import alias, make, rows
from django_userpods.reconcile.users import key_of
from django_userpods.reconcile.wanted import TemplateSource, this_installation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django_userpods.clusters.base import Cluster


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

    @property
    def objects(self) -> int:
        """The number of objects that would get our label."""
        return sum(len(candidate.objects) for candidate in self.pods)


def find(identifier: str) -> Adoption:
    """Look for what can be taken over from the installation of this id. Writes nothing.

    Raises AdoptionError where that is ourselves or has nothing in the cluster, SettingError or
    TemplateError where the settings cannot be used, and ClusterError.
    """
    ours = this_installation(write=False)
    if not identifier or not naming.is_valid_label_value(identifier):
        message = f"{identifier!r} is not the id of an installation"
        raise AdoptionError(message)
    if identifier == ours.id:
        message = f"{identifier} is this installation: its objects are ours already"
        raise AdoptionError(message)
    desired, cluster = TemplateSource(ours), get_cluster()
    kinds = {DEPLOYMENT, SERVICE} | desired.kinds
    candidates = _candidates(cluster, kinds, identifier)
    if not candidates:
        message = f"no object carries the label {naming.INSTALLATION_LABEL}={identifier}"
        raise AdoptionError(message)
    here = {
        found["metadata"]["labels"].get(naming.POD_LABEL)
        for kind in (DEPLOYMENT, SERVICE)
        for found in _listed(cluster, kind, ours.id)
    }
    adoption = Adoption(identifier)
    for candidate in sorted(candidates, key=lambda item: item.name):
        if reason := _obstacle(candidate, here):
            adoption.left.append((candidate.name, reason))
        else:
            adoption.pods.append(candidate)
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
            _write_row(candidate)
        except IntegrityError:
            failures.append(_failure(candidate, "somebody else took the name or the slot"))
            continue
        settled = look(Scope.of(pods=[candidate.pod]), keep_users=desired.per_user)
        for entry in settled.entries:
            subject = subject_of(entry, desired)
            if subject.error is not None:
                failures.append(_failure(candidate, str(subject.error)))
                continue
            outcome = _relabel(cluster, subject, candidate, installation)
            if outcome.error is not None:
                failures.append(_failure(candidate, str(outcome.error)))
        failures += [Failure(*failed) for failed in settled.failed]
    return failures


def _candidates(cluster: Cluster, kinds: Iterable[Kind], identifier: str) -> list[Candidate]:
    found: dict[str, list[Manifest]] = defaultdict(list)
    for kind in sorted(kinds):
        for manifest in _listed(cluster, kind, identifier):
            pod = manifest["metadata"]["labels"].get(naming.POD_LABEL)
            if pod:
                found[pod].append(manifest)
    return [
        candidate for pod, manifests in found.items() if (candidate := _candidate(pod, manifests))
    ]


def _candidate(pod: str, manifests: list[Manifest]) -> Candidate | None:
    """Return what a pod's objects say; None where its main ones are not among them."""
    deployments = [item for item in manifests if item["kind"] == DEPLOYMENT.kind]
    if not deployments:
        return None
    # The others are called after it, so its name is the shortest.
    main = min(deployments, key=lambda item: len(item["metadata"]["name"]))
    metadata = main["metadata"]
    return Candidate(
        pod=pod,
        name=metadata["name"],
        namespace=metadata["namespace"],
        username=metadata.get("annotations", {}).get(naming.USERNAME_ANNOTATION, ""),
        slot=metadata["name"].partition(naming.SLOT_SEPARATOR)[2],
        stopped=main["spec"].get("replicas") == 0,
        objects=[
            Observed(Ref.of(item), item["metadata"]["uid"], ("labels",)) for item in manifests
        ],
    )


def _obstacle(candidate: Candidate, here: set[str | None]) -> str:
    """Return why a pod cannot be taken over, or nothing; note its user."""
    model: Any = get_user_model()
    users = model._default_manager.using(router.db_for_write(model))  # noqa: SLF001 - Django's documented name
    candidate.user = users.filter(**{model.USERNAME_FIELD: candidate.username}).first()
    if candidate.user is None:
        return f"there is no user {candidate.username!r}"
    if not conf.select(candidate.user):
        return f"user {candidate.username!r} is to have no pod"
    held = (
        rows().filter(owner=candidate.user, slot=candidate.slot).exclude(pk=candidate.pod).first()
    )
    if held is not None and held.pk in here:
        return f"user {candidate.username!r} has a pod here already"
    other = rows().filter(name=candidate.name).exclude(pk=candidate.pod)
    if held is not None:
        other = other.exclude(pk=held.pk)
    return "another pod here has its name" if other.exists() else ""


def _write_row(candidate: Candidate) -> None:
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
    cluster: Cluster, subject: Subject, candidate: Candidate, installation: naming.Installation
) -> apply.Outcome:
    subject.observed = candidate.objects
    actions = plan(subject.wanted(), subject.observed, retain=conf.retain)
    return apply.perform(
        cluster, subject, actions, installation=installation, remaining=lambda: None
    )


def _listed(cluster: Cluster, kind: Kind, identifier: str) -> Iterable[Manifest]:
    namespace = None if callable(conf.namespace) else conf.namespace
    return whole_list(
        cluster,
        kind,
        namespace=namespace,
        labels={naming.INSTALLATION_LABEL: identifier},
        remaining=lambda: None,
    )


def _failure(candidate: Candidate, message: str) -> Failure:
    return Failure(str(candidate.user.pk), candidate.name, message)
