"""What is in the cluster: one paged LIST per kind and namespace, never a call per user.

Each page is held against the templates and let go, so memory stays bounded by what the plan
needs of an object, not by its size.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django_userpods.conf import conf
from django_userpods.core import health, naming
from django_userpods.core.objects import DEPLOYMENT, POD, SERVICE, Kind, Manifest, Ref
from django_userpods.core.plan import Observed
from django_userpods.exceptions import Expired, NotFound, TemplateError
from django_userpods.models import UserPod
from django_userpods.reconcile.wanted import TemplateSource, row_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.health import Health
    from django_userpods.core.shape import Values
    from django_userpods.core.template import Template
    from django_userpods.reconcile.pods import Entry

logger = logging.getLogger("django_userpods")

#: Up to so many users their pods are asked for one by one, beyond in one LIST.
_FEW = 5


@dataclass(slots=True)
class Subject:
    """One pod in a run: the row, what should be, what is there."""

    entry: Entry
    #: None where the user should have nothing.
    template: Template | None = None
    values: Values = field(default_factory=dict)
    observed: list[Observed] = field(default_factory=list)
    #: How many of these should be, and are as declared.
    right: int = 0
    health: Health | None = None
    peer: str | None = None
    image: str = ""
    #: Why there is no template although there should be one.
    error: TemplateError | None = None

    def is_right(self) -> bool:
        """Tell at once that all is there, all is as declared, and nothing else is there."""
        return self.template is not None and self.right == len(self.observed) == len(
            self.template.objects
        )

    def wanted(self) -> list[Ref]:
        """Return the objects that should be, in the order of creation."""
        if self.template is None:
            return []
        return [
            Ref(item.kind, self.entry.namespace, item.name.fill(self.values))
            for item in self.template.objects
        ]

    def manifest(self, ref: Ref) -> Manifest:
        """Return one of the objects that should be, filled in."""
        assert self.template is not None  # noqa: S101 - for the type checker
        item = self.template.find(ref.kind, ref.name, self.values)
        assert item is not None  # noqa: S101 - ref came from wanted()
        manifest: Manifest = item.manifest.fill(self.values)
        return manifest

    def note(self, found: Manifest, ref: Ref, cluster: Cluster) -> None:
        """Take in what one of the user's own two main objects says of itself."""
        if ref.name != self.entry.name:
            return
        if ref.kind == DEPLOYMENT:
            self.health = health.of_deployment(found)
            self.image = found["spec"]["template"]["spec"]["containers"][0].get("image", "")
        elif ref.kind == SERVICE:
            self.peer = cluster.peer(found)


def subject_of(entry: Entry, desired: TemplateSource) -> Subject:
    """Return the entry with what should be."""
    if entry.absent or entry.name is None:
        return Subject(entry)
    values = row_values(
        entry.identity,
        name=entry.name,
        namespace=entry.namespace,
        username=entry.username,
        slot=entry.slot,
        stopped=entry.wanted == UserPod.Wanted.STOPPED,
        restarted_at=entry.restarted_at,
    )
    try:
        return Subject(entry, desired.template_for(entry.user, values), values)
    except TemplateError as error:
        return Subject(entry, error=error)


def observe(
    cluster: Cluster,
    subjects: dict[str, Subject],
    *,
    installation: str,
    only: bool,
    remaining: Callable[[], float | None],
    progress: Callable[[int], None],
) -> dict[str, list[Observed]]:
    """Fill in what is there for each subject; return the objects of nobody known, by pod's id.

    ``subjects`` is keyed by the pod's id; ``installation`` is the id that objects of ours
    carry. With ``only`` nothing but these users' objects is asked for. ``progress`` is told how
    many objects have been read. Raises ClusterError where any list could not be read whole.
    """
    strangers: dict[str, list[Observed]] = defaultdict(list)
    count = 0
    sets = {subject.template.kinds for subject in subjects.values() if subject.template}
    template_kinds = {DEPLOYMENT, SERVICE}.union(*sets)
    for kind in sorted(_kinds(subjects.values(), template_kinds)):
        try:
            for found in _objects(
                cluster, kind, subjects, installation=installation, only=only, remaining=remaining
            ):
                count += 1
                if count % 500 == 0:
                    progress(count)
                _take(found, kind, subjects, strangers, cluster)
        except NotFound:
            # The API of a kind that templates no longer make may be gone from the cluster.
            if kind in template_kinds:
                raise
    progress(count)
    _explain(cluster, subjects, installation=installation, only=only, remaining=remaining)
    return strangers


