"""The table of who else may reach a pod: users and groups whom its owner, or staff, let in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from typing import Self


class ShareQuerySet(models.QuerySet["Share"]):
    """Queries for shares."""

    def valid(self) -> Self:
        """Return those that are not over yet."""
        return self.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()))

    def with_user(self, user: Any) -> Self:  # noqa: ANN401 - the project's own user model
        """Return those with a user, or with a group that the user is in."""
        found = models.Q(user=user.pk)
        groups: Any = getattr(user, "groups", None)
        # A user model of the project's own may have none, or groups that are something else.
        if getattr(groups, "model", None) is Share._meta.get_field("group").related_model:  # noqa: SLF001 - documented name
            found |= models.Q(group__in=groups.order_by().values("pk"))
        return self.filter(found)


class Share(models.Model):
    """One user or group who may reach a pod that is not theirs, until then or for good.

    What it lets them do is to reach the pod, and nothing else. ``lifecycle.share`` makes one.
    """

    pod = models.ForeignKey(
        "UserPod",
        verbose_name=_("user pod"),
        related_name="shares",
        on_delete=models.CASCADE,
        db_constraint=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        related_name="userpods_shares",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        db_constraint=False,
    )
    group = models.ForeignKey(
        "auth.Group",
        verbose_name=_("group"),
        related_name="userpods_shares",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        db_constraint=False,
    )
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, help_text=_("Leave empty for no expiry.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    created_by = models.CharField(_("by"), max_length=255, blank=True, default="", editable=False)

    objects = ShareQuerySet.as_manager()

    class Meta:
        verbose_name = _("share")
        verbose_name_plural = _("shares")
        constraints: ClassVar = [
            models.CheckConstraint(
                name="userpods_share_with_one",
                violation_error_message=_("Name one user or one group."),
                condition=models.Q(user__isnull=False, group__isnull=True)
                | models.Q(user__isnull=True, group__isnull=False),
            ),
            models.UniqueConstraint(fields=["pod", "user"], name="userpods_share_user_unique"),
            models.UniqueConstraint(fields=["pod", "group"], name="userpods_share_group_unique"),
        ]

    def __str__(self) -> str:
        try:
            return str(self.user or self.group)
        except ObjectDoesNotExist:
            return f"share #{self.pk}"  # SQL deleted them behind Django's back

    @property
    def is_valid(self) -> bool:
        """Tell whether it is not over yet."""
        return self.expires_at is None or self.expires_at > timezone.now()
