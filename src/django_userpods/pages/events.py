"""What the cluster says of a pod that failed, in its own words, for the waiting page to show.

Asked for by the page's script once it is shown, so that the page itself waits for no cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_not_required
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from django_userpods.access.authenticators import TokenAuthenticator
from django_userpods.conf import conf
from django_userpods.pages.asking import as_json, expected, for_visitor

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from django_userpods.access.authenticators import Visitor
    from django_userpods.models import UserPod


def may_see_events(visitor: Visitor) -> bool:
    """Tell whether somebody may read the cluster's own words: owners, where the settings say so.

    Not by a token: one that reaches pods does no more, and the JSON API asks for the other scope.
    """
    by_token = isinstance(conf.USERPODS_AUTHENTICATORS[visitor.decided], TokenAuthenticator)
    return not (visitor.is_guest or by_token) and "logs" in conf.USERPODS_SELF_SERVICE


@login_not_required
@never_cache
@expected
@require_safe
def events(request: HttpRequest) -> HttpResponse:
    """Answer the events of the asking user's pod, as a part of a page."""

    def answer(visitor: Visitor, pod: UserPod) -> HttpResponse:
        if not may_see_events(visitor):
            return as_json({"error": "not allowed"}, status=403)
        from django_userpods import evidence

        context = {"evidence": evidence.events_of(pod), "problem": "quiet"}
        return render(request, "userpods/events.html", context)

    return for_visitor(request, answer)
