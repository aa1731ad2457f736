"""Carry out one user's plan. Speaks to the cluster, not to the database: threads run this."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django_userpods.core import naming
from django_userpods.core.health import Health
from django_userpods.core.objects import POD, SERVICE, Manifest, Ref
from django_userpods.core.plan import Action, Holder, Verb, holder
from django_userpods.core.states import State
from django_userpods.exceptions import AlreadyExists, ClusterError, Conflict, Invalid, NotOurs

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.naming import Installation
    from django_userpods.reconcile.observe import Subject

logger = logging.getLogger("django_userpods")


@dataclass(slots=True)
class Outcome:
    """What became of one user's plan."""

    done: list[Action] = field(default_factory=list)
    error: ClusterError | None = None
    #: Everything that was to be deleted is gone, pods included.
    gone: bool = False


def perform(
    cluster: Cluster,
    subject: Subject,
    actions: list[Action],
    *,
    installation: Installation,
    remaining: Callable[[], float | None],
) -> Outcome:
    """Carry out the actions in order and stop at the first that fails; raises no ClusterError."""
    outcome = Outcome()
    try:
        for action in actions:
            if action.verb == Verb.CREATE:
                done = _create(cluster, subject, action.ref, installation, remaining)
                if done is not None:
                    outcome.done.append(done)
            elif action.verb == Verb.UPDATE:
                _update(cluster, subject, action, remaining)
                outcome.done.append(action)
            elif action.verb == Verb.DELETE:
                cluster.delete(action.ref, uid=action.uid, timeout=remaining())
                outcome.done.append(action)
        if subject.template is None:
            outcome.gone = _is_gone(cluster, subject, actions, installation, remaining)
    except ClusterError as error:
        logger.warning("%s: %s", subject.entry, error)
        outcome.error = error
    return outcome


def _create(
    cluster: Cluster,
    subject: Subject,
    ref: Ref,
    installation: Installation,
    remaining: Callable[[], float | None],
) -> Action | None:
    """Create an object; None where it was there already, ours and as it should be."""
    manifest = subject.manifest(ref)
    try:
        stored = _post(cluster, subject, manifest, remaining)
    except AlreadyExists:
        existing = cluster.get(ref, timeout=remaining())
        if existing is None or "deletionTimestamp" in existing["metadata"]:
            message = f"{ref} of before is still being deleted; it is made once that is gone"
            raise Conflict(message) from None
        _check_ours(existing, subject, ref, installation)
        subject.note(existing, ref, cluster)
        item = (
            subject.template.find(ref.kind, ref.name, subject.values) if subject.template else None
        )
        if item is None or item.matches(existing, subject.values):
            return None
        action = Action(Verb.UPDATE, ref, existing["metadata"]["uid"], "was there already")
        _update(cluster, subject, action, remaining)
        return action
    subject.note(stored, ref, cluster)
    return Action(Verb.CREATE, ref, stored["metadata"]["uid"])


def _post(
    cluster: Cluster,
    subject: Subject,
    manifest: Manifest,
    remaining: Callable[[], float | None],
) -> Manifest:
    address = subject.entry.address
    own = manifest["kind"] == "Service" and manifest["metadata"]["name"] == subject.entry.name
    if not (own and address and "clusterIP" not in manifest["spec"]):
        return cluster.create(manifest, timeout=remaining())
    # A Service made again asks for its old address: routers may still hold connections to it.
    ip = address.rpartition(":")[0].strip("[]")
    wish = {**manifest, "spec": {**manifest["spec"], "clusterIP": ip}}
    try:
        return cluster.create(wish, timeout=remaining())
    except Invalid:
        return cluster.create(manifest, timeout=remaining())


def _update(
    cluster: Cluster,
    subject: Subject,
    action: Action,
    remaining: Callable[[], float | None],
) -> None:
    manifest = subject.manifest(action.ref)
    # With the UID the API server refuses if another object has taken the name since.
    metadata = {**manifest["metadata"], "uid": action.uid}
    stored = cluster.apply({**manifest, "metadata": metadata}, timeout=remaining())
    subject.note(stored, action.ref, cluster)


def _check_ours(existing: Manifest, subject: Subject, ref: Ref, installation: Installation) -> None:
    whose = holder(existing, installation=installation, pod=subject.entry.pk)
    if whose == Holder.OURS:
        return
    if whose == Holder.FOREIGN:
        message = (
            f"{ref} exists and is not ours (its label {naming.INSTALLATION_LABEL} is not "
            f"{installation.id}): left alone. Delete or rename it, then sync"
        )
    else:
        labels = existing["metadata"]["labels"]
        user = labels.get(naming.USER_ID_LABEL)
        message = (
            f"{ref} belongs to another pod ({naming.POD_LABEL}={labels[naming.POD_LABEL]}, "
            f"{naming.USER_ID_LABEL}={user}): left alone. If that is gone and nobody needs it, "
            "delete it, then sync"
        )
    raise NotOurs(message)


def _is_gone(
    cluster: Cluster,
    subject: Subject,
    actions: list[Action],
    installation: Installation,
    remaining: Callable[[], float | None],
) -> bool:
    """Tell whether nothing is left: finalizers hold objects, and pods take time to stop.

    A pod that still runs would be reached through the Service of a new user of the same name.
    """
    if any(cluster.get(action.ref, timeout=remaining()) is not None for action in actions):
        return False
    if subject.entry.name is None:
        return True
    labels = {
        naming.INSTALLATION_LABEL: installation.id,
        naming.POD_LABEL: subject.entry.pk,
    }
    pods = cluster.list(POD, namespace=subject.entry.namespace, labels=labels, timeout=remaining())
    return next(iter(pods), None) is None


def health_after(subject: Subject, outcome: Outcome) -> Health:
    """Return what the row is to say."""
    error = outcome.error
    if error is not None:
        if subject.entry.absent:
            return Health(State.DELETING, str(error))
        if error.transient:
            # It may come by itself; what was last seen stays true.
            return Health(State(subject.entry.state), str(error))
        return Health(State.FAILED, str(error))
    if subject.template is None:
        if outcome.gone:
            return Health(State.STOPPED, "")
        return Health(State.DELETING, "Its pods are being stopped.")
    found = subject.health or Health(State.STARTING)
    if found.state == State.RUNNING and any(
        action.verb == Verb.UPDATE and action.ref.kind != SERVICE for action in outcome.done
    ):
        return Health(State.STARTING)
    return found
