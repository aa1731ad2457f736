"""The tables of what stands for a user: access tokens, tickets, sessions on pods' hosts."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_userpods import joins, times
from django_userpods.signals import tokens_revoked

if TYPE_CHECKING:
    from collections.abc import Sequence


def _find_by_digest(rows: Any, texts: Sequence[str], pod: str) -> list[Any]:  # noqa: ANN401 - a query
    """Return the rows that stand for these texts, in their order; see ``find_all``."""
    digests = list(map(AccessToken.digest_of, texts))
    rows = joins.with_pods(rows.select_related("user"), "user__userpods", pod)
    found = {row.digest: row for row in rows.filter(digest__in=digests).order_by()}
    for row in found.values():
        row.user = joins.user_of(row)
    return [found[digest] for digest in digests if digest in found]


class AccessTokenQuerySet(models.QuerySet["AccessToken"]):
    """Queries for tokens."""

    def issue(
        self,
        user: Any,  # noqa: ANN401 - the project's own user model
        *,
        label: str = "",
        expires_at: datetime.datetime | None = None,
        scope: str = "reach",
    ) -> tuple[AccessToken, str]:
        """Make a token and return it with its text, which is not stored and cannot be had again.

        ``scope`` is one of ``AccessToken.Scope``: what whoever holds the text may do.
        """
        text = AccessToken.PREFIX + secrets.token_urlsafe(32)
        token = self.create(
            user=user,
            label=label,
            digest=AccessToken.digest_of(text),
            expires_at=times.stored(expires_at) if expires_at is not None else None,
            scope=AccessToken.Scope(scope),
        )
        return token, text

    def find(self, text: str) -> AccessToken | None:
        """Return the token of this text, valid or not, with its user ``with_main_pod``."""
        return next(iter(self.find_all([text])), None)

    def find_all(self, texts: Sequence[str], pod: str = "") -> list[AccessToken]:
        """Return the tokens of these texts, valid or not, in one query and in their order.

        Each comes with its user ``with_main_pod``, and with a ``pod`` with that of this name.
        """
        return _find_by_digest(self, texts, pod)

    def revoke(self) -> int:
        """Revoke the tokens that are not revoked yet, and return how many those were."""
        valid = self.filter(revoked_at=None)
        user_pks = {str(pk) for pk in valid.values_list("user_id", flat=True)}
        count = valid.update(revoked_at=timezone.now())
        tokens_revoked.send_robust(sender=AccessToken, user_pks=user_pks)
        return count


class AccessToken(models.Model):
    """A token that stands for a user: ``Authorization: Bearer <text>``, or in a cookie.

    Only a SHA-256 digest is stored: the text has 256 bits of its own, so a slow password hash
    would add nothing.
    """

    #: What every token's text begins with, so that scanners can find leaked ones.
    PREFIX = "upt_"
    #: What ends later cannot be read any more where it is another year (PostgreSQL, pages).
    LATEST_END = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)

    class Scope(models.TextChoices):
        """What a token lets its holder do. Every scope reaches the user's pods."""

        REACH = "reach", _("reach my pods")
        MANAGE = "manage", _("reach and manage my pods")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        related_name="userpods_tokens",
        on_delete=models.CASCADE,
        db_constraint=False,
    )
    label = models.CharField(
        _("label"), max_length=100, blank=True, help_text=_("What it is for, in a few words.")
    )
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    scope = models.CharField(
        _("scope"),
        max_length=16,
        choices=Scope.choices,
        default=Scope.REACH,
        help_text=_("What it may do. A pod's own application only needs to reach it."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, help_text=_("Leave empty for no expiry.")
    )
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)

    objects = AccessTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")

    def __str__(self) -> str:
        return self.label or f"{self.PREFIX}… #{self.pk}"

    @staticmethod
    def digest_of(text: str) -> str:
        """Return the digest under which a token's text is stored."""
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def is_valid(self) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return self.revoked_at is None and (
            self.expires_at is None or self.expires_at > timezone.now()
        )


class PodSessionQuerySet(models.QuerySet["PodSession"]):
    """Queries for sessions on pods' hosts."""

    def find_all(self, secrets_: Sequence[str], pod: str = "") -> list[PodSession]:
        """Return the sessions of these secrets, valid or not, in one query and in their order.

        Each comes with its user ``with_main_pod``, and with a ``pod`` with that of this name.
        """
        return _find_by_digest(self, secrets_, pod)


class _OfSiteSession(models.Model):
    """What stands for a user's session of the site, by a secret of which the digest is stored.

    The site session's own key is *sealed* with the secret: whoever reads the table learns no key,
    and whoever brings the secret can be held against the site's session.
    """

    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        related_name="+",
        on_delete=models.CASCADE,
        db_constraint=False,
    )
    # No relation: a pod's row goes when its objects are gone, whatever refers to it.
    pod = models.CharField(_("pod"), max_length=16, editable=False)
    site_session = models.CharField(_("site session"), max_length=64, db_index=True, editable=False)
    sealed_key = models.TextField(_("sealed key"), editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires at"), db_index=True, editable=False)

    class Meta:
        abstract = True


class Ticket(_OfSiteSession):
    """What takes a user from the site to a pod's host, once and within a minute."""

    #: What the browser has to show beside it: a digest of the nonce in its cookie.
    state = models.CharField(max_length=64, editable=False)
    #: The path and query to open.
    path = models.TextField(editable=False)

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")

    def __str__(self) -> str:
        return f"ticket #{self.pk}"


class PodSession(_OfSiteSession):
    """A browser that is signed in on a pod's host: ends with the site's session it came from."""

    objects = PodSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("pod session")
        verbose_name_plural = _("pod sessions")

    def __str__(self) -> str:
        return gettext("session #%(number)s") % {"number": self.pk}
