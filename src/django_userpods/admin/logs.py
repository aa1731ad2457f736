"""The page with a pod's events and the last lines of its logs, for staff with the permission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from django_userpods.admin.actions import page_context

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    from django_userpods.models import UserPod


def may_see_logs(request: HttpRequest) -> bool:
    """Tell whether a person may see what pods write."""
    return request.user.has_perm("userpods.view_userpod_logs")


def logs_page(
    model_admin: ModelAdmin[Any], request: HttpRequest, pod: UserPod | None
) -> HttpResponse:
    """Answer the page, 403 without both permissions, 404 without a pod."""
    if not (may_see_logs(request) and model_admin.has_view_permission(request, pod)):
        raise PermissionDenied
    if pod is None:
        raise Http404
    return _page(request, model_admin, pod)


@require_safe
def _page(request: HttpRequest, model_admin: ModelAdmin[Any], pod: UserPod) -> HttpResponse:
    from django_userpods import evidence

    context = {
        **page_context(model_admin, request),
        "title": gettext("Events and logs of %(pod)s") % {"pod": pod},
        "evidence": evidence.of(pod),
    }
    return TemplateResponse(request, "admin/userpods/logs.html", context)
