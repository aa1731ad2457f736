"""The five actions on pods, for whichever list they are started from.

A page that leads here posts to its change list, as Django's own actions do: the boxes that are
ticked, or all that match (``select_across``), and, from a page on one object, where to go back to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import django
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_permission_codename
from django.contrib.contenttypes.models import ContentType
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from django_userpods.admin import entries, wording
from django_userpods.core.operations import Operation
from django_userpods.exceptions import UserpodsError
from django_userpods.labels import STATE_LABELS
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.models import Model, QuerySet
    from django.utils.functional import _StrOrPromise

    from django_userpods.lifecycle import OperationResult

    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

#: The field that says where to go back to.
BACK = "userpods_back"
#: Up to this number, objects each have an entry in their own history.
_LOGGED = 500
#: Beyond this number of pods a yes is not enough: their number has to be typed.
TYPED_BEYOND = 50


def page_context(model_admin: _ModelAdmin, request: HttpRequest) -> dict[str, Any]:
    """Return what our own admin pages need beside what they show."""
    return {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        # Django 6.1 made the breadcrumbs a list.
        "breadcrumbs_are_a_list": django.VERSION >= (6, 1),
    }


def may(request: HttpRequest, operation: str) -> bool:
    """Tell whether a person has the permission for something that is done to pods."""
    codename = get_permission_codename(operation, UserPod._meta)  # noqa: SLF001 - Django's documented name
    return request.user.has_perm(f"{UserPod._meta.app_label}.{codename}")  # noqa: SLF001


def back(request: HttpRequest) -> HttpResponse:
    """Return the redirect to where the request came from."""
    url = request.POST.get(BACK, "")
    if not url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        url = request.get_full_path()
    return HttpResponseRedirect(url)


def log(request: HttpRequest, objects: Sequence[Model], message: str) -> None:
    """Write to the history of each object; for very many, one entry that says how many.

    The message is one of ``entries``, in English, as it is stored for all.
    Ten thousand entries would bury everything else in the history and keep people waiting.
    """
    user_pk = request.user.pk
    if not objects or user_pk is None:
        return
    if len(objects) <= _LOGGED:
        LogEntry.objects.log_actions(user_pk, objects, CHANGE, message)
        return
    model = type(objects[0])
    LogEntry.objects.create(
        user_id=user_pk,
        content_type=ContentType.objects.get_for_model(model, for_concrete_model=False),
        object_repr=f"{len(objects)} {model._meta.verbose_name_plural}",  # noqa: SLF001 - Django's documented name
        action_flag=CHANGE,
        change_message=f"{message} ({request.get_full_path()})",
    )


def selects_across(request: HttpRequest) -> bool:
    """Tell whether all that match are meant, not just the boxes ticked on the page."""
    return request.POST.get("select_across", "0") not in ("", "0", "false", "False")


def run_url(site: admin.AdminSite, run: int) -> str:
    """Return where a bulk run's page is, "" where the site has none."""
    try:
        return reverse("admin:userpods_userpod_bulk", args=(run,), current_app=site.name)
    except NoReverseMatch:  # pods are not on this site, or by an admin of the project's own
        return ""


def answer(
    model_admin: _ModelAdmin, request: HttpRequest, result: OperationResult, *, without: int = 0
) -> HttpResponse | None:
    """Say what became of a request; return the way to its page where there is more to come."""
    named = [UserPod(pk=pod.pk, name=pod.name, owner_pk=pod.owner_pk) for pod in result.pods]
    log(request, named, entries.OPERATIONS[result.operation])
    url = run_url(model_admin.admin_site, result.run.pk) if result.run else ""
    is_over = result.done == len(result.pods) and not result.under_way
    for level, text in wording.said(result, without=without):
        if url and is_over:
            text = format_html('{} <a href="{}">{}</a>', text, url, gettext("What came of it"))
        model_admin.message_user(request, text, level)
    return HttpResponseRedirect(url) if url and not is_over else None


