"""Carry out one user's plan. Speaks to the cluster, not to the database: threads run this."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from django_userpods.core import kinds, naming
from django_userpods.core.health import Health
from django_userpods.core.objects import CLAIM, POD, SERVICE, Manifest, Ref
from django_userpods.core.plan import Action, Holder, Verb, holder
from django_userpods.core.states import State
from django_userpods.exceptions import (
    AlreadyExists,
    ClusterError,
    ClusterUnavailable,
    Invalid,
    NotOurs,
    StillDeleting,
    Unauthorized,
)
from django_userpods.reconcile import claims

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.naming import InstallationIdentity
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
    installation: InstallationIdentity,
    remaining: Callable[[], float | None],
) -> Outcome:
    """Carry out the actions in order; raises no ClusterError.

    One that is refused does not hold up those that do not need it. The outcome has the first
    error.
    """
    outcome = Outcome()
    something_is_missing = False
    for action in actions:
        if outcome.error is not None and _has_to_wait(action, subject, something_is_missing):
            continue
        try:
            done = _act(cluster, subject, action, installation, remaining)
        except ClusterError as error:
            extra = {"pod": subject.entry.pk, "reason": str(error)}
            # Not at each try: what is on the row already was said.
            level = logging.DEBUG if subject.entry.message == str(error) else logging.WARNING
            logger.log(level, "%s: %s", subject.entry, error, extra=extra)
            outcome.error = outcome.error or error
            if isinstance(error, ClusterUnavailable | Unauthorized):
                return outcome
            something_is_missing = something_is_missing or action.verb == Verb.CREATE
        else:
            if done is not None:
                outcome.done.append(replace(done, pod=subject.entry.pk))
    if outcome.error is None and (subject.template is None or subject.entry.recreate):
        try:
            outcome.gone = _is_gone(cluster, subject, actions, installation, remaining)
        except ClusterError as error:
            outcome.error = error
    return outcome


def _has_to_wait(action: Action, subject: Subject, something_is_missing: bool) -> bool:
    """Tell whether an action may need what was refused.

    A workload may need an object that could not be made (its policy, its volume), and one that
    could not be changed may still need what is to be deleted.
    """
    if action.verb == Verb.DELETE:
        return subject.template is not None and not subject.entry.recreate
    return something_is_missing and action.ref.kind.kind in kinds.POD_RUNNERS


def _act(
    cluster: Cluster,
    subject: Subject,
    action: Action,
    installation: InstallationIdentity,
    remaining: Callable[[], float | None],
) -> Action | None:
    if action.verb == Verb.CREATE:
        return _create(cluster, subject, action.ref, installation, remaining)
    if action.verb == Verb.UPDATE:
        return _update(cluster, subject, action, remaining)
    cluster.delete(action.ref, uid=action.uid, timeout=remaining())
    subject.observe_deletion(action.ref)
    return action


def _create(
    cluster: Cluster,
    subject: Subject,
    ref: Ref,
    installation: InstallationIdentity,
    remaining: Callable[[], float | None],
) -> Action | None:
    """Create an object; None where it was there already, ours and as it should be."""
    manifest = subject.manifest(ref)
    try:
        stored = _post(cluster, subject, manifest, remaining)
    except AlreadyExists:
        existing = cluster.get(ref, timeout=remaining())
        if existing is None or "deletionTimestamp" in existing["metadata"]:
            raise StillDeleting(ref) from None
        _check_ours(existing, subject, ref, installation)
        subject.observe(existing, ref, cluster)
        differences = subject.compare(existing, ref)
        if not differences or subject.is_known(ref, differences):
            return None
        action = Action(Verb.UPDATE, ref, existing["metadata"]["uid"], "was there already")
        return _update(cluster, subject, action, remaining)
    subject.observe(stored, ref, cluster)
    subject.note_overruled(stored, ref)
    return Action(Verb.CREATE, ref, stored["metadata"]["uid"])


def _post(
    cluster: Cluster,
    subject: Subject,
    manifest: Manifest,
    remaining: Callable[[], float | None],
) -> Manifest:
    address = subject.last_address
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
) -> Action:
    ref = action.ref
    manifest = subject.manifest(ref)
    if ref.kind == CLAIM:
        found = cluster.get(ref, timeout=remaining())
        manifest = manifest if found is None else claims.as_large(manifest, found)
    if action.keeps_pods:
        manifest = _with_pods_of(cluster.get(ref, timeout=remaining()), manifest)
    # With the UID the API server refuses if another object has taken the name since.
    metadata = {**manifest["metadata"], "uid": action.uid}
    try:
        stored = cluster.apply({**manifest, "metadata": metadata}, timeout=remaining())
    except Invalid as error:
        fixed = fixed_changes(subject, ref)
        if not fixed:
            raise
        if ref.kind.kind not in kinds.REPLACEABLE:
            message = (
                f"{error}. What cannot be changed of a {ref.kind.kind} is {', '.join(fixed)}: "
                f"take the change back, or delete {ref} (with what it holds) and sync"
            )
            raise Invalid(message, status=error.status) from error
        stored = _replace(cluster, action, manifest, remaining)
        action = dataclasses.replace(action, reason=f"{action.reason}; replaced")
    subject.observe(stored, ref, cluster)
    if not action.keeps_pods:
        subject.note_overruled(stored, ref)
    return action


def _with_pods_of(found: Manifest | None, manifest: Manifest) -> Manifest:
    """Return a workload's manifest with the pod template as it is in the cluster.

    And with the digest of what that was made of, since it is still behind.
    """
    if found is None:
        return manifest
    name = naming.TEMPLATE_HASH_ANNOTATION
    annotations = {**manifest["metadata"]["annotations"]}
    if (digest := (found["metadata"].get("annotations") or {}).get(name)) is not None:
        annotations[name] = digest
    else:
        del annotations[name]
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "annotations": annotations},
        "spec": {**manifest["spec"], "template": found["spec"]["template"]},
    }


def fixed_changes(subject: Subject, ref: Ref) -> list[str]:
    """Return the changed fields of an object that cannot be changed once it is there."""
    known = kinds.about(ref.kind)
    paths = [".".join(path) for path in known.fixed] if known is not None else []
    changed = [path for item in subject.observed if item.ref == ref for path in item.differences]
    if ref.kind == SERVICE and ".spec.type" in changed:
        return []  # one of another type may have another address
    return [path for path in paths if any(where.startswith(f".{path}") for where in changed)]


def _replace(
    cluster: Cluster,
    action: Action,
    manifest: Manifest,
    remaining: Callable[[], float | None],
) -> Manifest:
    """Make a Job anew: it is made to be run again, and its template cannot be changed."""
    cluster.delete(action.ref, uid=action.uid, timeout=remaining())
    try:
        return cluster.create(manifest, timeout=remaining())
    except AlreadyExists:
        raise StillDeleting(action.ref) from None


def _check_ours(
    existing: Manifest, subject: Subject, ref: Ref, installation: InstallationIdentity
) -> None:
    """Raise NotOurs where an object is not this pod's, with what to do."""
    whose = holder(existing, installation=installation, pod=subject.entry.pk)
    if whose == Holder.OURS:
        return
    if whose == Holder.FOREIGN:
        message = f"{ref} exists and is not ours: left alone. {_what_to_do(existing, installation)}"
    else:
        labels = existing["metadata"]["labels"]
        user = labels.get(naming.USER_ID_LABEL)
        message = (
            f"{ref} belongs to another pod ({naming.POD_LABEL}={labels[naming.POD_LABEL]}, "
            f"{naming.USER_ID_LABEL}={user}): left alone. If that is gone and nobody needs it, "
            "delete it, then sync"
        )
    raise NotOurs(message)


def _what_to_do(existing: Manifest, installation: InstallationIdentity) -> str:
    """Say what to do about a name that is taken. What may be a production is not to be deleted."""
    labels = existing["metadata"].get("labels") or {}
    other = labels.get(naming.INSTALLATION_LABEL)
    if other in (None, "", installation.id):
        return "Delete or rename it, then sync"
    name = labels.get(naming.INSTANCE_LABEL)
    alike = ", as this one is: give each a USERPODS_INSTANCE" if name == installation.name else ""
    return (
        f"It is another installation's ({naming.INSTALLATION_LABEL}={other}, called {name}"
        f"{alike}), and its pod may be in use: take another USERPODS_NAMESPACE or "
        "USERPODS_NAME_PREFIX here. "
        f"Only if that database is lost for good: sync_userpods --adopt-from {other}"
    )


def _is_gone(
    cluster: Cluster,
    subject: Subject,
    actions: list[Action],
    installation: InstallationIdentity,
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
        if subject.held and subject.health is not None:
            return Health(subject.health.state, str(error))  # it runs as it did
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
        action.verb == Verb.UPDATE and action.ref.kind != SERVICE and not action.keeps_pods
        for action in outcome.done
    ):
        return Health(State.STARTING)
    return found
