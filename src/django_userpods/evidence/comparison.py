"""What of a pod's objects is not as it should be, asked of the cluster as a dry run asks."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils.translation import gettext

from django_userpods.evidence import SECONDS, turn, worded
from django_userpods.exceptions import ClusterError, SettingError, TemplateError
from django_userpods.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_userpods.core.objects import Ref
    from django_userpods.core.plan import Verb
    from django_userpods.core.shape import Difference
    from django_userpods.models import UserPod
    from django_userpods.reconcile import Report

logger = logging.getLogger("django_userpods")


@dataclass
class Comparison:
    """What a sync would do; nothing is known of the cluster where ``is_whole`` is not set."""

    #: What a sync would do with which object, and which of its fields are not as declared. A
    #: Secret's values are masked.
    changes: dict[Ref, tuple[Verb, Sequence[Difference]]] = field(default_factory=dict)
    #: In sentences for staff, what could not be found out and what stands in the way.
    problems: list[str] = field(default_factory=list)
    is_whole: bool = False


def compare(pod: UserPod) -> Comparison:
    """Ask the cluster what a pod has there. Never raises for what is wrong with it or settings.

    Nothing is written, neither there nor on rows.
    """
    found = Comparison()
    with turn(found.problems) as is_ours:
        if is_ours:
            _compare(pod, found)
    return found


def _compare(pod: UserPod, found: Comparison) -> None:
    try:
        report = reconcile(pods=[pod.pk], prune=False, dry_run=True, timeout=SECONDS)
    except (SettingError, TemplateError) as error:
        found.problems.append(str(error))
    except ClusterError as error:
        logger.warning("pod %s: %s", pod.name, error)
        found.problems.append(worded(error))
    else:
        _take(report, found)


def _take(report: Report, found: Comparison) -> None:
    found.changes = {
        action.ref: (action.verb, report.differences.get(action.ref, ())) for action in report.done
    }
    found.problems += [failure.message for failure in report.failed]
    if report.waiting:
        found.problems.append(
            gettext(
                "A changed template is waiting for this pod's turn; until then the pod stays as "
                "it is."
            )
        )
    found.is_whole = not (report.failed or report.not_done or report.waiting)
