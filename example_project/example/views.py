"""The few views of the example project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.db.utils import Error as DatabaseError
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from django_userpods import lifecycle
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.http import HttpRequest

#: A body longer than this, in bytes, is not a login.
MAX_BODY = 10_000
FOREIGN = "a page of another site may not ask for this"


@require_GET
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """The account page: who is signed in, how their pod is, the way to it, to the admin, out."""
    pod = UserPod.objects.filter(owner_pk=str(request.user.pk)).first()
    # It may be another by now, and without a controller nobody else looks before the next sync.
    if pod and pod.wanted != UserPod.Wanted.ABSENT and UserPod.State(pod.state).may_change:
        lifecycle.look(pod)
    # Behind the router "/" is the pod. Where this page itself is at "/", there is no router.
    context = {"pod": pod, "routed": request.path != "/", "debug": settings.DEBUG}
    return render(request, "example/home.html", context)


# Why without a CSRF token: a client without a page has none. What protects instead is that every
# browser says which site's page sends a form or a script's request (`_is_foreign`).
@csrf_exempt
@login_not_required
@never_cache
@require_POST
@sensitive_post_parameters()
@sensitive_variables("password", "data")
def api_login(request: HttpRequest) -> JsonResponse:
    """Sign in with JSON ``{"user": ..., "pwd": ...}``, of any type, and set the session cookie.

    200 ``{"user": name}``; 401 where the two do not belong together or the user is inactive; 400
    where the body is not such JSON; 403 for a page of another site; 413 where it is too long; 429
    after too many failures.
    """
    if _is_foreign(request):
        return _error(403, FOREIGN)
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY:
        return _error(413, f"the body is longer than {MAX_BODY} bytes")
    try:
        data = json.loads(request.body)
    except (ValueError, RecursionError):
        return _error(400, "the body is not JSON")
    if not isinstance(data, dict):
        return _error(400, "the body has to be a JSON object")
    for key in ("user", "pwd"):
        if not isinstance(data.get(key), str) or not data[key]:
            return _error(400, f"{key!r} is missing or not a text")
        if not _is_text(data[key]):
            return _error(401, "invalid credentials")
    user = authenticate(request, username=data["user"], password=data["pwd"])
    if user is None:
        return _error(401, "invalid credentials")
    login(request, user)
    return JsonResponse({"user": user.get_username()})


@csrf_exempt  # as above
@login_not_required
@never_cache
@require_POST
def api_logout(request: HttpRequest) -> JsonResponse:
    """End the session, if there is one."""
    if _is_foreign(request):
        return _error(403, FOREIGN)
    logout(request)
    return JsonResponse({})


@login_not_required
@never_cache
@require_GET
def healthz(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - a view
    """Say whether the site can work: 200, or 503 where the database does not answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("database unavailable\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")


def _is_foreign(request: HttpRequest) -> bool:
    """Say whether a page of another site made a browser send this.

    Browsers send ``Origin`` with every POST, those of today ``Sec-Fetch-Site`` too; neither can be
    set by a page. Whoever sends neither is not a browser and carries nobody else's cookies.
    """
    origin = request.headers.get("Origin")
    if origin is not None:
        own = f"{request.scheme}://{request.get_host()}"
        return origin not in {own, *settings.CSRF_TRUSTED_ORIGINS}
    return request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}


def _is_text(value: str) -> bool:
    """Say whether a database takes the text: JSON may carry NUL and halves of surrogate pairs."""
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _error(status: int, message: str) -> JsonResponse:
    return JsonResponse({"error": message}, status=status)
