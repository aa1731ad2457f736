"""Which part of a pod's plan waits while the pod waits for its turn (``core.rollout``).

Each object has a digest of what its template said of it (``naming.TEMPLATE_HASH_ANNOTATION``), so
an object that differs in that is behind its template, and one that differs in anything else alone
was edited by somebody.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django_userpods.core import kinds, naming
from django_userpods.core.plan import Action, Verb, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from django_userpods.core.objects import Ref
    from django_userpods.core.plan import Observed

_DIGEST = f".metadata.annotations.{naming.TEMPLATE_HASH_ANNOTATION}"
_POD_TEMPLATE = ".spec.template"
_POD_ANNOTATIONS = f"{_POD_TEMPLATE}.metadata.annotations"
_RESTARTED_AT = f"{_POD_ANNOTATIONS}.{naming.RESTARTED_AT_ANNOTATION}"


def is_behind(actions: Iterable[Action], observed: Mapping[Ref, Observed]) -> bool:
    """Tell whether a plan would replace a pod because its template is another now."""
    return any(
        action.verb == Verb.UPDATE
        and action.ref.kind.kind in kinds.REPLACING
        and _is_of_template(action, observed)
        for action in actions
    )


def is_restart(observed: Iterable[Observed]) -> bool:
    """Tell whether the pod is to be replaced because somebody asked for that.

    Of a pod that was asked to be restarted at some time.
    """
    paths = (path for item in observed for path in item.differences)
    return any(path in (_RESTARTED_AT, _POD_ANNOTATIONS) for path in paths)


def at_once(actions: Sequence[Action], observed: Mapping[Ref, Observed]) -> list[Action]:
    """Return what is done of a plan while the pod waits for its turn.

    What is missing is made, but for what runs pods: that may be what the template has more of now,
    and come up no better than the rest. What somebody edited is put back: in an object of which the
    template says what it said before as a whole, in a workload that is behind but for its pods.
    Nothing is deleted, for the pod as it is may need it.
    """
    found = []
    for action in actions:
        if action.verb == Verb.CREATE:
            if action.ref.kind.kind not in kinds.POD_RUNNERS:
                found.append(action)
        elif action.verb == Verb.UPDATE:
            if not _is_of_template(action, observed):
                found.append(action)
            elif action.ref.kind.kind in kinds.WORKLOADS and (
                paths := _but_for_pods(observed[action.ref])
            ):
                found.append(replace(action, reason=reason_of(paths), keeps_pods=True))
    return found


def _but_for_pods(item: Observed) -> list[str]:
    """Return what differs in a workload that is behind, without what the rollout brings.

    Nothing where the template says another thing of a field that cannot be changed: the update
    would be refused, of all who wait.
    """
    known = kinds.about(item.ref.kind)
    fixed = [f".{'.'.join(path)}" for path in known.fixed] if known is not None else []
    if any(_is_at(path, place) for path in item.differences for place in fixed):
        return []
    return [
        path for path in item.differences if path != _DIGEST and not _is_at(path, _POD_TEMPLATE)
    ]


def _is_at(path: str, place: str) -> bool:
    """Tell whether a path is that of a place, or of one below it."""
    return path == place or path.startswith((f"{place}.", f"{place}["))


def _is_of_template(action: Action, observed: Mapping[Ref, Observed]) -> bool:
    item = observed.get(action.ref)
    return item is not None and _DIGEST in item.differences
