"""What a run would do, for ``--dry-run``: its plans, but for names that others' objects have."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from django_userpods.core import naming
from django_userpods.core.masking import masked_difference
from django_userpods.core.objects import Ref
from django_userpods.core.plan import Action, Verb
from django_userpods.exceptions import NotOurs
from django_userpods.reconcile.apply import check_ours
from django_userpods.reconcile.report import Failure

if TYPE_CHECKING:
    from django_userpods.clusters.base import Cluster
    from django_userpods.core.naming import InstallationIdentity
    from django_userpods.core.objects import Kind, Manifest
    from django_userpods.reconcile.observe import Subject
    from django_userpods.reconcile.request import Run


def rehearse(
    run: Run,
    cluster: Cluster,
    subjects: dict[str, Subject],
    plans: dict[str, list[Action]],
    *,
    installation: InstallationIdentity,
) -> None:
    """Report what the plans would do; a name that another's object has is a failure as in a run."""
    wanted = [
        action.ref for actions in plans.values() for action in actions if action.verb == Verb.CREATE
    ]
    taken = _taken(run, cluster, wanted, installation)
    for pod, actions in plans.items():
        subject, refused = subjects[pod], ""
        for action in actions:
            found = taken.get(action.ref) if action.verb == Verb.CREATE else None
            try:
                if found is not None:
                    check_ours(found, subject, action.ref, installation)
            except NotOurs as error:
                refused = refused or str(error)
            else:
                run.report.done.append(action)
                if action.verb == Verb.UPDATE:
                    run.report.differences[action.ref] = [
                        masked_difference(item, action.ref.kind.kind)
                        for item in run.differences.get(action.ref, ())
                    ]
        if refused:
            entry = subject.entry
            run.report.failed.append(Failure(entry.user_pk, str(entry), refused))


def _taken(
    run: Run, cluster: Cluster, wanted: list[Ref], installation: InstallationIdentity
) -> dict[Ref, Manifest]:
    """Return the objects that are not ours under these names: one list a kind and namespace."""
    places: dict[tuple[Kind, str], set[str]] = defaultdict(set)
    for ref in wanted:
        places[ref.kind, ref.namespace].add(ref.name)
    ours = {naming.INSTALLATION_LABEL: installation.id}
    return {
        Ref(kind, namespace, found["metadata"]["name"]): found
        for (kind, namespace), names in sorted(places.items())
        for found in cluster.list(
            kind, namespace=namespace, labels={}, without=ours, timeout=run.remaining()
        )
        if found["metadata"]["name"] in names
    }
