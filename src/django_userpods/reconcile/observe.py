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
from django_userpods.core import activity, health, naming, workloads
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref
from django_userpods.core.plan import Observed
from django_userpods.core.rollout import Turn
from django_userpods.core.states import State
from django_userpods.exceptions import (
    Forbidden,
    NotFound,
    TemplateError,
    UserpodsError,
)
from django_userpods.models import UserPod
from django_userpods.reconcile import claims, overruled
from django_userpods.reconcile.lists import whole_list
from django_userpods.reconcile.wanted import TemplateSource, row_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.health import Health
    from django_userpods.core.shape import Difference, Values
    from django_userpods.core.template import ObjectTemplate, Template
    from django_userpods.reconcile.entries import Entry
    from django_userpods.reconcile.overruled import Overruled

logger = logging.getLogger("django_userpods")

#: Maximum number of pods that are asked for by name, and of those in one LIST, which has a line
#: of a request to name them in. Beyond it is one LIST of all.
FEW, _NAMED = 200, 50


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
    #: How the main Deployment is doing, and the template's other workloads by kind and name.
    main: Health | None = None
    others: dict[tuple[str, str], Health] = field(default_factory=dict)
    #: The same of the last update of each.
    main_update: Health | None = None
    other_updates: dict[tuple[str, str], Health] = field(default_factory=dict)
    #: Whether it waits for its turn in a rollout, and whether its last one was refused.
    held: bool = False
    was_refused: bool = False
    #: Whether its Service is there, and where, if it has an address.
    has_service: bool = False
    peer: str | None = None
    #: Where the Service was before, for one that is made again.
    last_address: str | None = None
    image: str = ""
    #: Its rules on what counts as use, as the row has them.
    activity: str | None = None
    #: When its pod took its steps, where that was looked at.
    step_times: str | None = None
    #: How often its containers were started again, where that was looked at.
    restarts: int | None = None
    #: Objects that the cluster changes in what is declared, whatever is written.
    overruled: dict[Ref, Overruled] = field(default_factory=dict)
    #: What was found of that by this run's own writes.
    news: list[str] = field(default_factory=list)
    #: What its objects say that its user is called.
    named: str = ""
    #: Why nothing can be done for the pod: no template, or one that this cluster cannot make.
    error: UserpodsError | None = None

    @property
    def username(self) -> str:
        """What its user is called; of one who is gone, as its objects say."""
        return self.entry.username or self.named

    @property
    def health(self) -> Health | None:
        """How the pod is doing: its Deployment, and what else of the template runs."""
        return workloads.together(self.main, _named(self.others))

    @property
    def update(self) -> Health | None:
        """How the last update of the same is doing."""
        return workloads.together(self.main_update, _named(self.other_updates))

    @property
    def came_up(self) -> bool:
        """Whether it runs, and did not when it was last looked at."""
        runs = self.health is not None and self.health.state == State.RUNNING
        return runs and self.entry.state != State.RUNNING

    @property
    def is_updating(self) -> bool:
        """Whether it was given its turn in a rollout, and its last update is not through yet."""
        is_under_way = Turn(self.entry.turn).is_under_way
        return is_under_way and self.update is not None and self.update.state.may_explain

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
        item = self._item(ref)
        assert item is not None  # noqa: S101 - ref came from wanted()
        manifest: Manifest = item.manifest.fill(self.values)
        return manifest

    def _item(self, ref: Ref) -> ObjectTemplate | None:
        if self.template is None or ref.namespace != self.entry.namespace:
            return None
        return self.template.find(ref.kind, ref.name, self.values)

    def observe(self, found: Manifest, ref: Ref, cluster: Cluster) -> None:
        """Take in what one of the pod's objects says of itself."""
        if ref.namespace != self.entry.namespace:
            return
        if ref.name == self.entry.name and ref.kind == SERVICE:
            self.has_service, self.peer = True, cluster.peer(found)
        elif ref.name == self.entry.name and ref.kind == DEPLOYMENT:
            self.main = health.of_deployment(found)
            self.main_update = health.of_update(found)
            if self.main.state.may_explain:
                self.step_times = cluster.step_times(found)
            self.image = found["spec"]["template"]["spec"]["containers"][0].get("image", "")
            annotations = found["metadata"].get("annotations") or {}
            self.activity = activity.one_line(annotations.get(naming.ACTIVITY_ANNOTATION, ""))
        elif self.template is not None and (other := workloads.health_of(found)) is not None:
            key = ref.kind.kind, ref.name
            self.others[key] = other
            self.other_updates[key] = workloads.update_of(found) or other

    def compare(self, found: Manifest, ref: Ref) -> list[Difference] | None:
        """Return the declared fields that are otherwise; None of an object that should not be."""
        item = self._item(ref)
        if item is None:
            return None
        if item.matches(found, self.values):
            return []
        return [
            difference
            for difference in item.manifest.differences(found, self.values)
            if not claims.is_larger(difference.path, found, lambda: self.manifest(ref))
        ]

    def note_overruled(self, stored: Manifest, ref: Ref) -> None:
        """Take in what the cluster answered to a write: what differs, the cluster has changed."""
        self.overruled.pop(ref, None)
        if differences := self.compare(stored, ref):
            found = overruled.overruled(self.manifest(ref), ref, differences)
            self.overruled[ref] = found
            self.news.append(found.text)
            logger.warning("%s: %s", self.entry, found.text)

    def is_known(self, ref: Ref, differences: list[Difference]) -> bool:
        """Tell whether these differences are all that was left after the same was written."""
        if (digest := overruled.read(self.entry.overruled).get(str(ref))) is None:
            return False
        known = overruled.overruled(self.manifest(ref), ref, differences)
        if known.digest != digest:
            return False
        self.overruled[ref] = known
        return True

    def observe_deletion(self, ref: Ref) -> None:
        """Take in that one of the pod's objects was deleted."""
        if (ref.kind, ref.namespace, ref.name) == (
            SERVICE,
            self.entry.namespace,
            self.entry.name,
        ):
            self.has_service, self.peer = False, None


