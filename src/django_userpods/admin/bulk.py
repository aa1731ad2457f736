"""The page of a bulk run: how far it has come, failures first, and those again; all there were.

It asks the database alone. Where neither a controller nor a task queue does the work, it asks for
the next few whenever it is read; the work goes on whether it is open or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import router
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from django_userpods import sentences
from django_userpods.admin import wording
from django_userpods.admin.actions import answer, may, page_context
from django_userpods.conf import conf
from django_userpods.core.operations import Operation
from django_userpods.core.reasons import Reason, reason_of
from django_userpods.core.states import State
from django_userpods.exceptions import UserpodsError
from django_userpods.models import BulkRun, Transition, UserPod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.contrib.admin import ModelAdmin

    from django_userpods.lifecycle.bulk import Failure, Progress

#: Maximum number of failures that are shown one by one.
_SHOWN = 100


def bulk_page(model_admin: ModelAdmin[Any], request: HttpRequest, run: int) -> HttpResponse:
    """Answer the page, or ask again for what failed; 403 without a permission, 404 without a run.

    Whoever may do what was done may see it, and those who may look at pods, where it is to be seen
    one by one; only the former may ask for it again.
    """
    # It was made a moment ago, where a replica may not have it yet.
    found = get_object_or_404(BulkRun.objects.using(router.db_for_write(BulkRun)), pk=run)
    is_allowed = may(request, Operation(found.operation))
    if not is_allowed and (request.method == "POST" or not may(request, "view")):
        raise PermissionDenied
    return _page(request, model_admin, found, is_allowed=is_allowed)


def runs_page(model_admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Answer the list of the runs that are kept; 403 for who may see none.

    Whoever may see one by itself sees it here. Nothing is asked for by it.
    """
    may_view = model_admin.has_view_permission(request)
    operations = [one for one in Operation if may(request, "view") or may(request, one)]
    if not operations:
        raise PermissionDenied
    return _runs(request, model_admin, operations, may_view=may_view)


@require_safe
def _runs(
    request: HttpRequest,
    model_admin: ModelAdmin[Any],
    operations: list[Operation],
    *,
    may_view: bool,
) -> HttpResponse:
    from django_userpods.lifecycle import bulk

    runs = [
        {
            "url": _url(model_admin, "bulk", run.pk),
            "what": wording.answer(Operation(run.operation), run.number),
            "actor": run.actor,
            "at": run.at,
            "counts": _counts(progress),
        }
        for run, progress in bulk.lately(operations)
    ]
    context = {
        **page_context(model_admin, request),
        "title": gettext("Bulk runs"),
        "runs": runs,
        "kept": wording.number(BulkRun.KEPT),
        "overview_url": _url(model_admin, "overview") if may_view else "",
        "list_url": _url(model_admin, "changelist") if may_view else "",
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/userpods/bulk_runs.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def _page(
    request: HttpRequest, model_admin: ModelAdmin[Any], run: BulkRun, *, is_allowed: bool
) -> HttpResponse:
    from django_userpods.lifecycle import bulk

    here = HttpResponseRedirect(request.path)
    if request.method == "POST":
        try:
            result = bulk.retry(run, actor=request.user.get_username())
        except UserpodsError as error:
            model_admin.message_user(request, str(error), "ERROR")
            return here
        return answer(model_admin, request, result) or here
    problem = ""
    try:
        bulk.go_on(run)
        rest = _rest()
    except UserpodsError as error:
        problem, rest = str(error), ""
    progress = bulk.progress_of(run)
    failures = bulk.failures_of(run, limit=_SHOWN) if progress.failed else []
    waiting = bulk.waiting_of(run, limit=wording.NAMED) if progress.waiting else []
    operation = Operation(run.operation)
    may_view = model_admin.has_view_permission(request)
    context = {
        **page_context(model_admin, request),
        "title": wording.answer(operation, run.number),
        "run": run,
        "operation": operation.value,
        "progress": progress,
        "summary": _summary(run, progress),
        "counts": _counts(progress),
        "problem": problem,
        "rest": rest,
        "waiting": _named(waiting, total=progress.waiting),
        "failures": [_shown(one, model_admin, is_linked=may_view) for one in failures],
        "more": wording.number(progress.failed - len(failures))
        if progress.failed > len(failures)
        else "",
        "retry": _retry(progress.to_retry) if is_allowed and progress.to_retry else "",
        "runs_url": _url(model_admin, "bulk_runs"),
        "list_url": _url(model_admin, "changelist") if may_view else "",
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/userpods/bulk.html", context)


def _rest() -> str:
    """Return who does what is left to do."""
    from django_userpods import tasks

    if conf.USERPODS_CONTROLLER:
        return gettext("The controller does the rest, whether this page is open or not.")
    if tasks.has_task_backend():
        return gettext("The task backend does the rest, whether this page is open or not.")
    if conf.USERPODS_INLINE_TIMEOUT == 0:
        return gettext("The next sync does the rest, whether this page is open or not.")
    return gettext(
        "The work continues while this page is open; after that, the next sync does the rest."
    )


def _summary(run: BulkRun, progress: Progress) -> str:
    text = ngettext(
        "Finished: %(settled)s of %(count)s pod.",
        "Finished: %(settled)s of %(count)s pods.",
        progress.number,
    )
    said = text % {
        "settled": wording.number(progress.settled),
        "count": wording.number(progress.number),
    }
    if progress.waiting or progress.settled_at is None:
        return said
    seconds = max(0, round((progress.settled_at - run.at).total_seconds()))
    more = gettext("The last one finished after %(seconds)s s.") % {
        "seconds": wording.number(seconds)
    }
    return f"{said} {more}"


def _counts(progress: Progress) -> list[dict[str, str]]:
    """Return how many there are of each outcome, failures first; ``state`` is for the colour."""
    found = (
        (State.FAILED, Transition.Outcome.FAILED.label, progress.failed),
        (State.PENDING, gettext("not known yet"), progress.waiting),
        (State.RUNNING, Transition.Outcome.DONE.label, progress.done),
        (State.STOPPED, Transition.Outcome.REPLACED.label, progress.replaced),
        (State.STOPPED, gettext("no longer known"), progress.unknown),
    )
    return [
        {"state": state.value, "label": str(label), "count": wording.number(count)}
        for state, label, count in found
        if count
    ]


def _retry(count: int) -> str:
    text = ngettext("Retry %(count)s that failed", "Retry the %(count)s that failed", count)
    return text % {"count": wording.number(count)}


def _shown(
    failure: Failure, model_admin: ModelAdmin[Any], *, is_linked: bool
) -> dict[str, str | bool]:
    """Return one failure: why in plain words, and what the cluster says where that is more."""
    pod, message = failure
    is_known = reason_of(message) is not Reason.OTHER
    plain = sentences.of(State.FAILED, message) if is_known else ""
    return {
        "name": wording.called(pod),
        "url": _url(model_admin, "change", pod.pk) if is_linked else "",
        "pk": pod.pk,
        "why": plain or Truncator(" ".join(message.split())).chars(wording.LENGTH),
        "message": message if plain or len(message) > wording.LENGTH else "",
        "state": pod.state,
        "state_label": pod.get_state_display(),
        "has_changed": pod.state != State.FAILED,
    }


def _named(pods: Sequence[UserPod], *, total: int) -> str:
    return wording.listed([wording.called(pod) for pod in pods], total=total) if pods else ""


def _url(model_admin: ModelAdmin[Any], page: str, *arguments: object) -> str:
    name = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_{page}"
    return reverse(name, args=arguments, current_app=model_admin.admin_site.name)
