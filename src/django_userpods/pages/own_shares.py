"""Sharing in the hands of owners: their pods shared with others, and no longer."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from django_userpods import sentences, sharing
from django_userpods.access.reach import is_let_in
from django_userpods.exceptions import SettingError, ShareRefused
from django_userpods.models import Share
from django_userpods.pages.asking import is_storable
from django_userpods.pages.home import back, for_user, own_pods, page
from django_userpods.pages.shared import may_share

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

#: The days that a share may be good for; 0 is for good.
DAYS = (1, 7, 30, 365, 0)
#: Maximum number of shares of one pod that its owner makes.
MOST = 100


@for_user
@require_POST
def share_pod(request: HttpRequest, name: str) -> HttpResponse:
    """Share one of the user's own pods with the user or group of the name that was written."""
    pod = get_object_or_404(own_pods(request), name=name)
    if not may_share(request.user):
        return page(request, error=gettext("This is not allowed here."), status=403, pod=pod)
    user: Any = request.user
    whom, days = request.POST.get("whom", "").strip(), request.POST.get("days", "")
    found = found_by_name(request.POST.get("kind", ""), whom)
    error = wrong = ""
    if days not in map(str, DAYS):
        error, wrong = gettext("Choose how long it is shared."), "days"
    elif found is None:
        error = gettext("There is no user or group with exactly this name to share with.")
        wrong = "whom"
    elif Share.objects.filter(pod=pod.pk).count() >= MOST:
        error = gettext("It has reached the limit on shares. Stop sharing with somebody first.")
    else:
        until = timezone.now() + datetime.timedelta(days=int(days)) if int(days) else None
        try:
            sharing.share(pod, with_=found, until=until, by=user.get_username())
        except ShareRefused as refused:
            error = sentences.of_refused_share(refused.why)
            wrong = {"owner": "whom", "whom": "whom", "time": "days"}.get(refused.why, "")
        except SettingError:
            error = sentences.of_refused_share("off")
    if not error:
        return back(request)
    return page(request, error=error, status=400, pod=pod, wrong=wrong)


def found_by_name(kind: str, name: str) -> Any:  # noqa: ANN401 - a user, or a group
    """Return the user or group of exactly this name, None where there is none to share with.

    Of somebody who may not come in nothing is said that is not said of nobody.
    """
    if not name or not is_storable(name):
        return None
    if kind == "group":
        return next((one for one in Group.objects.filter(name=name) if one.name == name), None)
    model: Any = get_user_model()
    users = model._default_manager.filter(**{model.USERNAME_FIELD: name})  # noqa: SLF001 - documented name
    # Some databases find names in another case, too.
    exact = (user for user in users if kind == "user" and user.get_username() == name)
    found = next(exact, None)
    return found if found is not None and is_let_in(found) else None


@for_user
@require_POST
def unshare_pod(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """Share one of the user's own pods with somebody no longer, which is always allowed."""
    own = Share.objects.filter(pod__owner=request.user.pk, pod__name=name, pk=pk)
    get_object_or_404(own)
    sharing.end(own)
    return back(request)
