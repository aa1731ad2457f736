"""The tables of what was asked of pods and what came of it: of each, and of several at once."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_userpods.labels import STATE_LABELS


class BulkRun(models.Model):
    """Something that was asked of several pods at once, with a page that says what came of it.

    What came of it for each pod is in that pod's history: ``Transition.run``. The last ``KEPT``
    runs are kept. ``reconcile.history`` writes them.
    """

    #: The number of runs that are kept.
    KEPT = 100

    id = models.BigAutoField(primary_key=True)
    operation = models.CharField(_("asked for"), max_length=16, editable=False)
    actor = models.CharField(_("by"), max_length=255, blank=True, default="", editable=False)
    at = models.DateTimeField(_("at"), default=timezone.now, editable=False)
    number = models.PositiveIntegerField(_("number of pods"), editable=False)

    class Meta:
        verbose_name = _("bulk run")
        verbose_name_plural = _("bulk runs")
        # Nobody adds, changes or deletes one; who may do what was done may see it.
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return f"{self.operation} × {self.number}"  # noqa: RUF001 - a multiplication sign


class Transition(models.Model):
    """One line of a pod's history: what was asked for, or another state that was seen.

    ``operation`` is what somebody asked for (``lifecycle.Operation``), and ``outcome`` what came of
    it, empty until that is known; a line without one is a state that the cluster was found in.
    The last ``KEPT`` of each pod are kept. ``reconcile.history`` writes them.
    """

    #: The number of lines of a pod that are kept.
    KEPT = 50

    class Outcome(models.TextChoices):
        """What came of what was asked for."""

        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        REPLACED = "replaced", _("something else was asked for before")

    id = models.BigAutoField(primary_key=True)
    pod = models.ForeignKey(
        "UserPod",
        verbose_name=_("user pod"),
        related_name="transitions",
        on_delete=models.CASCADE,
        db_constraint=False,
    )
    #: Where it was asked of several at once.
    run = models.ForeignKey(
        BulkRun,
        verbose_name=_("bulk run"),
        related_name="lines",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
    )
    at = models.DateTimeField(_("at"), default=timezone.now, editable=False)
    operation = models.CharField(_("asked for"), max_length=16, blank=True, default="")
    actor = models.CharField(
        _("by"),
        max_length=255,
        blank=True,
        default="",
        help_text=_("A username, or which part of the site."),
    )
    before = models.CharField(_("state before"), max_length=16, choices=STATE_LABELS)
    after = models.CharField(_("state after"), max_length=16, choices=STATE_LABELS)
    message = models.TextField(_("message"), blank=True, default="")
    outcome = models.CharField(
        _("outcome"), max_length=16, choices=Outcome.choices, blank=True, default=""
    )
    settled_at = models.DateTimeField(_("outcome known at"), null=True, editable=False)

    class Meta:
        verbose_name = _("transition")
        verbose_name_plural = _("transitions")

    def __str__(self) -> str:
        return f"{self.operation or self.before} → {self.after}"
