"""The tables: whose objects are ours, who should have a pod and how it is doing, and ``tokens``."""

from __future__ import annotations

import datetime
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models, router
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_userpods import joins
from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.core.states import State as _State
from django_userpods.core.step_times import LONGEST
from django_userpods.labels import STATE_LABELS, TURN_LABELS
from django_userpods.profiles import Profile, ProfileVersion
from django_userpods.shares import Share
from django_userpods.tokens import AccessToken, PodSession
from django_userpods.transitions import BulkRun, Transition

if TYPE_CHECKING:
    from django_userpods.core.lifetime import Lifetime

__all__ = [
    "AccessToken",
    "BulkRun",
    "Installation",
    "PodSession",
    "Profile",
    "ProfileVersion",
    "Share",
    "Transition",
    "UserPod",
]

#: A whole run is noted no more often, so that one with nothing to do writes nothing.
_NOTED_EVERY = datetime.timedelta(minutes=1)


def random_identifier() -> str:
    """Return 64 random bits as a label's value."""
    return secrets.token_hex(8)


class InstallationManager(models.Manager["Installation"]):
    """Finds the one row."""

    def current(self, *, write: bool = True) -> Installation:
        """Return the row, made where there is none; with ``write=False`` unsaved then.

        Read from the database that is written to: a replica that has no row yet, or another's,
        would make us somebody else.
        """
        rows = self.using(router.db_for_write(Installation))
        found = rows.filter(pk=Installation.PK).first()
        if found is not None:
            return found
        # Two processes may be here at once: one makes it, both read it.
        return rows.get_or_create(pk=Installation.PK)[0] if write else Installation()

    def lock(self) -> None:
        """Let no other transaction past its own ``lock`` until this one has ended.

        By a write, as some databases lock nothing that is read, and SQLite lets nobody write later
        who has read first.
        """
        rows = self.using(router.db_for_write(Installation)).filter(pk=Installation.PK)
        rows.update(rollout_failures=models.F("rollout_failures"))

    def note_sync(self, failures: int) -> None:
        """Note that a run looked at everything and came to its end now, exact to a minute."""
        rows = self.using(router.db_for_write(Installation)).filter(pk=Installation.PK)
        now = timezone.now()
        lately = rows.filter(
            synced_at__gt=now - _NOTED_EVERY, sync_failures=failures, trouble_since=None
        )
        if not lately.exists():
            rows.update(synced_at=now, sync_failures=failures, trouble="", trouble_since=None)

    def note_trouble(self, message: str) -> None:
        """Note why a run that was to look at everything did not come to its end."""
        rows = self.using(router.db_for_write(Installation)).filter(pk=Installation.PK)
        since = Coalesce("trouble_since", models.Value(timezone.now()))
        rows.exclude(trouble=message).update(trouble=message, trouble_since=since)


