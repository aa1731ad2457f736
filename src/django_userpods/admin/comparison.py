"""The page on what a pod should have in the cluster, beside what it has there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_safe

from django_userpods.admin import manifests
from django_userpods.admin.tabs import tab_context
from django_userpods.core.plan import Verb
from django_userpods.exceptions import UserpodsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.contrib.admin import ModelAdmin

    from django_userpods.core.objects import Manifest
    from django_userpods.core.shape import Difference
    from django_userpods.models import UserPod


@dataclass
class Field:
    """A field that is not as declared: (sign, text) of its lines, and how many more there are."""

    path: str
    lines: list[tuple[str, str]]
    more: str


@dataclass
class Compared:
    """An object that a pod has or should have; ``state`` decides about the colour."""

    name: str
    verdict: str
    state: str
    fields: list[Field] = field(default_factory=list)


def comparison_page(
    model_admin: ModelAdmin[Any], request: HttpRequest, pod: UserPod | None
) -> HttpResponse:
    """Answer the page, 403 without the permission to view, 404 without a pod.

    The cluster is asked whenever it is opened.
    """
    if not model_admin.has_view_permission(request, pod):
        raise PermissionDenied
    if pod is None:
        raise Http404
    return _page(request, model_admin, pod)


@require_safe
def _page(request: HttpRequest, model_admin: ModelAdmin[Any], pod: UserPod) -> HttpResponse:
    context = tab_context(model_admin, request, pod, "comparison")
    wanted: list[Manifest] = []
    try:
        wanted = manifests.wanted(pod)
    except UserpodsError as error:
        context["problems"] = [str(error)]
    else:
        from django_userpods.evidence.comparison import compare

        compared = compare(pod)
        context["problems"] = compared.problems
        context["objects"] = [
            *_as_they_should_be(wanted, compared.changes, known=compared.is_whole),
            *(
                _compared(str(ref), verb, fields)
                for ref, (verb, fields) in compared.changes.items()
            ),
        ]
    context["text"] = manifests.as_text(wanted)
    return TemplateResponse(request, "admin/userpods/comparison.html", context)


def _as_they_should_be(
    wanted: Iterable[Manifest], changes: Iterable[Any], *, known: bool
) -> list[Compared]:
    """Return those of which a sync would change nothing, if that is known."""
    from django_userpods.core.objects import Ref

    refs = [Ref.of(manifest) for manifest in wanted] if known else []
    verdict = gettext("as it should be")
    return [Compared(str(ref), verdict, "running") for ref in refs if ref not in changes]


def _compared(name: str, verb: Verb, fields: Iterable[Difference]) -> Compared:
    verdicts = {
        Verb.CREATE: (gettext("is not there"), "failed"),
        Verb.UPDATE: (gettext("is not as it should be"), "pending"),
        Verb.DELETE: (gettext("should not be there"), "deleting"),
    }
    return Compared(name, *verdicts[verb], [_field(one) for one in fields])


def _field(difference: Difference) -> Field:
    from django_userpods.core.differences import marked

    lines, more = marked(difference)
    text = ngettext("(%(count)s more line)", "(%(count)s more lines)", more)
    return Field(difference.path, lines, text % {"count": more} if more else "")
