"""What the admin says before and after an action, in whole sentences with counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.utils.formats import number_format
from django.utils.text import Truncator
from django.utils.translation import gettext, gettext_lazy, ngettext, pgettext_lazy

from django_userpods.conf import conf
from django_userpods.core.naming import readable
from django_userpods.core.operations import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.utils.functional import _StrOrPromise

    from django_userpods.lifecycle import OperationResult
    from django_userpods.models import UserPod

#: Maximum number of pods that are named, and of characters of what went wrong with each.
NAMED, LENGTH = 5, 200

#: In the list of pods, and in the list of users.
LABELS: dict[Operation, _StrOrPromise] = {
    Operation.SYNC: pgettext_lazy("an action on pods", "Sync"),
    Operation.START: pgettext_lazy("an action on pods", "Start"),
    Operation.STOP: pgettext_lazy("an action on pods", "Stop"),
    Operation.RESTART: pgettext_lazy("an action on pods", "Restart"),
    Operation.RECREATE: pgettext_lazy("an action on pods", "Delete and recreate"),
}
USER_LABELS: dict[Operation, _StrOrPromise] = {
    Operation.SYNC: gettext_lazy("Sync pods"),
    Operation.START: gettext_lazy("Start pods"),
    Operation.STOP: gettext_lazy("Stop pods"),
    Operation.RESTART: gettext_lazy("Restart pods"),
    Operation.RECREATE: gettext_lazy("Delete and recreate pods"),
}
#: What somebody has to know before saying yes; what is not here is done without asking.
WARNINGS: dict[Operation, _StrOrPromise] = {
    Operation.STOP: gettext_lazy(
        "Anyone working there now is cut off, and anything not in a volume is lost. A stopped pod "
        "can be started again; a visit by its user starts it too."
    ),
    Operation.RESTART: gettext_lazy(
        "Each is replaced by a new one. Anyone working there now may be cut off, and anything not "
        "in a volume is lost."
    ),
    Operation.RECREATE: gettext_lazy(
        "Everything that each pod has in the cluster is deleted and recreated, except for the "
        "kinds in USERPODS_RETAIN (volume claims, unless the settings say otherwise). Anyone "
        "working there now is cut off, and everything else is lost."
    ),
}
# Not by ngettext_lazy, which makes a class of each: that would be felt whenever Django starts.
_ANSWERS: dict[Operation, Callable[[int], str]] = {
    Operation.SYNC: lambda n: ngettext("Sync %(count)s pod", "Sync %(count)s pods", n),
    Operation.START: lambda n: ngettext("Start %(count)s pod", "Start %(count)s pods", n),
    Operation.STOP: lambda n: ngettext("Stop %(count)s pod", "Stop %(count)s pods", n),
    Operation.RESTART: lambda n: ngettext("Restart %(count)s pod", "Restart %(count)s pods", n),
    Operation.RECREATE: lambda n: ngettext(
        "Delete and recreate %(count)s pod", "Delete and recreate %(count)s pods", n
    ),
}
_QUESTIONS: dict[Operation, Callable[[int], str]] = {
    Operation.STOP: lambda n: ngettext("Stop %(count)s pod?", "Stop %(count)s pods?", n),
    Operation.RESTART: lambda n: ngettext("Restart %(count)s pod?", "Restart %(count)s pods?", n),
    Operation.RECREATE: lambda n: ngettext(
        "Delete and recreate %(count)s pod?", "Delete and recreate %(count)s pods?", n
    ),
}
_DONE: dict[Operation, Callable[[int], str]] = {
    Operation.SYNC: lambda n: ngettext("Synced %(count)s pod.", "Synced %(count)s pods.", n),
    Operation.START: lambda n: ngettext("Started %(count)s pod.", "Started %(count)s pods.", n),
    Operation.STOP: lambda n: ngettext("Stopped %(count)s pod.", "Stopped %(count)s pods.", n),
    Operation.RESTART: lambda n: ngettext(
        "Restarted %(count)s pod.", "Restarted %(count)s pods.", n
    ),
    Operation.RECREATE: lambda n: ngettext(
        "Deleted and recreated %(count)s pod.", "Deleted and recreated %(count)s pods.", n
    ),
}


def _under_way(n: int) -> str:
    return ngettext(
        "%(count)s pod is in progress; its history will show the outcome.",
        "%(count)s pods are in progress; their histories will show the outcome.",
        n,
    )


def _enqueued(n: int) -> str:
    return ngettext(
        "%(count)s pod was handed to the task backend.",
        "%(count)s pods were handed to the task backend.",
        n,
    )


def _marked(n: int) -> str:
    return ngettext(
        "%(count)s pod was handed to the controller.",
        "%(count)s pods were handed to the controller.",
        n,
    )


def _later(n: int) -> str:
    return ngettext(
        "%(count)s pod is recorded; the next sync does the work.",
        "%(count)s pods are recorded; the next sync does the work.",
        n,
    )


# A sync records nothing: it is what the next one does anyway.
def _left(n: int) -> str:
    return ngettext(
        "%(count)s pod is left to the next sync.", "%(count)s pods are left to the next sync.", n
    )


def _deferred(n: int) -> str:
    return ngettext(
        "%(count)s pod is recorded; the work is done right after this request, or by the next "
        "sync.",
        "%(count)s pods are recorded; the work is done right after this request, or by the next "
        "sync.",
        n,
    )


def _stopped(n: int) -> str:
    return ngettext(
        "%(count)s is stopped and was left that way.",
        "%(count)s are stopped and were left that way.",
        n,
    )


def _absent(n: int) -> str:
    return ngettext(
        "%(count)s user is to have no pod (inactive or not selected): skipped.",
        "%(count)s users are to have no pod (inactive or not selected): skipped.",
        n,
    )


def _failed(n: int) -> str:
    return ngettext("%(count)s failed: %(names)s", "%(count)s failed: %(names)s", n)


_ALREADY: dict[Operation, Callable[[int], str]] = {
    Operation.START: lambda n: ngettext(
        "%(count)s was already running.", "%(count)s were already running.", n
    ),
    Operation.STOP: lambda n: ngettext(
        "%(count)s was already stopped.", "%(count)s were already stopped.", n
    ),
}


def number(value: int) -> str:
    """Return a number as people read it: 9,997."""
    return str(number_format(value, force_grouping=True))


def question(operation: Operation, count: int) -> str:
    """Return the question to ask before an operation that interrupts people."""
    return _counted(_QUESTIONS[operation], count)


def answer(operation: Operation, count: int) -> str:
    """Return what is to be done, or was: for the button that says yes, and as a title."""
    return _counted(_ANSWERS[operation], count)


def own(pods: Sequence[UserPod]) -> str:
    """Return that the pods of whoever is asked are among those meant, "" where none is."""
    if not pods:
        return ""
    n = len(pods)
    text = ngettext(
        "Your own pod is among them: %(names)s.", "Your own pods are among them: %(names)s.", n
    )
    return text % {"names": listed([called(pod) for pod in pods], total=n)}


def said(result: OperationResult, *, without: int = 0) -> list[tuple[int, str]]:
    """Return (level, text) of the messages on what became of a request.

    ``without`` is how many users were selected who have no row and are to have none.
    """
    operation, absent = result.operation, result.absent + without
    good = [
        _counted(text, count)
        for text, count in (
            (_DONE[operation], result.done - result.under_way),
            (_under_way, result.under_way),
            (_marked if conf.USERPODS_CONTROLLER else _enqueued, result.enqueued),
            (_deferred, len(result.pods) if result.deferred else 0),
        )
        if count
    ]
    late = (
        [_counted(_left if operation == Operation.SYNC else _later, result.later)]
        if result.later
        else []
    )
    if late and result.reason:
        late.append(Truncator(result.reason).chars(LENGTH))
    other = [
        _counted(text, count)
        for text, count in (
            (_ALREADY.get(operation, _DONE[operation]), result.already),
            (_stopped, result.stopped),
            (_absent, absent),
        )
        if count
    ]
    found = []
    if good or late or other or not (result.failures or result.refused):
        sentences = [*good, *late, *other]
        if not result.pods:
            sentences.insert(0, gettext("There was nothing to do."))
        elif result.done == result.under_way:
            sentences[0] = f"{LABELS[operation]}: {sentences[0]}"
        is_over = result.done == len(result.pods) - len(result.failures) and not result.under_way
        level = messages.SUCCESS if is_over else messages.INFO
        level = level if good and not late else messages.WARNING
        found.append((level, " ".join(sentences)))
    if result.failures:
        names = listed(result.failures, total=len(result.failures), separator="; ")
        text = _counted(_failed, len(result.failures), names=names)
        found.append((messages.ERROR, text))
    if result.refused:
        reasons = sorted({str(error) for error in result.refused.values()})
        text = ngettext(
            "%(count)s pod was refused: %(reasons)s",
            "%(count)s pods were refused: %(reasons)s",
            len(result.refused),
        )
        values = {
            "count": number(len(result.refused)),
            "reasons": listed(reasons, total=len(reasons), separator="; "),
        }
        found.append((messages.ERROR, text % values))
    return found


def called(pod: UserPod) -> str:
    """Return a pod's name, with its user's where that is not to be read in it.

    Its owner has to have come with it, or is asked for.
    """
    return readable(str(pod), str(pod.owner.get_username() or "") if pod.owner else "")


def listed(names: Sequence[object], *, total: int, separator: str = ", ") -> str:
    """Return the first few names, then "and N more" (of ``total``)."""
    shown = [Truncator(str(name)).chars(LENGTH) for name in names[:NAMED]]
    text = separator.join(shown)
    if total <= len(shown):
        return text
    more = {"names": text, "count": number(total - len(shown))}
    return gettext("%(names)s and %(count)s more") % more


def _counted(text: Callable[[int], str], count: int, **more: str) -> str:
    return text(count) % {"count": number(count), **more}