def _named(others: Mapping[tuple[str, str], Health]) -> dict[str, Health]:
    return {f"{kind} {name}": found for (kind, name), found in others.items()}


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
        template = desired.template_for(entry.user, values, entry.profile)
        return Subject(entry, template, values, last_address=entry.address)
    except TemplateError as error:
        return Subject(entry, error=error)


@dataclass(frozen=True, slots=True)
class Reader:
    """How a run reads the cluster."""

    cluster: Cluster
    #: The id that objects of ours carry.
    installation: str
    #: Whether it is about everybody, or nothing but some pods' objects is asked for.
    everybody: bool
    #: The kinds that everybody's pods have: without those nothing can be done.
    shared: frozenset[Kind]
    #: Returns the seconds left.
    remaining: Callable[[], float | None]
    #: Told how many objects have been read.
    progress: Callable[[int], None]
    #: Tells of a pod, by its id, that it may have been restarted though it runs; see ``explain``.
    may_have_restarted: Callable[[str], bool]
    #: Where to keep what is not as declared, values and all; None where nobody asks.
    differences: dict[Ref, list[Difference]] | None = None


def observe(reader: Reader, subjects: dict[str, Subject]) -> dict[str, list[Observed]]:
    """Fill in what is there for each subject; return the objects of unknown owners, by pod's id.

    ``subjects`` is keyed by the pod's id. Raises ClusterError where any list could not be read
    whole. A kind that only some pods' templates have, and that the cluster lacks or does not let
    us list, is an error of those pods alone.
    """
    strangers: dict[str, list[Observed]] = defaultdict(list)
    count = 0
    for kind in sorted(reader.shared | _kinds(subjects.values())):
        try:
            for found in objects(reader, kind, subjects):
                count += 1
                if count % 500 == 0:
                    reader.progress(count)
                _take(found, kind, subjects, strangers, reader)
        except (NotFound, Forbidden) as error:
            if kind in reader.shared:
                raise
            _blame(error, kind, subjects.values())
    reader.progress(count)
    return strangers


