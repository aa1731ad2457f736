"""What is there and what should be, turned into what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from django_userpods.core import naming

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from django_userpods.core.naming import InstallationIdentity
    from django_userpods.core.objects import Manifest, Ref


class Verb(StrEnum):
    """What to do with one object; its text is what reports and ``--dry-run`` say."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Holder(StrEnum):
    """Whose an object of a wanted name is."""

    OURS = "ours"
    OTHER_POD = "other pod"
    FOREIGN = "foreign"


class Observed(NamedTuple):
    """What a plan needs to know of an object that carries our installation's label.

    ``differences`` are the declared fields that are not as declared (empty where the object is
    not wanted at all). ``username`` is said of an object of which nobody is known to be the owner.
    """

    ref: Ref
    uid: str
    differences: tuple[str, ...] = ()
    username: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. ``uid`` is the object's as observed, empty where there is none.

    An update that ``keeps_pods`` leaves a workload's pod template as it was found. One that was
    done names the ``pod`` whose object it is by its id.
    """

    verb: Verb
    ref: Ref
    uid: str = ""
    reason: str = ""
    keeps_pods: bool = False
    pod: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.verb} {self.ref}" + (f" ({self.reason})" if self.reason else "")


def plan(
    wanted: Iterable[Ref], observed: Iterable[Observed], *, retain: Collection[str]
) -> list[Action]:
    """Return what makes one user's objects as wanted: nothing to do is an empty list.

    ``wanted`` is in the order of creation and empty for a user who should have nothing.
    ``retain`` names the kinds of which nothing is ever deleted. Nor is an object that is wanted
    under another version of its API, as whose it is found, too.
    """
    seen = {item.ref: item for item in observed}
    wanted = list(wanted)
    kept = {seen[ref].uid for ref in wanted if ref in seen}
    actions = []
    for ref in wanted:
        found = seen.pop(ref, None)
        if found is None:
            actions.append(Action(Verb.CREATE, ref))
        elif found.differences:
            actions.append(Action(Verb.UPDATE, ref, found.uid, reason_of(found.differences)))
    actions.extend(
        Action(Verb.DELETE, item.ref, item.uid)
        for item in seen.values()
        if item.ref.kind.kind not in retain and item.uid not in kept
    )
    return actions


def reason_of(differences: Sequence[str]) -> str:
    """Return for people why an object is to be updated: the first of its fields that differ."""
    return ", ".join(differences[:5]) + (" ..." if len(differences) > 5 else "")


def holder(existing: Manifest, *, installation: InstallationIdentity, pod: str) -> Holder:
    """Tell whose an object is that stands where one of a pod's should; ``pod`` is the row's id."""
    labels = existing.get("metadata", {}).get("labels") or {}
    if labels.get(naming.INSTALLATION_LABEL) != installation.id:
        return Holder.FOREIGN
    if labels.get(naming.POD_LABEL) == pod:
        return Holder.OURS
    return Holder.OTHER_POD if naming.POD_LABEL in labels else Holder.FOREIGN


def is_mass_deletion(*, deletions: int, total: int) -> bool:
    """Tell whether a sync would delete suspiciously many: all, or more than half."""
    return deletions * 2 > total
