"""What a changed profile means for the pods that run by it, said before it is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext

from django_userpods.admin import wording
from django_userpods.admin.actions import is_number_agreed, number_context, page_context
from django_userpods.conf import conf
from django_userpods.core.operations import Operation
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    from django_userpods.models import Profile


def consequence(profile: Profile) -> str:
    """Return how many pods run by a profile, and how a change of it reaches them; "" for none."""
    return _consequence(_running(profile).count())


def is_agreed(request: HttpRequest, profile: Profile) -> bool:
    """Tell whether somebody said yes to what becomes of the pods, or there are none."""
    count = _running(profile).count()
    return not count or ("post" in request.POST and is_number_agreed(request, count))


def ask(
    model_admin: ModelAdmin[Any], request: HttpRequest, profile: Profile, number: int, back: str
) -> HttpResponse:
    """Return the page that asks before a profile goes back to the version of this number."""
    rows = _running(profile)
    count = rows.count()
    first = rows.select_related("owner").order_by("name")[: wording.NAMED]
    title = gettext("Restore version %(number)s of %(profile)s?")
    context = {
        **page_context(model_admin, request),
        "title": title % {"number": number, "profile": profile},
        "consequence": _consequence(count),
        "warning": "" if _waits() else wording.WARNINGS[Operation.RESTART],
        "names": wording.listed([wording.called(pod) for pod in first], total=count),
        "number": number,
        "back": back,
        **number_context(request, count),
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/userpods/profile/restore.html", context)


def _running(profile: Profile) -> QuerySet[UserPod]:
    return UserPod.objects.filter(profile=profile.slug, wanted=UserPod.Wanted.RUNNING)


def _waits() -> bool:
    """Tell whether pods get a change when they next start."""
    rule = conf.USERPODS_ROLLOUT if conf.has_rollout() else None
    return rule is not None and rule.max_unready is None


def _consequence(count: int) -> str:
    if not count:
        return ""
    rule = conf.USERPODS_ROLLOUT if conf.has_rollout() else None
    if rule is None:
        text = ngettext(
            "%(count)s running pod uses this profile and will be replaced at once.",
            "%(count)s running pods use this profile and will be replaced, all at once.",
            count,
        )
    elif rule.max_unready is None:
        text = ngettext(
            "%(count)s running pod uses this profile. It stays as it is until it next starts.",
            "%(count)s running pods use this profile. Each stays as it is until it next starts.",
            count,
        )
    else:
        text = ngettext(
            "%(count)s running pod uses this profile and will be replaced when it is its turn.",
            "%(count)s running pods use this profile and will be replaced, at most %(most)s at a "
            "time.",
            count,
        )
    most = wording.number(rule.max_unready) if rule and rule.max_unready else ""
    return text % {"count": wording.number(count), "most": most}