def _kinds(subjects: Iterable[Subject], template_kinds: set[Kind]) -> set[Kind]:
    texts = {subject.entry.kinds for subject in subjects}
    made = {text for kinds in texts for text in kinds.split(",") if text}
    return template_kinds | {kind for kind in map(Kind.parse, made) if kind.kind not in conf.retain}


def _take(
    found: Manifest,
    kind: Kind,
    subjects: dict[str, Subject],
    strangers: dict[str, list[Observed]],
    cluster: Cluster,
) -> None:
    metadata = found["metadata"]
    label = metadata["labels"].get(naming.POD_LABEL)
    if label is None:
        # Ours by installation, nobody's by label: a person's own doing, so leave it alone.
        logger.warning("%s %s has no label of a pod: left alone", kind.kind, metadata["name"])
        return
    ref = Ref(kind, metadata["namespace"], metadata["name"])
    subject = subjects.get(label)
    if subject is None:
        strangers[label].append(Observed(ref, metadata["uid"]))
        return
    subject.note(found, ref, cluster)
    differences: tuple[str, ...] = ()
    if subject.template is not None and ref.namespace == subject.entry.namespace:
        item = subject.template.find(kind, ref.name, subject.values)
        if item is not None:
            if item.matches(found, subject.values):
                subject.right += 1
            else:
                differences = tuple(item.manifest.differences(found, subject.values))
    subject.observed.append(Observed(ref, metadata["uid"], differences))


def _objects(
    cluster: Cluster,
    kind: Kind,
    subjects: dict[str, Subject],
    *,
    installation: str,
    only: bool,
    remaining: Callable[[], float | None],
) -> Iterator[Manifest]:
    """Yield the objects of a kind, from as few lists as possible."""
    labels = {naming.INSTALLATION_LABEL: installation}
    if only and len(subjects) <= _FEW:
        for label, subject in subjects.items():
            yield from whole_list(
                cluster,
                kind,
                namespace=subject.entry.namespace,
                labels={**labels, naming.POD_LABEL: label},
                remaining=remaining,
            )
        return
    namespaces: Collection[str | None]
    if callable(conf.namespace):
        namespaces = [None]
    else:
        namespaces = sorted({conf.namespace} | {s.entry.namespace for s in subjects.values()})
    for namespace in namespaces:
        for found in whole_list(
            cluster, kind, namespace=namespace, labels=labels, remaining=remaining
        ):
            if not only or found["metadata"]["labels"].get(naming.POD_LABEL) in subjects:
                yield found


def whole_list(
    cluster: Cluster,
    kind: Kind,
    *,
    namespace: str | None,
    labels: dict[str, str],
    remaining: Callable[[], float | None],
) -> Iterator[Manifest]:
    """Yield a list, begun again where its page token expired on the way."""
    seen: set[str] = set()
    for attempt in range(3):
        try:
            for found in cluster.list(
                kind, namespace=namespace, labels=labels, timeout=remaining()
            ):
                if found["metadata"]["uid"] not in seen:
                    seen.add(found["metadata"]["uid"])
                    yield found
        except Expired:
            if attempt == 2:
                raise
        else:
            return


def _explain(
    cluster: Cluster,
    subjects: dict[str, Subject],
    *,
    installation: str,
    only: bool,
    remaining: Callable[[], float | None],
) -> None:
    """Look at the pods of those that do not come up, for a reason a person can act on."""
    unwell = {
        label: subject
        for label, subject in subjects.items()
        if subject.health is not None and subject.health.state.may_explain
    }
    if not unwell:
        return
    pods: dict[str, list[Manifest]] = defaultdict(list)
    few = only or len(unwell) <= _FEW
    for pod in _objects(
        cluster, POD, unwell, installation=installation, only=few, remaining=remaining
    ):
        pods[pod["metadata"]["labels"].get(naming.POD_LABEL, "")].append(pod)
    for label, subject in unwell.items():
        subject.health = health.of_pods(pods[label]) or subject.health
