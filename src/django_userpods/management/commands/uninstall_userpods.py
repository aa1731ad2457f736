"""``manage.py uninstall_userpods``: take everything of this installation out of the cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from django_userpods.cluster import get_cluster
from django_userpods.exceptions import UserpodsError
from django_userpods.reconcile import uninstall

if TYPE_CHECKING:
    import argparse

EXIT_FAILED = 1


class Command(BaseCommand):
    """Delete every object of this installation, after asking."""

    help = (
        "Delete every object that this installation has in the cluster, and the rows of its pods, "
        "after showing them and asking. Kinds in USERPODS_RETAIN (volume claims) stay, unless "
        "--with-retained is given. Users are not touched. Stop what runs sync_userpods first."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be deleted, and end"
        )
        parser.add_argument(
            "--with-retained",
            action="store_true",
            help="delete the kinds in USERPODS_RETAIN, too, and with them what users have saved",
        )
        parser.add_argument(
            "--no-input",
            action="store_true",
            help="do not ask; --installation has to say which one is meant",
        )
        parser.add_argument(
            "--installation",
            metavar="ID",
            help="the id of the installation that is to go, as --dry-run shows it: a database "
            "that is another one is then left alone",
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
            self.stderr.write(self.style.ERROR(f"Failed {failure.name}: {failure.message}"))
        self.stdout.write(f"{len(found.objects) + len(found.unknown) - len(failures)} deleted.")
        if failures:
            sys.exit(EXIT_FAILED)
        self.stdout.write(
            "Next: take away what you applied of the manifests (kubectl delete -k), run `manage.py "
            "migrate userpods zero`, and take django_userpods out of INSTALLED_APPS and the URLs."
        )

    def _show(self, found: uninstall.Uninstallation, where: str, *, verbosity: int) -> None:
        self.stdout.write(f"Cluster: {where}, installation {found.identifier}")
        if verbosity > 0:
            for item in found.objects:
                self.stdout.write(f"Would delete {item.ref}", self.style.NOTICE)
            for item in found.kept:
                self.stdout.write(f"Would keep {item.ref} (USERPODS_RETAIN)")
        for failure in found.unknown:
            self.stderr.write(
                self.style.WARNING(f"Cannot look for {failure.name}: {failure.message}")
            )
        pods = len({item.pod for item in found.objects})
        self.stdout.write(
            f"{len(found.objects)} objects of {pods} pods to delete, {len(found.kept)} to keep."
        )

    def _confirm(self, found: uninstall.Uninstallation, *, named: str | None, ask: bool) -> None:
        if named is not None and named != found.identifier:
            self._stop(
                f"this is installation {found.identifier}, and {named} is to go: nothing deleted"
            )
        if not ask:
            if named is None:
                self._stop(
                    f"--no-input needs --installation {found.identifier}, so that nothing is "
                    "deleted from the wrong place"
                )
            return
        if not sys.stdin.isatty():
            self._stop("deleting has to be confirmed: see --no-input and --installation")
        self.stderr.write(
            "Whoever works in these pods is cut off, and what is not kept is lost. "
            f"Type the installation's id ({found.identifier}) to go on: ",
            ending="",
        )
        self.stderr.flush()
        if input().strip() != found.identifier:
            self._stop("nothing was deleted")

    def _stop(self, message: str) -> None:
        raise CommandError(message, returncode=EXIT_FAILED)
