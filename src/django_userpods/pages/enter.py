"""From the site to a pod's host and back: signing in there, and out. See docs/addresses.md."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from django_userpods.access import tickets
from django_userpods.access.addresses import (
    HOST_HEADER,
    NONCE_COOKIE,
    OWNER_COOKIE,
    SESSION_COOKIE,
    cookie_name,
)
from django_userpods.access.credentials import cookie_values
from django_userpods.access.reach import is_let_in
from django_userpods.conf import conf
from django_userpods.core.addresses import MAIN, RESERVED_PREFIX, Way
from django_userpods.exceptions import InvalidCredentials
from django_userpods.pages import wanted_page
from django_userpods.pages.asking import Refusal, expected, main_pod, or_unavailable, reachable
from django_userpods.pages.links import to_login, to_view
from django_userpods.pages.refusals import for_browsers, page_of, refused, site_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from django_userpods.core.addresses import Addresses
    from django_userpods.models import UserPod
    from django_userpods.tokens import Ticket

#: Seconds that signing in at the site may take.
_NONCE_AGE = 600
_OWNER_AGE = 365 * 24 * 3600
_STATE = r"[0-9a-f]{64}\Z"
_NONCE = r"[A-Za-z0-9_-]{43}\Z"
#: Longer addresses are not kept: people come to the pod's first page then. On the way to the site's
#: login one is percent-encoded twice, and gunicorn takes 4094 bytes of a request line.
_MAX_PATH, _MAX_ENCODED = 2000, 3500


class _Here(NamedTuple):
    """The pod's host that a request came to."""

    where: Addresses
    #: The pod's name, "" for the main pod of whoever asks.
    name: str
    origin: str

    def url(self, path: str) -> str:
        """Return a URL on this host, and no other, of a path and query."""
        found = self.where.split(self.origin + path) if path.startswith("/") else None
        return self.origin + (found[1] if found and _is_kept(path) else "/")


def _is_kept(path: str) -> bool:
    return len(path) <= _MAX_PATH and len(quote(quote(path, safe=""), safe="")) <= _MAX_ENCODED


# --- on the site's host


@login_not_required
@never_cache
@require_GET
@expected
def enter(request: HttpRequest) -> HttpResponse:
    """Send a signed-in user to the pod at ``to``, with a ticket where that is another host.

    Anybody else goes to the project's own login first. Without ``to`` it leads to the pod's page
    that was asked for before a login that did not lead back, else to the user's own pod.
    """
    return _told(request, lambda: _enter(request))


def _enter(request: HttpRequest) -> HttpResponse:
    where = conf.USERPODS_URL
    if where is None:
        raise Http404
    if "to" not in request.GET:
        return _go_home(request, where)
    found = where.split(request.GET["to"])
    state = request.GET.get("state", "")
    if found is None or not (where.way is Way.PATHS or re.match(_STATE, state)):
        return _refused(request, gettext("There is no workspace at this address."), status=400)
    user: Any = request.user
    if not user.is_authenticated:
        response = to_login(request)
        wanted_page.remember(request, response, request.GET["to"])
        return response
    response = _enter_pod(request, where, found, state)
    wanted_page.forget(request, response)
    return response


def _enter_pod(
    request: HttpRequest, where: Addresses, found: tuple[Any, str], state: str
) -> HttpResponse:
    """Send a signed-in user to a pod that they may reach."""
    user: Any = request.user
    label, path = found
    pod = _pod_at(user, label)
    if isinstance(pod, Refusal):
        return page_of(request, pod)
    if where.way is Way.PATHS:
        return HttpResponseRedirect(path)
    path = path if _is_kept(path) else "/"
    try:
        ticket = tickets.issue(user, pod, session=request.session, state=state, path=path)
    except InvalidCredentials:
        return _refused(request, gettext("Please sign in again."), status=403)
    origin = where.origin("" if label is MAIN else str(label))
    query = urlencode({"ticket": ticket})
    return HttpResponseRedirect(f"{origin}{RESERVED_PREFIX}enter?{query}")


def _go_home(request: HttpRequest, where: Addresses) -> HttpResponse:
    """Lead to the page that was asked for before the login, else to the user's own pod.

    To the page itself: its host sends the browser here again, with a state that is not too old.
    """
    user: Any = request.user
    if not user.is_authenticated:
        return to_login(request)
    wanted = wanted_page.recall(request)
    found = where.split(wanted) if wanted else None
    if found is not None and not isinstance(_pod_at(user, found[0]), Refusal):
        response = HttpResponseRedirect(wanted)
        wanted_page.forget(request, response)
        return response
    pod = _pod_at(user, MAIN)
    if isinstance(pod, Refusal):
        return page_of(request, Refusal.NOT_LET_IN)
    if not pod.url:
        again = request.get_full_path()
        title = gettext("Your workspace is not ready yet")
        return _refused(request, title, status=503, again=again)
    return HttpResponseRedirect(pod.url)


def _pod_at(user: Any, label: Any) -> UserPod | Refusal:  # noqa: ANN401 - a project's own; or MAIN
    return _pod_of(user, "" if label is MAIN else f"{conf.USERPODS_NAME_PREFIX}{label}")


def _pod_of(user: Any, name: str) -> UserPod | Refusal:  # noqa: ANN401 - the project's own
    """Return the pod of this name, "" for the user's main one, if the user may reach it."""
    if not is_let_in(user):
        return Refusal.NOT_LET_IN
    if not name:
        return main_pod(user) or Refusal.ANOTHERS
    found = reachable(user, name)
    return found.pod if found else Refusal.ANOTHERS


