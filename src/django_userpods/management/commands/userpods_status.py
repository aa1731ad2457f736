"""``manage.py userpods_status``: how everything is doing, in numbers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from django_userpods import sentences
from django_userpods.labels import STATE_LABELS
from django_userpods.management.arguments import seconds
from django_userpods.management.base import EXIT_FAILED, UserpodsCommand
from django_userpods.status import TIMEOUT, Status, status

if TYPE_CHECKING:
    import argparse


class Command(UserpodsCommand):
    """Say how everything is doing."""

    help = gettext_noop(
        "Show how everything is doing: pods by state, the last sync and its age, whether the "
        "cluster answers, and the most frequent reasons of failure. Exit status 1 where the "
        "cluster or the database does not answer."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--timeout",
            type=seconds,
            default=TIMEOUT,
            metavar=_("SECONDS"),
            help=_("how long the cluster may take to answer [%(default)g]"),
        )
        parser.add_argument(
            "--format", choices=["text", "json"], default="text", help=_("how to report [text]")
        )

    def handle(self, **options: Any) -> None:  # noqa: ANN401
        """Run."""
        try:
            found = status(timeout=options["timeout"])
        except DatabaseError as error:
            message = _("The database does not answer: %(error)s") % {"error": error}
            raise CommandError(message, returncode=EXIT_FAILED) from error
        if options["format"] == "json":
            self.write_json(found.as_json())
        else:
            self._tell(found)
        if not found.reachable:
            sys.exit(EXIT_FAILED)

    def _tell(self, found: Status) -> None:
        labels = dict(STATE_LABELS)
        states = ", ".join(
            f"{count} {labels[state]}" for state, count in found.states.items() if count
        )
        count = found.total
        self.say(
            ngettext("%(count)s pod", "%(count)s pods", count) % {"count": count}
            + (f": {states}" if states else "")
        )
        if found.synced_at is None:
            self.say(_("Last sync: never"), "WARNING")
        else:
            text = _("Last sync: %(age)s ago, with %(failures)s failures") % {
                "age": timesince(found.synced_at),
                "failures": found.sync_failures,
            }
            self.say(text, "WARNING" if found.sync_failures else "")
        if found.sync_trouble and found.sync_trouble_since:
            text = _("For %(age)s no sync could look at everything: %(error)s") % {
                "age": timesince(found.sync_trouble_since),
                "error": found.sync_trouble,
            }
            self.say(text, "ERROR")
        if found.waiting:
            self.say(_("Waiting to be checked: %(count)s") % {"count": found.waiting})
        self._tell_rollout(found)
        if found.reachable:
            self.say(_("Cluster: answers (%(where)s)") % {"where": found.cluster})
        else:
            text = _("Cluster: does not answer (%(where)s): %(error)s")
            where = found.cluster or _("none")
            self.say(text % {"where": where, "error": found.trouble}, "ERROR")
        for item in found.reasons:
            text = _("%(count)s failed: %(reason)s For example %(name)s: %(message)s")
            self.say(
                text
                % {
                    "count": item.pods,
                    "reason": item.reason,
                    "name": item.label,
                    "message": item.message,
                }
            )

    def _tell_rollout(self, found: Status) -> None:
        if any(found.rollout.values()):
            text = _(
                "Rollout: %(waiting)s waiting for their turn, %(updating)s being updated, "
                "%(failed)s failed, %(refused)s could not be updated"
            )
            trouble = found.rollout["failed"] or found.rollout["refused"]
            self.say(text % found.rollout, "WARNING" if trouble else "")
        if found.rollout_stopped is not None:
            self.say(sentences.rollout_stopped(*found.rollout_stopped), "ERROR")
