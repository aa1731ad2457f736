"""What ``sync_userpods`` says of a run, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.core.plan import Verb
from django_userpods.management import differences

if TYPE_CHECKING:
    from django_userpods.core.objects import Ref
    from django_userpods.management.base import UserpodsCommand
    from django_userpods.reconcile.report import Failure, Report

_DONE = {Verb.CREATE: "Created", Verb.UPDATE: "Updated", Verb.DELETE: "Deleted"}
_WOULD = {Verb.CREATE: "Would create", Verb.UPDATE: "Would update", Verb.DELETE: "Would delete"}


def tell(
    command: UserpodsCommand, report: Report, unwell: list[Failure], *, verbosity: int
) -> None:
    """Write what was done, or would be, to stdout, and what went wrong to stderr."""
    if verbosity > 0:
        _tell_actions(command, report)
    for failure in report.failed:
        command.complain(f"Failed {failure.name}: {failure.message}", "ERROR")
    for pod in unwell:
        if pod not in report.failed:
            command.complain(f"Does not run {pod.name}: {pod.message}")
    for text in report.overruled:
        command.complain(text)
    for name in report.not_done:
        command.complain(f"Left for the next sync: {name}")
    if report.refused:
        text = str(report.refused)
        command.complain(text[0].upper() + text[1:], "ERROR")
    command.say(_summary(report, unwell), "SUCCESS" if report.ok else "")


def _tell_actions(command: UserpodsCommand, report: Report) -> None:
    words = _WOULD if report.dry_run else _DONE
    if report.differences:
        command.say("Of what would be updated: - is there, + should be.")
    for action in report.done:
        reason = f" ({action.reason})" if action.reason else ""
        command.say(f"{words[action.verb]} {action.ref}{reason}")
        _tell_differences(command, report, action.ref)


def _tell_differences(command: UserpodsCommand, report: Report, ref: Ref) -> None:
    for difference in report.differences.get(ref, ()):
        for line in differences.lines(difference):
            command.say(line, differences.style_of(line))


def _summary(report: Report, unwell: list[Failure]) -> str:
    if report.ok and not report.done:
        how = f"but {len(unwell)} of their pods do not run" if unwell else "all as they should be"
        return f"Nothing to do: {report.users} users, {how}."
    counts, verb = report.counts(), "would be " if report.dry_run else ""
    return (
        f"{report.users} users: {counts['created']} objects {verb}created, "
        f"{counts['updated']} updated, {counts['deleted']} deleted; "
        f"{report.unchanged} users unchanged, {len(report.failed)} failed."
    )
