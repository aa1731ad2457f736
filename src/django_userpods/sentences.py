"""Why a pod is not up, or not shared, in sentences for its user.

Without a word of how things are done inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext, gettext_lazy, ngettext

from django_userpods.core.reasons import Reason, reason_of
from django_userpods.core.states import State
from django_userpods.texts import Said, said

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    from django_userpods.exceptions import TemplateError

_REASONS: dict[Reason, _StrOrPromise] = {
    Reason.CRASHES: gettext_lazy("It stops right after it is started."),
    Reason.MEMORY: gettext_lazy("It needs more memory than it is allowed."),
    Reason.IMAGE: gettext_lazy("The software that it runs could not be fetched."),
    Reason.SETTINGS: gettext_lazy("It is set up in a way that cannot be started."),
    Reason.VOLUME: gettext_lazy("Its storage is not ready yet."),
    Reason.ROOM: gettext_lazy("There is no room for it at the moment."),
    Reason.QUOTA: gettext_lazy("There is no room left for more workspaces."),
    Reason.EVICTED: gettext_lazy("It had to leave the machine that it ran on."),
    Reason.NODE: gettext_lazy("The machine that it ran on is out of service."),
    Reason.SLOW: gettext_lazy("It has been taking too long to start."),
    Reason.PREVIOUS: gettext_lazy("What was here before is still being removed."),
    Reason.PROFILE: gettext_lazy("Its profile is no longer offered to you: choose another."),
    Reason.PLACES: gettext_lazy(
        "The maximum number of workspaces with its profile is running already. Try again later, "
        "or choose another profile."
    ),
}

_NOT_SHARED: dict[str, _StrOrPromise] = {
    "off": gettext_lazy("Workspaces are not shared here."),
    "nobodys": gettext_lazy("This workspace is going away."),
    "address": gettext_lazy("This workspace has no address of its own, so it cannot be shared."),
    "owner": gettext_lazy("This is its owner, who can reach it anyway."),
    "whom": gettext_lazy("Name one user or one group."),
    "time": gettext_lazy("This time is already past, or too far in the future."),
}


def in_readers_language(text: str) -> str:
    """Return a text of ``texts.said`` translated, and any other as it is."""
    if not isinstance(text, Said):
        return str(text)
    values = {
        name: in_readers_language(value) if isinstance(value, str) else value
        for name, value in text.values.items()
    }
    template = gettext(text.template)
    return template % values if values else template


def of_template_error(error: TemplateError) -> str:
    """Return what is wrong with a template, and where, for who writes it in the admin."""
    if not error.where:
        return in_readers_language(error.message)
    text = said("%(where)s: %(problem)s", where=error.where, problem=error.message)
    return in_readers_language(text)


def of_refused_share(why: str) -> str:
    """Return why a pod is not shared as asked (``ShareRefused.why``)."""
    return str(_NOT_SHARED[why])


def of_refused_profile(why: str) -> tuple[str, int]:
    """Return why a pod is not of a profile (``ProfileNotAllowed.why``), and the HTTP status.

    Of a profile that is for others nothing is said that is not said of one that is not there.
    """
    if why == "full":
        return str(_REASONS[Reason.PLACES]), 409
    if why == "name":
        return gettext("The name of this workspace is too long for this profile."), 409
    return gettext("You cannot choose this profile."), 403


def of(state: str, message: str) -> str:
    """Return what a row's state and message come down to, "" where there is nothing to say."""
    reason = reason_of(message)
    if reason in _REASONS:
        return str(_REASONS[reason])
    if state == State.FAILED:
        return gettext("Something is wrong that only an administrator can see.")
    return ""


def mass_deletion_refused(deletions: int, total: int) -> str:
    """Return for staff that a sync would have deleted too much, and what to do."""
    text = gettext(
        "Refused to delete the objects of %(deletions)s of %(total)s users: more than half of "
        "all. If this is the right database and that is intended, run sync_userpods "
        "--allow-mass-delete, or name the users with --user"
    )
    return text % {"deletions": deletions, "total": total}


def rollout_stopped(number: int, last: str) -> str:
    """Return for staff that a rollout was stopped after so many failures, and what to do.

    ``last`` is the last of them: the pod's name, and why.
    """
    return ngettext(
        "The rollout of the changed template was stopped: %(number)d updated pod failed: "
        "%(last)s. Correct the template, or resume the rollout: sync_userpods --resume-rollout",
        "The rollout of the changed template was stopped: %(number)d updated pods failed, the "
        "last of them %(last)s. Correct the template, or resume the rollout: sync_userpods "
        "--resume-rollout",
        number,
    ) % {"number": number, "last": last.rstrip(". ")}
