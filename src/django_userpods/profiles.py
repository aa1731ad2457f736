"""Which profiles there are (``core.profile``), which are a user's to choose, and their tables."""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_userpods import sentences, setting
from django_userpods.conf import conf
from django_userpods.exceptions import TemplateError
from django_userpods.texts import said

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from django_userpods.core.objects import Manifest
    from django_userpods.core.profile import Profile as ParsedProfile

logger = logging.getLogger("django_userpods")


class Profile(models.Model):
    """A profile that is edited in the admin, where ``USERPODS_PROFILES`` is ``"database"``.

    Each ``save`` that changes something writes a version; ``actor`` says by whom. Nothing refers
    to the row but its versions: pods have its slug.
    """

    #: The columns that a version has, by the keys of ``core.profile.parse``.
    KEYS: ClassVar = {
        "NAME": "name",
        "DESCRIPTION": "description",
        "TEMPLATE": "template",
        "IMAGE": "image",
        "RESOURCES": "resources",
        "ENV": "env",
        "GROUPS": "groups",
        "AT_ONCE": "at_once",
        "ENABLED": "enabled",
    }

    slug = models.CharField(
        _("slug"),
        max_length=63,
        unique=True,
        help_text=_(
            "The identifier that pods with this profile refer to: a-z, 0-9 and dashes. "
            "It cannot be changed later."
        ),
    )
    name = models.CharField(_("name"), max_length=100)
    description = models.CharField(_("description"), max_length=500, blank=True, default="")
    enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("Whether it can be chosen and started.")
    )
    groups = models.JSONField(
        _("groups"),
        blank=True,
        default=list,
        help_text=_(
            "The groups whose members may choose it. Leave empty to let everybody choose it."
        ),
    )
    at_once = models.PositiveIntegerField(
        _("how many at once"),
        null=True,
        blank=True,
        help_text=_(
            "How many pods with this profile may run at once, across all users. "
            "Leave empty for no limit."
        ),
    )
    image = models.CharField(
        _("image"),
        max_length=512,
        blank=True,
        default="",
        help_text=_("The image of the main container. Leave empty to use the template's."),
    )
    resources = models.JSONField(
        _("resources"),
        blank=True,
        default=dict,
        help_text=_('Merged into the template\'s, as in {"limits": {"memory": "2Gi"}}.'),
    )
    env = models.JSONField(
        _("environment variables"),
        blank=True,
        default=dict,
        help_text=_('Merged into the template\'s, as in {"NAME": "value"}.'),
    )
    template = models.TextField(
        _("template"),
        blank=True,
        default="",
        help_text=_(
            "Manifests in YAML, used instead of USERPODS_TEMPLATE. Leave empty to use that setting."
        ),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")
        ordering = ("name", "slug")

    def __str__(self) -> str:
        return self.name

    def save(self, *arguments: Any, actor: str = "", **named: Any) -> None:  # noqa: ANN401 - Django's
        """Write it, and a version of it if that changes anything."""
        using = named.get("using") or router.db_for_write(Profile, instance=self)
        with transaction.atomic(using=using):
            super().save(*arguments, **named)
            versions = ProfileVersion.objects.using(using).filter(profile=self)
            last = versions.order_by("-number").first()
            if last is None or last.content != self.content:
                number = last.number + 1 if last is not None else 1
                ProfileVersion.objects.using(using).create(
                    profile=self, number=number, actor=actor[:255], content=self.content
                )

    @property
    def content(self) -> dict[str, Any]:
        """What a version has."""
        return {column: getattr(self, column) for column in self.KEYS.values()}

    def parsed(self) -> ParsedProfile:
        """Return it as everything else knows profiles; raises InvalidProfile or TemplateError."""
        from django_userpods.core.profile import parse

        written = {key: getattr(self, column) for key, column in self.KEYS.items()}
        written["TEMPLATE"] = _manifests(self.template) if self.template.strip() else None
        if not self.image:
            del written["IMAGE"]
        return parse(self.slug, written)

    def clean(self) -> None:
        """Refuse what ``manage.py check`` would refuse of the settings, beside the field of it."""
        from django_userpods.core.profile import InvalidProfile

        try:
            self.parsed()
        except InvalidProfile as error:
            field = self.KEYS.get(error.key, "slug")
            text = said("%(problem)s. %(hint)s", problem=error.message, hint=error.hint)
            raise ValidationError({field: sentences.in_readers_language(text)}) from error
        except TemplateError as error:
            problem = sentences.of_template_error(error)
            raise ValidationError({"template": problem}) from error


class ProfileVersion(models.Model):
    """A profile as it was once saved: who did that, and when."""

    profile = models.ForeignKey(
        Profile, verbose_name=_("profile"), related_name="versions", on_delete=models.CASCADE
    )
    number = models.PositiveIntegerField(_("number"))
    at = models.DateTimeField(_("at"), default=timezone.now, editable=False)
    actor = models.CharField(_("by"), max_length=255, blank=True, default="")
    content = models.JSONField(_("content"), default=dict)

    class Meta:
        verbose_name = _("version of a profile")
        verbose_name_plural = _("versions of profiles")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["profile", "number"], name="userpods_version_unique")
        ]

    def __str__(self) -> str:
        return f"{self.profile} {self.number}"


