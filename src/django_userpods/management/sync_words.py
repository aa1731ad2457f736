"""What ``sync_userpods`` says of a run, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import router
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_userpods import sentences
from django_userpods.core.naming import readable
from django_userpods.core.plan import Verb
from django_userpods.management import differences
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_userpods.core.objects import Ref
    from django_userpods.management.base import UserpodsCommand
    from django_userpods.reconcile.report import Failure, Report

#: As many names as go into one query.
_BATCH = 500

_DONE = {
    Verb.CREATE: gettext_lazy("Created"),
    Verb.UPDATE: gettext_lazy("Updated"),
    Verb.DELETE: gettext_lazy("Deleted"),
}
_WOULD = {
    Verb.CREATE: gettext_lazy("Would create"),
    Verb.UPDATE: gettext_lazy("Would update"),
    Verb.DELETE: gettext_lazy("Would delete"),
}


def tell(
    command: UserpodsCommand, report: Report, unwell: list[Failure], *, verbosity: int
) -> None:
    """Write what was done, or would be, to stdout, and what went wrong to stderr."""
    if verbosity > 0:
        _tell_actions(command, report)
    for failure in report.failed:
        command.complain(_("Failed %(name)s: %(message)s") % _named(failure), "ERROR")
    for pod in unwell:
        if pod not in report.failed:
            command.complain(_("Not running: %(name)s: %(message)s") % _named(pod))
    for text in report.overruled:
        command.complain(text)
    for name in _called(report.not_done):
        command.complain(_("Left for the next sync: %(name)s") % {"name": name})
    if report.waiting:
        text = _("Waiting for their turn (USERPODS_ROLLOUT): %(count)s")
        if report.at_next_start:
            text = _("Waiting for their next start (USERPODS_ROLLOUT): %(count)s")
        command.say(text % {"count": len(report.waiting)})
    if report.stopped:
        command.complain(sentences.rollout_stopped(*report.stopped), "ERROR")
    if report.refused:
        refused = report.refused
        text = sentences.mass_deletion_refused(refused.deletions, refused.total)
        command.complain(text, "ERROR")
    command.say(_summary(report, unwell), "SUCCESS" if report.ok else "")


def _called(names: Sequence[str]) -> list[str]:
    """Return the names of pods that were left, or the keys of users, as people read them."""
    found: dict[str, str] = {}
    username = f"owner__{get_user_model().USERNAME_FIELD}"
    rows = UserPod.objects.using(router.db_for_write(UserPod)).order_by("-slot")
    for first in range(0, len(names), _BATCH):
        some = names[first : first + _BATCH]
        asked = rows.filter(Q(name__in=some) | Q(owner_pk__in=some))
        for pk, name, user in asked.values_list("owner_pk", "name", username):
            label = readable(name or pk, str(user or ""))
            found[pk] = found[name or pk] = label
    return [found.get(name, name) for name in names]


def _tell_actions(command: UserpodsCommand, report: Report) -> None:
    words = _WOULD if report.dry_run else _DONE
    if report.differences:
        command.say(_("In updates, - is what is there now, + what should be."))
    for action in report.done:
        reason = f" ({action.reason})" if action.reason else ""
        command.say(f"{words[action.verb]} {report.label(action)}{reason}")
        _tell_differences(command, report, action.ref)


def _tell_differences(command: UserpodsCommand, report: Report, ref: Ref) -> None:
    for difference in report.differences.get(ref, ()):
        for line in differences.lines(difference):
            command.say(line, differences.style_of(line))


def _summary(report: Report, unwell: list[Failure]) -> str:
    told = {**report.counts(), "users": report.users, "unchanged": report.unchanged}
    if report.ok and not report.done and not report.waiting:
        if unwell:
            told["unwell"] = len(unwell)
            text = _("Nothing to do: %(users)s users, but %(unwell)s of their pods do not run.")
        else:
            text = _("Nothing to do: %(users)s users, all as they should be.")
        return text % told
    if report.dry_run:
        text = _(
            "%(users)s users: %(created)s objects would be created, %(updated)s updated, "
            "%(deleted)s deleted; %(unchanged)s users unchanged, %(failed)s failed."
        )
    else:
        text = _(
            "%(users)s users: %(created)s objects created, %(updated)s updated, %(deleted)s "
            "deleted; %(unchanged)s users unchanged, %(failed)s failed."
        )
    return text % {**told, "failed": len(report.failed)}


def _named(failure: Failure) -> dict[str, str]:
    return {"name": failure.label, "message": failure.message}
