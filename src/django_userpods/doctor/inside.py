"""Settings and database; and what the other parts need to know of the database."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.core import checks
from django.db import DatabaseError, connections, router
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from django_userpods.conf import conf
from django_userpods.deploy import project
from django_userpods.doctor.findings import note, ok, wrong
from django_userpods.exceptions import UserpodsError
from django_userpods.models import Installation, UserPod

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from django_userpods.core.objects import Kind
    from django_userpods.doctor.findings import Finding

_SETTINGS, _DATABASE = "settings", "database"
#: Maximum number of namespaces that are asked about one by one.
MOST_NAMESPACES = 20


@dataclass(slots=True)
class Facts:
    """What the database and the settings say to the parts that ask the cluster."""

    #: The verbs that are needed for each kind; None where that could not be found out.
    rules: Mapping[Kind, Collection[str]] | None = None
    #: Where pods are, or are to be; None for all namespaces.
    namespaces: list[str] | None = field(default_factory=list)
    #: How far the database's clock is ahead of this machine's.
    clock: datetime.timedelta | None = None


def settings() -> Iterator[Finding]:
    """Run the system checks of ours, those of ``check --deploy`` too."""
    found = [
        message
        for message in checks.run_checks(tags=["userpods"], include_deployment_checks=True)
        if not message.is_silenced()
    ]
    for message in found:
        text = f"{message.msg} ({message.id})"
        if message.is_serious():
            yield wrong(_SETTINGS, text, message.hint or _("Correct the setting."))
        else:
            yield note(_SETTINGS, text, message.hint or "")
    if not any(message.is_serious() for message in found):
        yield ok(_SETTINGS, _("All checks of the settings pass."))


def database(facts: Facts) -> Iterator[Finding]:
    """Look for our tables, and note what the other parts need."""
    alias = router.db_for_write(UserPod)
    try:
        yield from _migrations(alias)
        installation = Installation.objects.using(alias).filter(pk=Installation.PK)
        row = installation.annotate(now=Now()).values_list("identifier", "now").first()
    except DatabaseError as error:
        text = _("The database %(alias)r does not answer: %(error)s.") % {
            "alias": alias,
            "error": type(error).__name__,
        }
        yield wrong(_DATABASE, text, _("Check DATABASES, and that the database is running."))
        return
    if row is not None:
        now = row[1] if timezone.is_aware(row[1]) else row[1].replace(tzinfo=datetime.UTC)
        facts.clock = now - timezone.now()
        text = _("The database answers; this is installation %(id)s.") % {"id": row[0]}
        yield ok(_DATABASE, text)
    else:
        text = _("The database answers; no sync has been run yet.")
        yield note(_DATABASE, text, _("Run manage.py sync_userpods."))
    yield from _learn(facts, alias)


def _migrations(alias: str) -> Iterator[Finding]:
    executor = MigrationExecutor(connections[alias])
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "userpods"]
    if executor.migration_plan(targets):
        text = _("Migrations of django-userpods have not been applied to %(alias)r.")
        hint = _("Run manage.py migrate.")
        yield wrong(_DATABASE, text % {"alias": alias}, hint)


def _learn(facts: Facts, alias: str) -> Iterator[Finding]:
    try:
        facts.rules = project.rules((), lambda _message: None)
        namespace = conf.USERPODS_NAMESPACE
    except UserpodsError:
        return  # said of the settings
    if callable(namespace):
        facts.namespaces = None
        return
    found = UserPod.objects.using(alias).order_by().values_list("namespace", flat=True).distinct()
    facts.namespaces = sorted({namespace, *found[:MOST_NAMESPACES]})
    yield from ()
