"""The cluster of a dry run: it is read, and what a run would write to it is only taken in.

A dry run is a run: the same plans are carried out by the same code, and what is refused, what has
to wait for it and what goes on come out the same. What is known without writing is answered as the
API server would: that a name is taken, that a field cannot be changed. What only the server decides
(quotas, admission, what a volume's size may become) is not foreseen.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from django_userpods.clusters.base import Cluster
from django_userpods.core.masking import masked_difference
from django_userpods.core.objects import POD, Ref
from django_userpods.core.plan import Verb
from django_userpods.exceptions import AlreadyExists, Invalid
from django_userpods.reconcile.apply import fixed_changes
from django_userpods.reconcile.lists import whole_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from django_userpods.core.objects import Kind, Manifest
    from django_userpods.core.plan import Action
    from django_userpods.core.shape import Difference
    from django_userpods.reconcile.observe import Subject
    from django_userpods.reconcile.request import Run


#: Maximum number of names that are asked for one by one; beyond it is one LIST of all there are.
_FEW = 5


class Rehearsal(Cluster):
    """A cluster to which nothing is written, for the plans of one run.

    One call at a time: it keeps what would be gone by now, and has few calls to wait for.
    """

    def __init__(
        self,
        cluster: Cluster,
        subjects: Mapping[str, Subject],
        plans: Mapping[str, list[Action]],
        *,
        remaining: Callable[[], float | None],
    ) -> None:
        self._cluster, self._remaining = cluster, remaining
        self._subjects: dict[Ref, Subject] = {}
        #: What is to be created, and what has these names once that was asked.
        self._wanted: dict[tuple[Kind, str], set[Ref]] = defaultdict(set)
        self._taken: dict[tuple[Kind, str], dict[Ref, Manifest]] = {}
        self._deleted: set[Ref] = set()
        for pod, actions in plans.items():
            for action in actions:
                self._subjects[action.ref] = subjects[pod]
                if action.verb == Verb.CREATE:
                    self._wanted[action.ref.kind, action.ref.namespace].add(action.ref)

    def list(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str | frozenset[str]],
        without: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Manifest]:
        """Yield the objects there are; no pods, which would stop once their owners were deleted."""
        if kind == POD:
            return iter(())
        return self._cluster.list(
            kind, namespace=namespace, labels=labels, without=without, timeout=timeout
        )

    def get(self, ref: Ref, *, timeout: float | None = None) -> Manifest | None:
        """Return the object as it is, or None where it would be gone by now."""
        if ref in self._deleted:
            return None
        taken = self._taken.get((ref.kind, ref.namespace), {})
        return taken.get(ref) or self._cluster.get(ref, timeout=timeout)

    def create(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:  # noqa: ARG002 - nothing is sent
        """Return the object as it would be; AlreadyExists where the name is taken."""
        ref = Ref.of(manifest)
        if ref not in self._deleted and ref in self._taken_by(ref.kind, ref.namespace):
            message = f"{ref} already exists"
            raise AlreadyExists(message, status=409)
        return _as_stored(manifest)

    def apply(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:  # noqa: ARG002 - nothing is sent
        """Return the object as it would be; Invalid where a field changes that cannot."""
        ref = Ref.of(manifest)
        subject = self._subjects.get(ref)
        if subject is not None and (fixed := fixed_changes(subject, ref)):
            message = f"{ref} cannot be changed so: {', '.join(fixed)}: field is immutable"
            raise Invalid(message, status=422)
        return _as_stored(manifest)

    def delete(self, ref: Ref, *, uid: str, timeout: float | None = None) -> None:  # noqa: ARG002 - nothing is sent
        """Take in that it would be gone."""
        self._deleted.add(ref)

    def peer(self, service: Manifest) -> str | None:
        """Return the Service's own address."""
        return self._cluster.peer(service)

    def _taken_by(self, kind: Kind, namespace: str) -> dict[Ref, Manifest]:
        """Return what has the names of those to be created, asked for with few calls."""
        place = kind, namespace
        if place not in self._taken:
            wanted = self._wanted[place]
            found = self._one_by_one(wanted) if len(wanted) <= _FEW else self._of_list(*place)
            self._taken[place] = {ref: item for item in found if (ref := Ref.of(item)) in wanted}
        return self._taken[place]

    def _one_by_one(self, refs: Iterable[Ref]) -> Iterator[Manifest]:
        for ref in sorted(refs):
            if (found := self._cluster.get(ref, timeout=self._remaining())) is not None:
                yield found

    def _of_list(self, kind: Kind, namespace: str) -> Iterator[Manifest]:
        return whole_list(
            self._cluster, kind, namespace=namespace, labels={}, remaining=self._remaining
        )


def differences(run: Run) -> dict[Ref, list[Difference]]:
    """Return for people what is not as declared in the objects that the run would update."""
    return {
        action.ref: [
            masked_difference(item, action.ref.kind.kind)
            for item in run.differences.get(action.ref, ())
        ]
        for action in run.report.done
        if action.verb == Verb.UPDATE
    }


def _as_stored(manifest: Manifest) -> Manifest:
    return {**manifest, "metadata": {"uid": "", **manifest["metadata"]}}