class PodActionsMixin(_ModelAdmin):
    """A ModelAdmin with the actions; which rows are meant is for a subclass to say."""

    confirmation_template = "admin/userpods/confirm.html"
    #: What the actions are called in this list.
    operation_labels: ClassVar[dict[Operation, _StrOrPromise]] = wording.LABELS

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        # Here and not in the class, so that a project's own ``actions`` do not replace them.
        # None is a project's way to have no actions at all.
        if self.actions is not None:
            ours = [_action(operation, label) for operation, label in self.operation_labels.items()]
            self.actions = [*self.actions, *ours]

    def rows_for(self, queryset: QuerySet[Any]) -> tuple[QuerySet[UserPod], int]:
        """Return the rows that are meant, and how many of what is selected have none."""
        raise NotImplementedError

    def has_userpods_sync_permission(self, request: HttpRequest) -> bool:
        return may(request, Operation.SYNC)

    def has_userpods_start_permission(self, request: HttpRequest) -> bool:
        return may(request, Operation.START)

    def has_userpods_stop_permission(self, request: HttpRequest) -> bool:
        return may(request, Operation.STOP)

    def has_userpods_restart_permission(self, request: HttpRequest) -> bool:
        return may(request, Operation.RESTART)

    def has_userpods_recreate_permission(self, request: HttpRequest) -> bool:
        return may(request, Operation.RECREATE)

    def perform(
        self, request: HttpRequest, operation: Operation, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """Do an action, or ask first; answer at once however many rows are selected."""
        from django_userpods import lifecycle

        try:
            rows, without = self.rows_for(queryset)
            if operation in wording.WARNINGS and not self._is_confirmed(request, rows):
                return self._confirmation(request, operation, queryset, rows)
            actor = request.user.get_username()
            result = lifecycle.OPERATIONS[operation](rows, actor=actor, followed=True)
        except UserpodsError as error:
            self.message_user(request, str(error), messages.ERROR)
            return back(request)
        return answer(self, request, result, without=without) or back(request)

    def _is_confirmed(self, request: HttpRequest, rows: QuerySet[UserPod]) -> bool:
        """Tell whether somebody said yes, and to no fewer pods than there are now."""
        return "post" in request.POST and self.is_agreed(request, rows)

    def is_agreed(self, request: HttpRequest, rows: QuerySet[UserPod]) -> bool:
        """Tell whether what was said yes to is no fewer pods than there are now."""
        count = rows.count()
        # Those that were ticked one by one grow no more.
        is_listed = count <= TYPED_BEYOND and not selects_across(request)
        return is_listed or is_number_agreed(request, count)

    def _confirmation(
        self,
        request: HttpRequest,
        operation: Operation,
        queryset: QuerySet[Any],
        rows: QuerySet[UserPod],
    ) -> HttpResponse:
        count = rows.count()
        across = selects_across(request)
        # One box has to be ticked for Django to take the form; the filters are in its address.
        selected = queryset.values_list("pk", flat=True)[: 1 if across else None]
        first = rows.select_related("owner").order_by("name")[: wording.NAMED]
        own = rows.filter(owner=request.user.pk).select_related("owner").order_by("name")
        context = {
            **page_context(self, request),
            "title": wording.question(operation, count),
            "warning": wording.WARNINGS[operation],
            "names": wording.listed([wording.called(pod) for pod in first], total=count),
            "states": _by_state(rows),
            "own": wording.own(list(own[: wording.NAMED + 1])),
            "operation": operation,
            "label": wording.LABELS[operation],
            "answer": wording.answer(operation, count),
            "action": _action_name(operation),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "selected": list(selected),
            "select_across": across,
            **number_context(request, count),
            "back_name": BACK,
            "back": request.POST.get(BACK, ""),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.confirmation_template, context)


def is_number_agreed(request: HttpRequest, count: int) -> bool:
    """Tell whether a page with ``number_context`` was answered for no fewer pods than these."""
    agreed = _number(request, "count") or 0
    if count > TYPED_BEYOND:
        return _number(request, "typed") == agreed >= count
    return agreed >= count


def number_context(request: HttpRequest, count: int) -> dict[str, Any]:
    """Return what ``admin/userpods/number.html`` needs: beyond some pods, their number is typed."""
    return {
        "count": count,
        "is_typed": count > TYPED_BEYOND,
        "is_mistyped": bool(request.POST.get("typed", "").strip()),
    }


def _number(request: HttpRequest, field: str) -> int | None:
    """Return the number in a field as people write it: 10000, 10,000 or 10 000."""
    text = re.sub(r"[\s.,'’]", "", request.POST.get(field, ""))  # noqa: RUF001 - Swiss
    return int(text) if text.isdecimal() else None


def _by_state(rows: QuerySet[UserPod]) -> list[dict[str, str]]:
    """Return how many rows there are of each state, in the order of the states."""
    counts = rows.order_by().values_list("state").annotate(count=Count("pk"))
    found = dict(counts)
    return [
        {"state": state, "label": str(label), "count": wording.number(found[state])}
        for state, label in STATE_LABELS
        if state in found
    ]


def buttons(
    model_admin: PodActionsMixin, request: HttpRequest, pod: UserPod
) -> list[dict[str, Any]]:
    """Return the actions that a person may start, for buttons on a pod's page.

    Those that would change nothing of it are not enabled.
    """
    from django_userpods import lifecycle

    return [
        {
            "action": _action_name(operation),
            "operation": operation.value,
            "label": label,
            "enabled": lifecycle.applies(operation, pod),
        }
        for operation, label in model_admin.operation_labels.items()
        if may(request, operation)
    ]


def _action_name(operation: Operation) -> str:
    return f"userpods_{operation}"


def _action(operation: Operation, label: _StrOrPromise) -> Callable[..., HttpResponse | None]:
    @admin.action(permissions=[_action_name(operation)], description=label)
    def action(
        model_admin: PodActionsMixin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return model_admin.perform(request, operation, queryset)

    action.__name__ = _action_name(operation)
    return action