class Installation(models.Model):
    """Who we are to a cluster, so that objects of another database are never taken for ours.

    One row with a random identifier. It is on every object as a label and in every list's
    selector. A test database, an empty one or another site's is another installation; a restored
    backup is the same one.
    """

    #: The only primary key there is.
    PK = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=PK, editable=False)
    identifier = models.CharField(
        _("identifier"), max_length=32, default=random_identifier, editable=False
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    #: When the routers last told which pods are used, and since when that is known without a gap.
    heard_at = models.DateTimeField(_("heard at"), null=True, editable=False)
    known_since = models.DateTimeField(_("known since"), null=True, editable=False)
    #: When a run last looked at everything and came to its end, and for how many it failed.
    synced_at = models.DateTimeField(_("last sync"), null=True, editable=False)
    sync_failures = models.PositiveIntegerField(_("failures"), default=0, editable=False)
    #: Why the last such run did not: what the cluster, or its client, said; and since when.
    trouble = models.TextField(_("trouble"), blank=True, default="", editable=False)
    trouble_since = models.DateTimeField(_("trouble since"), null=True, editable=False)
    #: Of which template pods are given turns, how many of them failed in a row, and the last; see
    #: ``reconcile.rollout``.
    rollout_of = models.CharField(
        _("template of the rollout"), max_length=64, blank=True, default="", editable=False
    )
    rollout_failures = models.PositiveIntegerField(
        _("failures of the rollout"), default=0, editable=False
    )
    rollout_reason = models.TextField(
        _("last failure of the rollout"), blank=True, default="", editable=False
    )
    rollout_stopped_at = models.DateTimeField(_("rollout stopped at"), null=True, editable=False)

    objects = InstallationManager()

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installations")

    def __str__(self) -> str:
        return self.identifier


class UserPod(models.Model):
    """A pod of a user's: what is wanted, and how it was last seen.

    A user's main pod has an empty ``slot``; further ones have one each. The row's ``id`` is random
    and never used again; it is on all of the pod's objects, so what is left of a former user's is
    never taken for that of a new user of the same key or name.

    The row outlives its user until the pod's objects are gone: ``owner`` is then empty and
    ``wanted`` is *absent*. Neither the relation's deletion nor a database constraint can hold up
    or break the deletion of a user.
    """

    class Wanted(models.TextChoices):
        """What should be."""

        RUNNING = "running", _("running")
        STOPPED = "stopped", _("stopped")
        ABSENT = "absent", _("absent")

    #: What was last seen.
    State = _State

    id = models.CharField(
        primary_key=True, max_length=16, default=random_identifier, editable=False
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        related_name="userpods",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        # SQL may delete a user behind Django's back; the next sync notices.
        db_constraint=False,
    )
    owner_pk = models.CharField(
        _("owner's primary key"), max_length=255, db_index=True, editable=False
    )
    slot = models.CharField(
        _("slot"),
        max_length=naming.MAX_SLOT,
        blank=True,
        default="",
        editable=False,
        help_text=_("Empty for the main pod."),
    )
    name = models.CharField(  # noqa: DJ001 - NULL is "none yet", and unique
        _("name"), max_length=63, null=True, unique=True, editable=False
    )
    namespace = models.CharField(_("namespace"), max_length=63, editable=False)
    profile = models.CharField(
        _("profile"),
        max_length=63,
        blank=True,
        default="",
        db_index=True,
        editable=False,
        help_text=_("The one that its user chose; empty for the standard one."),
    )
    wanted = models.CharField(
        _("wanted"), max_length=16, choices=Wanted.choices, default=Wanted.RUNNING
    )
    state = models.CharField(
        _("state"), max_length=16, choices=STATE_LABELS, default=_State.PENDING, db_index=True
    )
    message = models.TextField(_("message"), blank=True, default="")
    address = models.CharField(  # noqa: DJ001 - NULL is "none", and unique
        _("address"),
        max_length=64,
        null=True,
        unique=True,
        editable=False,
        help_text=_("The Service's own IP address and port."),
    )
    image = models.CharField(_("image"), max_length=512, blank=True, default="", editable=False)
    kinds = models.TextField(
        _("kinds"),
        blank=True,
        default="",
        editable=False,
        help_text=_("The kinds of object made so far, separated by commas."),
    )
    restarted_at = models.DateTimeField(_("restarted at"), null=True, editable=False)
    recreate = models.BooleanField(_("to be deleted and recreated"), default=False, editable=False)
    #: A sync was asked for, and the pod has not been looked at since.
    to_sync = models.BooleanField(_("to be synced"), default=False, editable=False)
    overruled = models.TextField(
        _("overruled"),
        blank=True,
        default="",
        editable=False,
        help_text=_("Objects that the cluster changes in what is declared, with a digest of each."),
    )
    #: When a look was asked of a controller that has not been done yet; what it says is never
    #: compared with a clock, only with what it said before.
    asked_at = models.DateTimeField(_("asked at"), null=True, db_index=True, editable=False)
    activity = models.TextField(
        _("rules on activity"),
        blank=True,
        default="",
        editable=False,
        help_text=_("What counts as use of the pod, as its Deployment says."),
    )
    turn = models.CharField(
        _("rollout"),
        max_length=16,
        choices=TURN_LABELS,
        blank=True,
        default="",
        db_index=True,
        editable=False,
        help_text=_("Where it is while a changed template reaches pods in waves."),
    )
    step_times = models.CharField(
        _("times of its steps"), max_length=LONGEST, blank=True, default="", editable=False
    )
    restarts = models.PositiveSmallIntegerField(
        _("restarts"),
        default=0,
        editable=False,
        help_text=_("How often containers of its present pod were started again."),
    )
    last_activity = models.DateTimeField(_("last activity"), null=True, editable=False)
    #: When it was last asked to run, or to run anew.
    started_at = models.DateTimeField(_("started at"), default=timezone.now, editable=False)
    #: When a look at the cluster last found something new, or a waiting page asked for one.
    looked_at = models.DateTimeField(_("looked at"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("user pod")
        verbose_name_plural = _("user pods")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["owner", "slot"], name="userpods_slot_unique")
        ]
        permissions: ClassVar = [
            ("sync_userpod", _("Can sync user pods")),
            ("start_userpod", _("Can start user pods")),
            ("stop_userpod", _("Can stop user pods")),
            ("restart_userpod", _("Can restart user pods")),
            ("recreate_userpod", _("Can delete and recreate user pods")),
            ("choose_profile_userpod", _("Can choose profiles of user pods")),
            ("share_userpod", _("Can share user pods")),
            ("view_userpod_logs", _("Can see events and logs of user pods")),
        ]

    def __str__(self) -> str:
        return self.name or f"user {self.owner_pk}"

    @property
    def plain_message(self) -> str:
        """Why it is not up, in a sentence for its user; ``message`` is for staff alone."""
        from django_userpods import sentences

        return sentences.of(self.state, self.message)

    @property
    def url(self) -> str:
        """The pod's own URL; "" where it has none, or no name yet (``USERPODS_URL``)."""
        return conf.url_of(self.name, slot=self.slot) if self.name else ""

    @property
    def standing(self) -> str:
        """The state for whoever waits: *failed* too where it cannot start as things are."""
        from django_userpods.core.reasons import Reason, reason_of

        if _State(self.state).is_coming and reason_of(self.message) in (Reason.QUOTA, Reason.ROOM):
            return _State.FAILED
        return self.state

    def lifetime(self, known_since: datetime.datetime | None) -> Lifetime:
        """Return until when it runs, where it is known since then which pods are used.

        Somebody who waits for it uses it, and it has all its time once it is up. Raises
        SettingError where ``USERPODS_IDLE_TIMEOUT`` or ``USERPODS_MAX_AGE`` is invalid.
        """
        from django_userpods.core.lifetime import Lifetime

        waited = None if self.state == _State.FAILED else self.looked_at
        return Lifetime(
            started_at=self.started_at,
            last_activity=max(filter(None, (self.last_activity, waited)), default=None),
            idle_timeout=conf.idle_timeout_of(self),
            max_age=conf.max_age_of(self),
            known_since=known_since,
        )

    @property
    def stops_at(self) -> datetime.datetime | None:
        """When it is to be stopped if nobody uses it, None for never. A query if there is a limit.

        About a minute of its last use may not be known yet; each use moves it.
        """
        if self.wanted != self.Wanted.RUNNING or (
            conf.USERPODS_IDLE_TIMEOUT is None and conf.USERPODS_MAX_AGE is None
        ):
            return None
        return self.lifetime(Installation.objects.current(write=False).known_since).stops_at

    @property
    def path(self) -> str:
        """The path at which the pod is found: ``/``, or ``/pods/alice/``."""
        return conf.path_of(self.name) if self.name else "/"


def main_pod_of(user: Any) -> UserPod | None:  # noqa: ANN401 - the project's own user model
    """Return the user's main pod; without a query where the user came ``with_main_pod``."""
    if joins.MAIN_POD in vars(user):
        found: UserPod | None = getattr(user, joins.MAIN_POD)
        return found
    return UserPod.objects.filter(owner=user, slot="").first()


def pod_named(user: Any, name: str) -> UserPod | None:  # noqa: ANN401 - the project's own user model
    """Return the user's pod of this name; without a query where the user came with it."""
    for pod in (vars(user).get(joins.NAMED_POD), vars(user).get(joins.MAIN_POD)):
        if pod is not None and pod.name == name:
            return pod  # type: ignore[no-any-return]
    if vars(user).get(joins.ASKED) == name:
        return None
    return UserPod.objects.filter(owner=user, name=name).first()
