"""The first page: how the whole is doing, as far as the database knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from django_userpods.admin.actions import page_context
from django_userpods.admin.wording import number
from django_userpods.labels import STATE_LABELS, TURN_LABELS
from django_userpods.sentences import rollout_stopped

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.http import HttpRequest, HttpResponse

    from django_userpods.status import Status


def overview_page(model_admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Answer the page, 403 without the permission to view pods. No cluster is waited for."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    return _page(request, model_admin)


@require_safe
def _page(request: HttpRequest, model_admin: ModelAdmin[Any]) -> HttpResponse:
    # Not at the start of every process that has the admin.
    from django_userpods.status import status

    opts = model_admin.opts
    name = f"admin:{opts.app_label}_{opts.model_name}_changelist"
    pods = reverse(name, current_app=model_admin.admin_site.name)
    found = status(ask_cluster=False)
    context = {
        **page_context(model_admin, request),
        "title": gettext("Overview"),
        "pods_url": pods,
        "runs_url": reverse(
            f"admin:{opts.app_label}_{opts.model_name}_bulk_runs",
            current_app=model_admin.admin_site.name,
        ),
        "found": found,
        "total": number(found.total),
        "waiting": number(found.waiting),
        "failures": number(found.sync_failures),
        "age": timesince(found.synced_at) if found.synced_at else "",
        "states": _states(found, pods),
        "turns": _turns(found, pods),
        "stopped": rollout_stopped(*found.rollout_stopped) if found.rollout_stopped else "",
        "reasons": _reasons(found, pods),
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/userpods/overview.html", context)


def _states(found: Status, pods: str) -> list[dict[str, Any]]:
    return [
        {
            "state": state,
            "label": label,
            "count": number(found.states[state]),
            "url": _where(pods, state__exact=state),
        }
        for state, label in STATE_LABELS
    ]


def _turns(found: Status, pods: str) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "count": number(found.rollout[turn]),
            "url": _where(pods, turn__exact=turn),
        }
        for turn, label in TURN_LABELS
        if found.rollout[turn]
    ]


def _reasons(found: Status, pods: str) -> list[dict[str, Any]]:
    return [
        {
            "reason": item.reason,
            "count": number(item.pods),
            "example": item.label,
            "url": _where(pods, q=item.example),
            "message": item.message,
        }
        for item in found.reasons
    ]


def _where(pods: str, **lookups: str) -> str:
    return f"{pods}?{urlencode(lookups)}"
