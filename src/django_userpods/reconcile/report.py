"""What a reconcile did, for whoever asked: commands, the admin, tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django_userpods.core.naming import readable, readable_object
from django_userpods.core.plan import Verb
from django_userpods.core.shape import MISSING

if TYPE_CHECKING:
    from django_userpods.core.objects import Ref
    from django_userpods.core.plan import Action
    from django_userpods.core.shape import Difference
    from django_userpods.exceptions import MassDeletionRefused


@dataclass(frozen=True, slots=True)
class Failure:
    """One user for whom something could not be done."""

    user_pk: str
    name: str
    message: str
    #: Whether the same may well succeed later without anyone doing anything.
    transient: bool = False
    #: The id of the row, where it is about one pod.
    pod: str = ""
    #: The user's name, as they write it.
    username: str = field(default="", compare=False)
    #: Whether what stands against it may go at any moment by itself or by others: all that is
    #: ``transient``, a quota that is used up, a namespace that is not there.
    may_be_over: bool = field(default=False, compare=False)

    @property
    def label(self) -> str:
        """Whose it is, for people."""
        return readable(self.name, self.username)


@dataclass(slots=True)
class Report:
    """What was done, or with ``dry_run`` what would be."""

    dry_run: bool = False
    #: How many users were looked at.
    users: int = 0
    #: How many of them needed nothing.
    unchanged: int = 0
    done: list[Action] = field(default_factory=list)
    #: The names of the users whose pods ``done`` is about, by the ids of pods; none of those of
    #: whom neither database nor cluster knows it.
    usernames: dict[str, str] = field(default_factory=dict)
    #: With ``dry_run``, in what the objects that would be updated are not as declared. The values
    #: of Secrets are masked.
    differences: dict[Ref, list[Difference]] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    #: What the cluster has changed in objects as they were written: no failure.
    overruled: list[str] = field(default_factory=list)
    #: Users for whom there was no time left, or who wait for others; the next sync does them.
    not_done: list[str] = field(default_factory=list)
    #: Users whose pods another run looked at, too, each time: one of the two was the last, which is
    #: no failure.
    crossed: list[str] = field(default_factory=list)
    #: Names of pods that wait for their turn (``USERPODS_ROLLOUT``), which is no failure.
    waiting: list[str] = field(default_factory=list)
    #: Whether that is their next start, for which nobody else can do anything.
    at_next_start: bool = False
    #: Whether nobody is given one any more: after how many failures, and what the last was.
    stopped: tuple[int, str] | None = None
    refused: MassDeletionRefused | None = None
    #: With ``asked_deletions``: ids of rows that were left alone.
    left_alone: list[str] = field(default_factory=list)
    #: Ids of pods that there is no row of, and of which objects are there after the run all the
    #: same: kept by ``USERPODS_RETAIN``, refused to be deleted, or not gone yet.
    strangers: set[str] = field(default_factory=set)
    #: Whether the cluster stopped answering on the way.
    unavailable: bool = False

    @property
    def ok(self) -> bool:
        """Whether database and cluster now agree."""
        return not (self.failed or self.not_done or self.refused)

    def counts(self) -> dict[str, int]:
        """Return how many objects were created, updated and deleted."""
        counter = Counter(action.verb for action in self.done)
        return {
            "created": counter[Verb.CREATE],
            "updated": counter[Verb.UPDATE],
            "deleted": counter[Verb.DELETE],
        }

    def label(self, action: Action) -> str:
        """Return for people which object an action is about, and whose it is."""
        return readable_object(action.ref, action.ref.name, self.usernames.get(action.pod, ""))

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "users": self.users,
            "unchanged": self.unchanged,
            **self.counts(),
            "actions": [
                {
                    "verb": str(action.verb),
                    "kind": action.ref.kind.kind,
                    "namespace": action.ref.namespace,
                    "name": action.ref.name,
                    "username": self.usernames.get(action.pod, ""),
                    "reason": action.reason,
                    **_diff(self.differences.get(action.ref)),
                }
                for action in self.done
            ],
            "failed": [
                {"user_id": item.user_pk, "name": item.name, "message": item.message}
                for item in self.failed
            ],
            "overruled": self.overruled,
            "not_done": self.not_done,
            "waiting": self.waiting,
            "rollout_stopped": self.stopped[1] if self.stopped else None,
            "refused": str(self.refused) if self.refused else None,
        }


def _diff(differences: list[Difference] | None) -> dict[str, Any]:
    """Return what is not as declared; a side on which there is nothing is left out."""
    if not differences:
        return {}
    return {
        "diff": [
            {
                "path": item.path,
                **{
                    side: value
                    for side, value in (("is", item.found), ("should_be", item.wanted))
                    if value is not MISSING
                },
            }
            for item in differences
        ]
    }
