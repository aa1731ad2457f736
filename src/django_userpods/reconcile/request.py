"""What a run was asked for, and where it is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django_userpods.exceptions import OutOfTime
from django_userpods.reconcile.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Ref
    from django_userpods.core.shape import Difference
    from django_userpods.reconcile.entries import Entry, Scope

    #: Told (phase, done, total) as a run goes on; total is 0 where it is not known.
    Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What a run was asked for; ``timeout`` bounds it in seconds."""

    scope: Scope
    prune: bool
    allow_mass_delete: bool
    dry_run: bool
    timeout: float | None
    progress: Progress
    asked_deletions: bool = False
    #: Tells of a pod, by its id, that somebody else is making what it lacks.
    is_made_elsewhere: Callable[[str], bool] | None = None
    #: Tells of a pod, by its id, that its containers may have been started again.
    may_have_restarted: Callable[[str], bool] | None = None


@dataclass(slots=True)
class Run:
    """A run on its way."""

    request: Request
    report: Report
    #: The cluster that it began with, to its end.
    cluster: Cluster | None = None
    #: By ``time.monotonic()``; None for one that may take its time.
    deadline: float | None = None
    #: Users who want another pass, and whether this pass gave that one something to go on.
    again: set[str] = field(default_factory=set)
    freed: bool = False
    #: Users of whose pods another run has written meanwhile; they want another pass, too.
    crossed: set[str] = field(default_factory=set)
    #: Pods whose rows went while objects were made.
    orphans: list[Entry] = field(default_factory=list)
    #: Names of pods that wait for their turn, by their ids.
    waiting: dict[str, str] = field(default_factory=dict)
    #: Where Services were that are made again, by the pod's id.
    last_addresses: dict[str, str] = field(default_factory=dict)
    #: For a rehearsal, what is not as declared; a run needs no more of it than a plan has.
    differences: dict[Ref, list[Difference]] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> Run:
        """Begin a run: its time counts from now."""
        run = cls(request, Report(dry_run=request.dry_run))
        if request.timeout is not None:
            run.deadline = time.monotonic() + request.timeout
        return run

    def check_guard(self) -> None:
        """Raise NotLeading where rows, as objects, are another controller's to write by now."""
        if self.cluster is not None and self.cluster.guard is not None:
            self.cluster.guard()

    def remaining(self) -> float | None:
        """Return the seconds left; raise OutOfTime where there are none."""
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            message = "no time left in this request; the next sync goes on"
            raise OutOfTime(message)
        return left
