"""How every view of the API begins and ends: who asks, how often, by which method, with what.

A session of the site needs Django's CSRF token for all but reading. A bearer token needs the scope
*manage*, and has none of its user's permissions as staff.
"""

from __future__ import annotations

import json
import logging
import time
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.auth.decorators import login_not_required
from django.core.cache import caches
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from django_userpods.access.authenticators import SessionAuthenticator, TokenAuthenticator
from django_userpods.access.credentials import bearer
from django_userpods.conf import conf
from django_userpods.exceptions import (
    InvalidCredentials,
    RequestRefused,
    SettingError,
    UserpodsError,
)
from django_userpods.models import AccessToken
from django_userpods.pages.asking import RETRY_AFTER, is_storable, logged_quietly

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

logger = logging.getLogger("django_userpods")

#: Maximum number of requests of one user in a window, and the seconds of a window.
RATE, WINDOW = 120, 60
_SAFE = frozenset({"GET", "HEAD"})
#: What reading a body may raise: malformed, too large, with too many fields, or broken off.
_UNREADABLE = (BadRequest, SuspiciousOperation, UnreadablePostError)
_NO_OBJECT = "the body has to be a JSON object"


class Caller(NamedTuple):
    """Who asks."""

    user: Any
    #: Whether by an access token, and not by a session.
    by_token: bool

    def may(self, permission: str) -> bool:
        """Tell whether this is staff with a permission of ours (``stop_userpod``)."""
        user = self.user
        return bool(
            not self.by_token
            and getattr(user, "is_staff", False)
            and user.has_perm(f"userpods.{permission}")
        )

    def require(self, permission: str) -> None:
        """Refuse whoever has not this permission."""
        if not self.may(permission):
            raise RequestRefused(403, f"this needs the permission userpods.{permission}")

    def require_self_service(self, what: str) -> None:
        """Refuse what users may not do with their own."""
        if what not in conf.USERPODS_SELF_SERVICE:
            raise RequestRefused(403, "not allowed here")


class _Csrf(CsrfViewMiddleware):
    """Django's check, which says what it found instead of answering."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:  # noqa: ANN401, ARG002 - Django's
        return reason


def endpoint(**handlers: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Make a view of functions by their methods (``get=...``), each called with the Caller."""
    methods = {name.upper(): handler for name, handler in handlers.items()}
    allow = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))

    @csrf_exempt
    @login_not_required
    @never_cache
    def view(request: HttpRequest, **arguments: Any) -> HttpResponse:  # noqa: ANN401
        method = request.method or ""
        handler = methods.get("GET" if method == "HEAD" else method)
        try:
            if handler is None:
                raise RequestRefused(405, "method not allowed", Allow=allow)
            caller = _caller(request)
            _throttle(caller)
            response = handler(request, caller, **arguments)
        except RequestRefused as refused:
            response = JsonResponse({"error": refused.text}, status=refused.status)
            for name, value in refused.headers.items():
                response[name.replace("_", "-")] = value
        except (SettingError, UserpodsError, Error):
            # Whoever asks is told nothing of what is inside.
            logger.exception("the API could not answer %s", request.path)
            response = JsonResponse({"error": "unavailable"}, status=503)
            response["Retry-After"] = str(RETRY_AFTER)
        return logged_quietly(request, response)

    view.methods = frozenset(methods)  # type: ignore[attr-defined]
    return view


def public(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Make a view that anybody may read."""

    @login_not_required
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method not in _SAFE:
            response: HttpResponse = JsonResponse({"error": "method not allowed"}, status=405)
            response["Allow"] = "GET, HEAD"
            return logged_quietly(request, response)
        return view(request)

    answer.methods = frozenset({"GET"})  # type: ignore[attr-defined]
    return answer


def _caller(request: HttpRequest) -> Caller:
    if text := bearer(request):
        return _by_token(request, text)
    user = SessionAuthenticator().authenticate(request)
    if user is None or not user.is_active:
        raise RequestRefused(401, "not signed in", WWW_Authenticate='Bearer realm="userpods"')
    if request.method not in _SAFE and (reason := _csrf(request)):
        raise RequestRefused(403, reason)
    return Caller(user, by_token=False)


def _by_token(request: HttpRequest, text: str) -> Caller:
    invalid = 'Bearer realm="userpods", error="invalid_token"'
    ours = [item for item in conf.USERPODS_AUTHENTICATORS if isinstance(item, TokenAuthenticator)]
    if not ours or not text.startswith(AccessToken.PREFIX):
        raise RequestRefused(401, "invalid token", WWW_Authenticate=invalid)
    token = AccessToken.objects.find(text)
    if token is None or not token.is_valid or not token.user.is_active:
        raise RequestRefused(401, "invalid token", WWW_Authenticate=invalid)
    if token.scope != AccessToken.Scope.MANAGE:
        scope = 'Bearer realm="userpods", error="insufficient_scope", scope="manage"'
        raise RequestRefused(403, "this token may not manage pods", WWW_Authenticate=scope)
    try:
        # What notes its use, too.
        ours[0].authenticate(request)
    except InvalidCredentials as error:
        raise RequestRefused(401, "invalid token", WWW_Authenticate=invalid) from error
    return Caller(token.user, by_token=True)


def _csrf(request: HttpRequest) -> str:
    check = _Csrf(lambda _request: HttpResponse())
    try:
        # Kept, or a form of several parts, in which Django looks for its token, could be read once.
        _ = request.body
        check.process_request(request)
        found: Any = check.process_view(request, None, (), {})  # type: ignore[arg-type]
    except _UNREADABLE as error:
        raise RequestRefused(400, _NO_OBJECT) from error
    return f"CSRF: {found}" if found else ""


def _throttle(caller: Caller) -> None:
    now = int(time.time())
    cache = caches[conf.USERPODS_CACHE or "default"]
    # A digest: a cache may take no key with a blank, which a user's key may have.
    key = f"userpods-api:{AccessToken.digest_of(str(caller.user.pk))}:{now // WINDOW}"
    try:
        count = 1 if cache.add(key, 1, WINDOW * 2) else cache.incr(key)
    except ValueError:
        return  # it was dropped in between
    except Exception:  # each cache's own; one that is down is as good as none
        logger.warning("the requests of the API could not be counted", exc_info=True)
        return
    if count > RATE:
        raise RequestRefused(429, "too many requests", Retry_After=str(WINDOW - now % WINDOW))


# --- what a request says


def body_of(request: HttpRequest, *, known: Collection[str]) -> dict[str, Any]:
    """Return the JSON object that was sent, with no other than the known keys; 400 for others."""
    try:
        found = json.loads(request.body or b"{}")
    except (ValueError, RecursionError, *_UNREADABLE) as error:
        raise RequestRefused(400, _NO_OBJECT) from error
    if not isinstance(found, dict):
        raise RequestRefused(400, _NO_OBJECT)
    if unknown := sorted(set(found) - set(known)):
        raise RequestRefused(
            400, f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    return found


def text_in(body: dict[str, Any], name: str, *, most: int, default: str = "") -> str:
    """Return a text of a body; 400 for anything else, or one that is too long."""
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > most or not is_storable(value):
        raise RequestRefused(400, f"{name} has to be a text of at most {most} characters")
    return value


def wants_all(request: HttpRequest, caller: Caller, permission: str) -> bool:
    """Tell whether everybody's are asked for (``?all=true``), which needs a permission."""
    value = request.GET.get("all", "false")
    if value not in ("true", "false"):
        raise RequestRefused(400, "all has to be true or false")
    if value == "true":
        caller.require(permission)
    return value == "true"