def _kinds(subjects: Iterable[Subject]) -> set[Kind]:
    """Return the kinds that pods' own templates have, and those made of earlier ones."""
    own, texts = set[Kind](), set[str]()
    for subject in subjects:
        texts.add(subject.entry.kinds)
        if subject.template is not None:
            own |= subject.template.kinds
    made = {Kind.parse(text) for kinds in texts for text in kinds.split(",") if text}
    return own | {kind for kind in made if kind.kind not in conf.USERPODS_RETAIN}


def _blame(error: UserpodsError, kind: Kind, subjects: Iterable[Subject]) -> None:
    """Note that a kind cannot be listed on the pods that cannot do without it."""
    for subject in subjects:
        wanted = subject.template is not None and kind in subject.template.kinds
        # The API of a kind that templates no longer make may be gone from the cluster.
        left = isinstance(error, Forbidden) and str(kind) in subject.entry.kinds.split(",")
        if wanted or left:
            subject.error = subject.error or error


def _take(
    found: Manifest,
    kind: Kind,
    subjects: dict[str, Subject],
    strangers: dict[str, list[Observed]],
    reader: Reader,
) -> None:
    metadata = found["metadata"]
    label = metadata["labels"].get(naming.POD_LABEL)
    if not label:
        # Ours by installation, nobody's by label: a person's own doing, so leave it alone.
        logger.warning("%s %s has no label of a pod: left alone", kind.kind, metadata["name"])
        return
    ref = Ref(kind, metadata["namespace"], metadata["name"])
    subject = subjects.get(label)
    annotations = metadata.get("annotations") or {}
    username = annotations.get(naming.USERNAME_ANNOTATION, "")
    if subject is None:
        strangers[label].append(Observed(ref, metadata["uid"], username=username))
        return
    if not subject.username:
        subject.named = username
    subject.observe(found, ref, reader.cluster)
    differences = subject.compare(found, ref)
    if differences and subject.is_known(ref, differences):
        differences = []
    subject.right += differences == []
    if differences and reader.differences is not None:
        reader.differences[ref] = differences
    paths = tuple(difference.path for difference in differences or ())
    subject.observed.append(Observed(ref, metadata["uid"], paths))


def objects(reader: Reader, kind: Kind, subjects: dict[str, Subject]) -> Iterator[Manifest]:
    """Yield the objects of a kind, from as few lists as possible."""
    labels: dict[str, str | frozenset[str]] = {naming.INSTALLATION_LABEL: reader.installation}
    if not reader.everybody and len(subjects) <= FEW:
        for one, pods in _by_namespace(subjects):
            yield from whole_list(
                reader.cluster,
                kind,
                namespace=one,
                labels={**labels, naming.POD_LABEL: pods},
                remaining=reader.remaining,
            )
        return
    namespaces: Collection[str | None]
    if callable(conf.USERPODS_NAMESPACE):
        namespaces = [None]
    else:
        namespaces = sorted(
            {conf.USERPODS_NAMESPACE} | {s.entry.namespace for s in subjects.values()}
        )
    for namespace in namespaces:
        for found in whole_list(
            reader.cluster, kind, namespace=namespace, labels=labels, remaining=reader.remaining
        ):
            if reader.everybody or found["metadata"]["labels"].get(naming.POD_LABEL) in subjects:
                yield found


def _by_namespace(subjects: dict[str, Subject]) -> Iterator[tuple[str, str | frozenset[str]]]:
    """Yield some pods at a time, with their namespace."""
    by_namespace: dict[str, list[str]] = defaultdict(list)
    for label, subject in subjects.items():
        by_namespace[subject.entry.namespace].append(label)
    for namespace, labels in by_namespace.items():
        for start in range(0, len(labels), _NAMED):
            some = labels[start : start + _NAMED]
            yield namespace, some[0] if len(some) == 1 else frozenset(some)