@login_not_required
@never_cache
@csrf_protect
@require_POST
@expected
def site_sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out of the site, as Django's own logout does, and lead to where that leads."""

    def answer() -> HttpResponse:
        logout(request)
        return HttpResponseRedirect(
            resolve_url(settings.LOGOUT_REDIRECT_URL or conf.USERPODS_LOGIN_URL)
        )

    return or_unavailable(answer, refuse=for_browsers(request))


# --- on a pod's host


@login_not_required
@never_cache
@require_GET
@expected
def sign_in(request: HttpRequest) -> HttpResponse:
    """Send a browser that came to a pod's host to the site, and mark it with a nonce.

    One that it has stays: several pages may be on their way at once.
    """
    here = _here(request)
    cookies = cookie_values(request, cookie_name(NONCE_COOKIE))
    old = (cookie for cookie in cookies if re.match(_NONCE, cookie))
    nonce = next(old, None) or secrets.token_urlsafe(32)
    query = urlencode(
        {"to": here.url(request.GET.get("next", "/")), "state": tickets.state_of(nonce)}
    )
    response = HttpResponseRedirect(f"{site_url()}{to_view(request, 'enter')}?{query}")
    _set_cookie(response, here, NONCE_COOKIE, nonce, max_age=_NONCE_AGE)
    return _private(response)


@login_not_required
@never_cache
@require_GET
@sensitive_variables()
@expected
def take(request: HttpRequest) -> HttpResponse:
    """Change a ticket for a session on this host, and open the page that was asked for."""
    return _told(request, lambda: _take(request))


@sensitive_variables()
def _take(request: HttpRequest) -> HttpResponse:
    here = _here(request)
    nonces = cookie_values(request, cookie_name(NONCE_COOKIE))
    try:
        ticket, session = tickets.redeem(request.GET.get("ticket", ""), nonces=nonces)
        _check(ticket, here)
    except InvalidCredentials:
        return _refused(
            request,
            gettext("This link has already been used, or has expired."),
            status=403,
            again=f"{RESERVED_PREFIX}sign-in",
        )
    former = cookie_values(request, cookie_name(SESSION_COOKIE))
    entered = tickets.begin(ticket, session, instead_of=former)
    response = HttpResponseRedirect(here.url(entered.path))
    _set_cookie(response, here, SESSION_COOKIE, entered.secret, max_age=entered.max_age)
    owner = salted_hmac("userpods owner", entered.pod, algorithm="sha256").hexdigest()
    last = cookie_values(request, cookie_name(OWNER_COOKIE))
    is_known = any(constant_time_compare(owner, value) for value in last)
    if not is_known and (last or here.where.way is Way.ONE_HOST):
        # Not "cookies": that takes those of this very answer, so that it never ends, and the site's
        # own wherever it has the same registrable domain.
        response["Clear-Site-Data"] = '"cache", "storage"'
    _set_cookie(response, here, OWNER_COOKIE, owner, max_age=_OWNER_AGE)
    return response


def _check(ticket: Ticket, here: _Here) -> None:
    pod = _pod_of(ticket.user, here.name)
    if isinstance(pod, Refusal) or pod.pk != ticket.pod:
        message = "a ticket for another pod, or of a user who may not come in"
        raise InvalidCredentials(message)


@csrf_exempt
@login_not_required
@never_cache
@require_POST
@expected
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session on this host alone, and send the browser to the site.

    Needs no CSRF token: the origin has to be the host's own.
    """
    here = _here(request)
    if request.headers.get("Origin") != here.origin:
        return _private(
            _refused(request, gettext("Sign out from a page of this host."), status=403)
        )

    def answer() -> HttpResponse:
        tickets.end(secrets_=cookie_values(request, cookie_name(SESSION_COOKIE)))
        response = HttpResponseRedirect(conf.USERPODS_SITE_URL or "/")
        response.status_code = 303
        _set_cookie(response, here, SESSION_COOKIE, "", max_age=0)
        return response

    return _told(request, answer)


def _here(request: HttpRequest) -> _Here:
    where = conf.USERPODS_URL
    host = request.headers.get(HOST_HEADER, "")
    label = where.at(host) if where is not None and where.way is not Way.PATHS else None
    if where is None or label is None or conf.USERPODS_SITE_URL is None:
        raise Http404
    if label is MAIN:
        return _Here(where, "", where.origin(""))
    return _Here(where, f"{conf.USERPODS_NAME_PREFIX}{label}", where.origin(str(label)))


# --- both


def _set_cookie(
    response: HttpResponse, here: _Here, name: str, value: str, *, max_age: int | None
) -> None:
    """Set a cookie of this host alone; the name's prefix says so to browsers."""
    response.set_cookie(
        cookie_name(name),
        value,
        max_age=max_age,
        secure=here.where.is_secure,
        httponly=True,
        samesite="Lax",
    )


def _refused(request: HttpRequest, title: str, *, status: int, again: str = "") -> HttpResponse:
    label = gettext("Try again") if again else gettext("Back to the site")
    again = again or conf.USERPODS_SITE_URL or "/"
    return refused(request, title, status=status, again=again, label=label)


def _told(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """Return the answer, or that it cannot be told: kept private either way."""
    return _private(or_unavailable(answer, refuse=for_browsers(request)))


def _private(response: HttpResponse) -> HttpResponse:
    """Let no address of this exchange be told to the next page, and no frame show it."""
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response["X-Frame-Options"] = "DENY"
    return response
