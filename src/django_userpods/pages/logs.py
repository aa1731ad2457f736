"""What the cluster says of one of a user's own pods: its events and the last lines of its logs.

The one page of users that asks the cluster, each time that it is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from django_userpods.conf import conf
from django_userpods.pages import assets
from django_userpods.pages.home import for_user, own_pods, page
from django_userpods.pages.links import to_view

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@for_user
@require_safe
def logs(request: HttpRequest, name: str) -> HttpResponse:
    """Show a user's own pod's events and logs, where ``USERPODS_SELF_SERVICE`` allows it."""
    pod = get_object_or_404(own_pods(request), name=name)
    if "logs" not in conf.USERPODS_SELF_SERVICE:
        return page(request, error=gettext("This is not allowed here."), status=403)
    from django_userpods import evidence

    context = {
        **assets.context(request),
        "state": "home",
        "title": gettext("Events and logs of %(pod)s") % {"pod": pod},
        "home_url": to_view(request, "home"),
        "evidence": evidence.of(pod),
    }
    return render(request, "userpods/logs.html", context)
