"""A site with views of its own that are async, for uvicorn to serve."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from tests import settings as test_settings

if not settings.configured:
    found = {name: value for name, value in vars(test_settings).items() if name.isupper()}
    found["DATABASES"] = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["ASGI_DATABASE"],
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    }
    # Nothing that has to be adapted for every request: those are async themselves.
    found["ROOT_URLCONF"] = __name__
    found["MIDDLEWARE"] = [
        f"{__name__}.strict",
        *found["MIDDLEWARE"],
        "django.middleware.locale.LocaleMiddleware",
    ]
    found["USERPODS_CLUSTER"] = {"BACKEND": "tests.django.asgi_site.SlowCluster"}
    settings.configure(**found)
    import django

    django.setup()

from django.contrib.auth import alogin, alogout, get_user_model
from django.contrib.auth.decorators import login_not_required
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.utils.decorators import async_only_middleware

from django_userpods.models import UserPod
from django_userpods.testing import MemoryCluster

if TYPE_CHECKING:
    from django_userpods.testing import Call

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'"
)
SLOW = Path(f"{os.environ['ASGI_DATABASE']}.slow")


class SlowCluster(MemoryCluster):
    """A cluster each of whose answers takes a second while a file says so."""

    def _called(self, call: Call) -> Any:
        if SLOW.exists():
            time.sleep(1)
        return super()._called(call)


@async_only_middleware
def strict(get_response: Any) -> Any:
    """Give every answer a strict policy."""

    async def answer(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = await get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return answer


@login_not_required
async def make(request: HttpRequest, name: str) -> JsonResponse:
    """Save a user, who gets a pod by the signal, and sign them in."""
    user: Any = get_user_model()(username=name)
    user.set_unusable_password()
    await user.asave()
    await alogin(request, user, "django.contrib.auth.backends.ModelBackend")
    pod = await UserPod.objects.aget(owner=user)
    return JsonResponse({"pod": pod.name, "state": pod.state})


@login_not_required
async def stop(request: HttpRequest, name: str) -> JsonResponse:
    """Have a user's pod count as stopped, so that a visit has to start it."""
    stopped = {"wanted": UserPod.Wanted.STOPPED, "state": UserPod.State.STOPPED}
    await UserPod.objects.filter(owner__username=name).aupdate(**stopped)
    return JsonResponse({})


@login_not_required
async def leave(request: HttpRequest) -> JsonResponse:
    """Sign out."""
    await alogout(request)
    return JsonResponse({})


@login_not_required
async def remove(request: HttpRequest, name: str) -> JsonResponse:
    """Delete a user."""
    user = await get_user_model().objects.aget(username=name)
    await user.adelete()
    return JsonResponse({})


urlpatterns = [
    path("make/<name>", make),
    path("stop/<name>", stop),
    path("leave", leave),
    path("remove/<name>", remove),
    path("", include("django_userpods.urls")),
]
application = get_asgi_application()
