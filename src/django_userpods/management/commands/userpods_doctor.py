"""``manage.py userpods_doctor``: what stands in the way, and what to do about it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, pgettext_lazy

from django_userpods.doctor import Level, examine
from django_userpods.management.arguments import seconds
from django_userpods.management.base import EXIT_FAILED, UserpodsCommand

if TYPE_CHECKING:
    import argparse

    from django_userpods.doctor import Finding

_LEVELS = {
    Level.OK: pgettext_lazy("doctor", "ok"),
    Level.NOTE: pgettext_lazy("doctor", "note"),
    Level.WRONG: pgettext_lazy("doctor", "wrong"),
}
_PARTS = {
    "settings": gettext_lazy("settings"),
    "database": gettext_lazy("database"),
    "cluster": gettext_lazy("cluster"),
    "rights": gettext_lazy("rights"),
    "dns": gettext_lazy("DNS"),
    "router": gettext_lazy("router"),
    "certificates": gettext_lazy("certificates"),
    "clock": gettext_lazy("clock"),
}
_STYLES = {Level.OK: "SUCCESS", Level.NOTE: "WARNING", Level.WRONG: "ERROR"}


class Command(UserpodsCommand):
    """Look at all that pods need, and say what to do where something is wrong."""

    help = gettext_noop(
        "Look at all that pods need: settings, database, cluster, rights, DNS, routers, "
        "certificates, clocks. Each line is ok, a note, or wrong with what to do. Nothing is "
        "written, no secret is shown, and it ends within bounds whatever hangs. Exit status 1 "
        "where something is wrong."
    )
    # It tells itself what they find.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--timeout",
            type=seconds,
            default=10.0,
            metavar=_("SECONDS"),
            help=_("how long each part may take [%(default)g]"),
        )
        parser.add_argument(
            "--controller",
            action="store_true",
            help=_("check the rights that run_userpods needs, too"),
        )
        parser.add_argument(
            "--format", choices=["text", "json"], default="text", help=_("how to report [text]")
        )

    def handle(self, **options: Any) -> None:  # noqa: ANN401
        """Run."""
        findings = examine(timeout=options["timeout"], controller=options["controller"])
        is_wrong = any(finding.level is Level.WRONG for finding in findings)
        if options["format"] == "json":
            self.write_json(
                {"ok": not is_wrong, "findings": [finding.as_json() for finding in findings]}
            )
        else:
            self._tell(findings)
        if is_wrong:
            sys.exit(EXIT_FAILED)

    def _tell(self, findings: list[Finding]) -> None:
        width = max(len(str(_PARTS[finding.about])) for finding in findings)
        for finding in findings:
            level = f"{_LEVELS[finding.level]:6}"
            level = self.styled(self.stdout, _STYLES[finding.level])(level)
            about = f"{_PARTS[finding.about]:{width}}"
            self.stdout.write(f"{level} {about}  {finding.text}")
            if finding.hint:
                self.stdout.write(f"{'':{7 + width}}  → {finding.hint}")
