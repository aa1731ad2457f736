"""URLs of a site whose front page is, as behind the router, the pod of whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.urls import path

from django_userpods.models import UserPod
from django_userpods.pages.waiting import waiting
from tests import urls

if TYPE_CHECKING:
    from django.http import HttpRequest


@login_not_required
def front(request: HttpRequest) -> HttpResponse:
    """What the router does: the pod where it is up, the waiting page otherwise."""
    pod = UserPod.objects.filter(owner=request.user.pk, slot="").first()
    if pod is not None and pod.state == UserPod.State.RUNNING:
        return HttpResponse("<title>app</title><h1>Here is the app</h1>")
    return waiting(request)


urlpatterns = [path("", front), *urls.urlpatterns]
