"""What the admin says before and after an action, in whole sentences with counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.utils.formats import number_format
from django.utils.text import Truncator
from django.utils.translation import gettext, gettext_lazy, ngettext_lazy, pgettext_lazy

from django_userpods.lifecycle import Operation, OperationResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.utils.functional import _StrOrPromise

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
        "Whoever works there now is cut off, and what is not in a volume is lost. A stopped pod "
        "can be started again; a visit of its user starts it too."
    ),
    Operation.RESTART: gettext_lazy(
        "Each is replaced by a new one. Whoever works there now may be cut off, and what is not "
        "in a volume is lost."
    ),
    Operation.RECREATE: gettext_lazy(
        "Everything that each has in the cluster is deleted and made again, but for the kinds in "
        "USERPODS_RETAIN (volume claims, unless the settings say otherwise). Whoever works there "
        "now is cut off, and all else that is there is lost."
    ),
}
_QUESTIONS = {
    Operation.STOP: ngettext_lazy("Stop %(count)s pod?", "Stop %(count)s pods?", "number"),
    Operation.RESTART: ngettext_lazy("Restart %(count)s pod?", "Restart %(count)s pods?", "number"),
    Operation.RECREATE: ngettext_lazy(
        "Delete and recreate %(count)s pod?", "Delete and recreate %(count)s pods?", "number"
    ),
}
_DONE = {
    Operation.SYNC: ngettext_lazy("Synced %(count)s pod.", "Synced %(count)s pods.", "number"),
    Operation.START: ngettext_lazy("Started %(count)s pod.", "Started %(count)s pods.", "number"),
    Operation.STOP: ngettext_lazy("Stopped %(count)s pod.", "Stopped %(count)s pods.", "number"),
    Operation.RESTART: ngettext_lazy(
        "Restarted %(count)s pod.", "Restarted %(count)s pods.", "number"
    ),
    Operation.RECREATE: ngettext_lazy(
        "Deleted and recreated %(count)s pod.", "Deleted and recreated %(count)s pods.", "number"
    ),
}
_ENQUEUED = ngettext_lazy(
    "%(count)s pod was handed to the task backend.",
    "%(count)s pods were handed to the task backend.",
    "number",
)
_LATER = ngettext_lazy(
    "%(count)s pod is recorded and done by the next sync.",
    "%(count)s pods are recorded and done by the next sync.",
    "number",
)
# A sync records nothing: it is what the next one does anyway.
_LEFT = ngettext_lazy(
    "%(count)s pod is left to the next sync.",
    "%(count)s pods are left to the next sync.",
    "number",
)
_DEFERRED = ngettext_lazy(
    "%(count)s pod is recorded and done as soon as this request is over, or by the next sync.",
    "%(count)s pods are recorded and done as soon as this request is over, or by the next sync.",
    "number",
)
_STOPPED = ngettext_lazy(
    "%(count)s is stopped: left so.", "%(count)s are stopped: left so.", "number"
)
_ABSENT = ngettext_lazy(
    "%(count)s user is to have no pod (inactive or not selected): skipped.",
    "%(count)s users are to have no pod (inactive or not selected): skipped.",
    "number",
)
_FAILED = ngettext_lazy("%(count)s failed: %(names)s", "%(count)s failed: %(names)s", "number")
_ALREADY = {
    Operation.START: ngettext_lazy(
        "%(count)s was running already.", "%(count)s were running already.", "number"
    ),
    Operation.STOP: ngettext_lazy(
        "%(count)s was stopped already.", "%(count)s were stopped already.", "number"
    ),
}


def number(value: int) -> str:
    """Return a number as people read it: 9,997."""
    return str(number_format(value, force_grouping=True))


def question(operation: Operation, count: int) -> str:
    """Return the question to ask before an operation that interrupts people."""
    return _counted(_QUESTIONS[operation], count)


def said(result: OperationResult, *, without: int = 0) -> list[tuple[int, str]]:
    """Return (level, text) of the messages on what became of a request.

    ``without`` is how many users were selected who have no row and are to have none.
    """
    operation, absent = result.operation, result.absent + without
    good = [
        _counted(text, count)
        for text, count in (
            (_DONE[operation], result.done),
            (_ENQUEUED, result.enqueued),
            (_DEFERRED, len(result.pods) if result.deferred else 0),
        )
        if count
    ]
    late = (
        [_counted(_LEFT if operation == Operation.SYNC else _LATER, result.later)]
        if result.later
        else []
    )
    if late and result.reason:
        late.append(Truncator(result.reason).chars(LENGTH))
    other = [
        _counted(text, count)
        for text, count in (
            (_ALREADY.get(operation), result.already),
            (_STOPPED, result.stopped),
            (_ABSENT, absent),
        )
        if count
    ]
    found = []
    if good or late or other or not result.failures:
        sentences = [*good, *late, *other]
        if not result.pods:
            sentences.insert(0, gettext("Nothing was to be done."))
        elif not result.done:
            sentences[0] = f"{LABELS[operation]}: {sentences[0]}"
        level = messages.SUCCESS if good and not late else messages.WARNING
        found.append((level, " ".join(sentences)))
    if result.failures:
        names = listed(result.failures, total=len(result.failures), separator="; ")
        text = _counted(_FAILED, len(result.failures), names=names)
        found.append((messages.ERROR, text))
    return found


def listed(names: Sequence[object], *, total: int, separator: str = ", ") -> str:
    """Return the first few names, then "and N more" (of ``total``)."""
    shown = [Truncator(str(name)).chars(LENGTH) for name in names[:NAMED]]
    text = separator.join(shown)
    if total <= len(shown):
        return text
    more = {"names": text, "count": number(total - len(shown))}
    return gettext("%(names)s and %(count)s more") % more


def recorded(operation: Operation) -> str:
    """Return what an object's history says: in English, as it is stored for all."""
    return f"{operation.value.capitalize()} was asked for."


def _counted(text: Any, count: int, **more: str) -> str:  # noqa: ANN401 - a lazy plural
    return str(text % {"number": count, "count": number(count), **more})
