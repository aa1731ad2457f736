"""``manage.py uninstall_userpods``: take everything of this installation out of the cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from django_userpods.cluster import get_cluster
from django_userpods.exceptions import UserpodsError
from django_userpods.management.base import EXIT_FAILED, UserpodsCommand
from django_userpods.reconcile import uninstall

if TYPE_CHECKING:
    import argparse


class Command(UserpodsCommand):
    """Delete every object of this installation, after asking."""

    help = gettext_noop(
        "Delete every object that this installation has in the cluster, and the rows of its pods, "
        "after showing them and asking. Kinds in USERPODS_RETAIN (volume claims) stay, unless "
        "--with-retained is given. Users are not touched. Stop what runs sync_userpods first."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--dry-run", action="store_true", help=_("show what would be deleted, and end")
        )
        parser.add_argument(
            "--with-retained",
            action="store_true",
            help=_("delete the kinds in USERPODS_RETAIN, too, and with them what users have saved"),
        )
        parser.add_argument(
            "--no-input",
            action="store_true",
            help=_("do not ask; --installation has to say which one is meant"),
        )
        parser.add_argument(
            "--installation",
            metavar="ID",
            help=_(
                "the id of the installation that is to go, as --dry-run shows it: "
                "any other database is left alone"
            ),
        )

    def handle(self, **options: Any) -> None:  # noqa: ANN401
        """Run."""
        try:
            where = get_cluster().whereabouts()
            found = uninstall.find(with_retained=options["with_retained"])
            self._show(found, where, verbosity=options["verbosity"])
            if options["dry_run"]:
                return
            self._confirm(found, named=options["installation"], ask=not options["no_input"])
            failures = uninstall.carry_out(found) + found.unknown
        except UserpodsError as error:
            raise CommandError(str(error), returncode=EXIT_FAILED) from error
        for failure in failures:
            told = {"name": failure.name, "message": failure.message}
            self.complain(_("Failed %(name)s: %(message)s") % told, "ERROR")
        count = len(found.objects) + len(found.unknown) - len(failures)
        self.say(_("%(count)s deleted.") % {"count": count})
        if failures:
            sys.exit(EXIT_FAILED)
        self.say(
            _(
                "Next: take away what you applied of the manifests (kubectl delete -k), run "
                "`manage.py migrate userpods zero`, and take django_userpods out of "
                "INSTALLED_APPS and the URLs."
            )
        )

    def _show(self, found: uninstall.Uninstallation, where: str, *, verbosity: int) -> None:
        told = {"cluster": where, "id": found.identifier}
        self.say(_("Cluster: %(cluster)s, installation %(id)s") % told)
        if verbosity > 0:
            for item in found.objects:
                self.say(_("Would delete %(object)s") % {"object": item.label}, "NOTICE")
            for item in found.kept:
                self.say(_("Would keep %(object)s (USERPODS_RETAIN)") % {"object": item.label})
        for failure in found.unknown:
            told = {"name": failure.name, "message": failure.message}
            self.complain(_("Cannot look for %(name)s: %(message)s") % told)
        pods = len({item.pod for item in found.objects})
        text = _("%(objects)s objects of %(pods)s pods to delete, %(kept)s to keep.")
        self.say(text % {"objects": len(found.objects), "pods": pods, "kept": len(found.kept)})

    def _confirm(self, found: uninstall.Uninstallation, *, named: str | None, ask: bool) -> None:
        if named is not None and named != found.identifier:
            text = _("this is installation %(id)s, and %(named)s is to go: nothing deleted")
            self._stop(text % {"id": found.identifier, "named": named})
        if not ask:
            if named is None:
                text = _(
                    "--no-input needs --installation %(id)s, so that nothing is deleted from the "
                    "wrong place"
                )
                self._stop(text % {"id": found.identifier})
            return
        if not sys.stdin.isatty():
            self._stop(_("deleting has to be confirmed: see --no-input and --installation"))
        text = _(
            "Anyone working in these pods is cut off, and anything not kept is lost. Type the "
            "installation's id (%(id)s) to continue:"
        )
        self.ask(text % {"id": found.identifier})
        if input().strip() != found.identifier:
            self._stop(_("nothing was deleted"))

    def _stop(self, message: str) -> None:
        raise CommandError(message, returncode=EXIT_FAILED)