def are_stored() -> bool:
    """Tell whether profiles are those of the database; raises SettingError."""
    return conf.USERPODS_PROFILES == setting.DATABASE


def known() -> dict[str, ParsedProfile]:
    """Return all profiles by their slugs, in the order in which people read them.

    One query where they are in the database, else none. Raises SettingError where
    ``USERPODS_PROFILES`` is invalid.
    """
    found = conf.USERPODS_PROFILES
    if not isinstance(found, str):
        return found or {}
    # From the database that is written to: a replica may lag behind what was saved a moment ago.
    rows = Profile.objects.using(router.db_for_write(Profile))
    return {row.slug: _or_invalid(row) for row in rows.all()}


def _or_invalid(row: Profile) -> ParsedProfile:
    """Return a stored profile; of one that nobody validated what fails its own pods alone."""
    from django_userpods.core.profile import InvalidProfile
    from django_userpods.core.profile import Profile as Parsed

    try:
        return row.parsed()
    except (InvalidProfile, TemplateError) as error:
        logger.warning("the profile %r cannot be used: %s", row.slug, error)
        return Parsed(slug=row.slug, name=row.name, template=[], enabled=False, problem=str(error))


@lru_cache(maxsize=64)
def _manifests(text: str) -> list[Manifest]:
    # What reads YAML takes time to import, which no other start needs.
    from django_userpods.core.yamlfile import parse_yaml

    return parse_yaml(text)


def offered_to(
    user: Any,  # noqa: ANN401 - the project's own user model
    profiles: Mapping[str, ParsedProfile],
) -> list[ParsedProfile]:
    """Return those that a user may choose. One query if any is for some groups alone."""
    enabled = [profile for profile in profiles.values() if profile.enabled]
    member = groups_of([user.pk], groups_in(enabled))[user.pk]
    return [profile for profile in enabled if is_for(profile, member)]


def is_for(profile: ParsedProfile, groups: Collection[str]) -> bool:
    """Tell whether a profile is for somebody who is in these groups."""
    return not profile.groups or bool(profile.groups & set(groups))


def groups_in(found: Iterable[ParsedProfile]) -> frozenset[str]:
    """Return the names of all groups that some profiles are for."""
    return frozenset().union(*(profile.groups for profile in found))


def groups_of(users: Collection[Any], names: Collection[str]) -> dict[Any, set[str]]:
    """Return which of the groups of these names some users are in, by the users' keys.

    One query, none where there are no names. A user model without Django's groups is in none.
    """
    found: dict[Any, set[str]] = defaultdict(set)
    model: Any = get_user_model()
    try:
        field = model._meta.get_field("groups")  # noqa: SLF001 - Django's documented name
    except FieldDoesNotExist:
        return found
    if not names or getattr(field.related_model, "_meta", None) is None:
        return found
    if field.related_model._meta.label != "auth.Group":  # noqa: SLF001 - Django's documented name
        return found
    rows = model._base_manager.using(router.db_for_write(model))  # noqa: SLF001 - documented name
    rows = rows.filter(pk__in=users, groups__name__in=names)
    for pk, name in rows.values_list("pk", "groups__name"):
        found[pk].add(name)
    return found
