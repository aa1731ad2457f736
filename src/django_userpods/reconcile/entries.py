"""What a run knows of rows and users: which pods it is about, and one entry for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from django_userpods.core import naming
from django_userpods.models import UserPod

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection

    from django.contrib.auth.models import AbstractBaseUser

#: The columns of a row that a run reads, in the order of an entry's fields.
FIELDS = (
    "pk",
    "owner_pk",
    "owner_id",
    "slot",
    "name",
    "namespace",
    "wanted",
    "state",
    "message",
    "address",
    "image",
    "kinds",
    "restarted_at",
    "recreate",
    "overruled",
    "activity",
    "turn",
    "step_times",
    "restarts",
    "profile",
    "to_sync",
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pods a run is about: everybody's, or those of some users and some one by one.

    ``user_pks`` are primary keys as text, ``pods`` the ids of rows.
    """

    user_pks: frozenset[str] | None = None
    pods: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, user_pks: Collection[str] | None = None, pods: Collection[str] | None = None
    ) -> Scope:
        """Return the scope of a request; of neither is everybody."""
        if user_pks is None and pods is None:
            return cls()
        return cls(frozenset(user_pks or ()), frozenset(pods or ()))

    @property
    def everybody(self) -> bool:
        """Whether it is about all users."""
        return self.user_pks is None

    @property
    def where(self) -> Q:
        """What selects the rows."""
        if self.user_pks is None:
            return Q()
        return Q(owner_pk__in=self.user_pks) | Q(pk__in=self.pods)

    def __len__(self) -> int:
        return len(self.user_pks or ()) + len(self.pods)


@dataclass(slots=True)
class Entry:
    """One pod in a run: the row as read, and its user where there still is one."""

    #: The row's id, which objects carry as a label; of objects of unknown owners, the label.
    pk: str
    user_pk: str
    user_id: Any
    slot: str
    name: str | None
    namespace: str
    wanted: str
    state: str
    message: str = ""
    address: str | None = None
    image: str = ""
    kinds: str = ""
    restarted_at: datetime.datetime | None = None
    recreate: bool = False
    #: See ``reconcile.overruled``.
    overruled: str = ""
    #: See ``core.activity``.
    activity: str = ""
    #: See ``core.rollout``.
    turn: str = ""
    #: See ``core.step_times``.
    step_times: str = ""
    restarts: int = 0
    #: The slug of its profile, "" for none.
    profile: str = ""
    to_sync: bool = False
    username: str = ""
    #: The user, kept only where the template depends on it.
    user: AbstractBaseUser | None = None
    exists: bool = False
    #: Whether there is a row.
    stored: bool = True
    #: That the row should be otherwise is this run's own finding; nobody has asked for it before.
    found_out: bool = False
    #: How much the template appends to the name, where that is still to be found.
    room: int = 0

    @property
    def absent(self) -> bool:
        """Whether it should have nothing."""
        return self.wanted == UserPod.Wanted.ABSENT

    @property
    def as_asked(self) -> dict[str, Any]:
        """What was asked of the pod when it was read: a row that differs was asked for more."""
        return {
            "pk": self.pk,
            "wanted": self.wanted,
            "restarted_at": self.restarted_at,
            "recreate": self.recreate,
            "profile": self.profile,
        }

    @property
    def identity(self) -> naming.PodIdentity:
        """What its objects carry as labels."""
        return naming.PodIdentity(self.pk, self.user_pk)

    def __str__(self) -> str:
        return self.name or self.username or self.user_pk


@dataclass(slots=True)
class RowChanges:
    """Rows and users side by side: who takes part, who has to wait for a name, what went wrong."""

    entries: list[Entry] = field(default_factory=list)
    #: Pods whose name is still held by one whose objects are going.
    waiting: list[Entry] = field(default_factory=list)
    #: (user's primary key, username, message) of users for whom the settings could not be used.
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    #: Why the database does not take the rows of new entries, by their ids.
    refused: dict[str, str] = field(default_factory=dict)
    #: What ``store`` is to write: new rows, rows that changed, rows that get a name at last.
    new: list[Entry] = field(default_factory=list)
    changed: list[Entry] = field(default_factory=list)
    nameless: list[Entry] = field(default_factory=list)

    def sort(self) -> None:
        """Part those who have a name (or need none) from those who wait for one."""
        everybody = [*self.entries, *self.waiting]
        self.entries = [entry for entry in everybody if entry.name or entry.absent]
        self.waiting = [entry for entry in everybody if not (entry.name or entry.absent)]
