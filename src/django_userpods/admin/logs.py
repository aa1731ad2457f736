"""The pages with a pod's events and the last lines of its logs, for staff with the permission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from django_userpods.admin.tabs import may_see_logs, tab_context

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    from django_userpods.models import UserPod


def evidence_page(
    model_admin: ModelAdmin[Any], request: HttpRequest, pod: UserPod | None, what: str
) -> HttpResponse:
    """Answer the page on ``events`` or ``logs``, 403 without both permissions, 404 without a pod.

    The cluster is asked whenever it is opened.
    """
    if not (may_see_logs(request) and model_admin.has_view_permission(request, pod)):
        raise PermissionDenied
    if pod is None:
        raise Http404
    return _page(request, model_admin, pod, what)


@require_safe
def _page(
    request: HttpRequest, model_admin: ModelAdmin[Any], pod: UserPod, what: str
) -> HttpResponse:
    from django_userpods import evidence

    context = {
        **tab_context(model_admin, request, pod, what),
        "evidence": evidence.of(pod, events=what == "events", logs=what == "logs"),
    }
    return TemplateResponse(request, f"admin/userpods/{what}.html", context)
