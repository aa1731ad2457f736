"""What Django takes a request for, as its answer: the other half of the comparison.

The site listens on two ports. On the one that nginx uses, whoami and the waiting page are the real
ones; everything else, and everything on the other port, is answered with Django's own reading.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from typing import TYPE_CHECKING

from django.core.exceptions import DisallowedHost, SuspiciousOperation
from django.http import JsonResponse

from django_userpods.access.authenticators import authenticate
from django_userpods.exceptions import InvalidCredentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

_REAL = {"/whoami", "/userpods/waiting/"}
#: Headers by which a client could pass for somebody else, as WSGI names them.
_FORGED = (
    "HTTP_X_USERPODS_",
    "HTTP_X_TARGET_",
    "HTTP_X_REMOTE_USER",
    "HTTP_X_AUTH_",
    "HTTP_REMOTE",
)


class Reading:
    """Middleware that answers with the user, the path, the host and more, as Django has them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        #: What whoami was told of where the pod is, and of the client, until somebody asks for it.
        self.told: deque[tuple[str, str, str]] = deque(maxlen=100)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_direct = request.META["SERVER_PORT"] == os.environ["SITE_DIRECT"]
        if request.path == "/told" and is_direct:
            return JsonResponse([self.told.popleft() for _ in range(len(self.told))], safe=False)
        if request.path in _REAL and not is_direct:
            if request.path == "/whoami":
                client = request.headers.get("X-Forwarded-For", "")
                self.told.append((*_told(request), client))
            return self.get_response(request)
        return JsonResponse(
            {
                "user": _user(request),
                "path": request.path,
                "raw": request.META["RAW_URI"],
                "told": _told(request),
                "query": request.META["QUERY_STRING"],
                "method": request.method,
                "host": _host(request),
                "raw_host": request.META.get("HTTP_HOST"),
                "cookies": request.COOKIES,
                "authorization": request.headers.get("Authorization", ""),
                "body": hashlib.sha256(request.body).hexdigest(),
                "forged": sorted(key for key in request.META if key.startswith(_FORGED)),
            }
        )


def _told(request: HttpRequest) -> tuple[str, str]:
    headers = request.headers
    return headers.get("X-Userpods-Host", ""), headers.get("X-Userpods-Path", "")


def _user(request: HttpRequest) -> str | None:
    try:
        visitor = authenticate(request)
    except InvalidCredentials:
        return None
    return None if visitor is None else visitor.user.get_username()


def _host(request: HttpRequest) -> str | None:
    try:
        return request.get_host()
    except (DisallowedHost, SuspiciousOperation):
        return None
