"""The page that asks before a rollout that was stopped goes on, for staff who may sync pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from django_userpods.admin import entries
from django_userpods.admin.actions import log, may, page_context
from django_userpods.admin.wording import number
from django_userpods.conf import conf
from django_userpods.core.operations import Operation
from django_userpods.core.rollout import Turn
from django_userpods.exceptions import UserpodsError
from django_userpods.labels import TURN_LABELS
from django_userpods.models import Installation
from django_userpods.sentences import rollout_stopped

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin


def notice(model_admin: ModelAdmin[Any], request: HttpRequest) -> dict[str, Any]:
    """Say above the list that a rollout was stopped; return its context: the way to go on."""
    from django_userpods.reconcile import rollout

    if not conf.has_rollout() or (stopped := rollout.stopped()) is None:
        return {}
    model_admin.message_user(request, rollout_stopped(*stopped), messages.WARNING)
    if not may(request, Operation.SYNC):
        return {}
    opts = model_admin.opts
    name = f"admin:{opts.app_label}_{opts.model_name}_resume_rollout"
    return {"resume_url": reverse(name, current_app=model_admin.admin_site.name)}


def resume_page(model_admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Ask, or go on with it where that is the answer; 403 without the permissions."""
    if not (may(request, Operation.SYNC) and model_admin.has_view_permission(request)):
        raise PermissionDenied
    return _page(request, model_admin)


@require_http_methods(["GET", "HEAD", "POST"])
def _page(request: HttpRequest, model_admin: ModelAdmin[Any]) -> HttpResponse:
    from django_userpods.reconcile import rollout

    opts, admin_name = model_admin.opts, model_admin.admin_site.name
    changelist = f"admin:{opts.app_label}_{opts.model_name}_changelist"
    back = reverse(changelist, current_app=admin_name)
    if request.method == "POST":
        _resume(model_admin, request)
        return HttpResponseRedirect(back)
    if (stopped := rollout.stopped()) is None:
        model_admin.message_user(request, _none(), messages.INFO)
        return HttpResponseRedirect(back)
    counts = rollout.counts()
    context = {
        **page_context(model_admin, request),
        "title": gettext("Resume the rollout?"),
        "stopped": rollout_stopped(*stopped),
        "turns": [
            {"label": label, "count": number(counts[Turn(turn)])}
            for turn, label in TURN_LABELS
            if counts[Turn(turn)]
        ],
        "back": back,
    }
    request.current_app = admin_name
    return TemplateResponse(request, "admin/userpods/resume_rollout.html", context)


def _resume(model_admin: ModelAdmin[Any], request: HttpRequest) -> None:
    from django_userpods import lifecycle

    try:
        went_on = lifecycle.resume_rollout(actor=request.user.get_username())
    except UserpodsError as error:
        model_admin.message_user(request, str(error), messages.ERROR)
        return
    if not went_on:
        model_admin.message_user(request, _none(), messages.INFO)
        return
    log(request, [Installation.objects.current()], entries.ROLLOUT)
    model_admin.message_user(request, gettext("The rollout has been resumed."), messages.SUCCESS)


def _none() -> str:
    return gettext("No rollout is stopped.")
