"""Where somebody wanted to go before they were asked to sign in, for sites that forget ``next``.

Kept in a cookie of the site, for a session would be a row for every visitor without an account. It
is signed, and only a pod's own address is ever read from it, so it leads nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.access.addresses import WANTED_COOKIE, cookie_name
from django_userpods.conf import conf

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_SALT = "django_userpods.wanted_page"
#: Seconds after which it is not meant any more.
_KEPT = 3600
#: Browsers keep 4096 bytes of a cookie with its name and attributes (RFC 6265bis, section 5.6).
_MAX_URL = 3000


def remember(request: HttpRequest, response: HttpResponse, url: str) -> None:
    """Remember the address of a pod's page; one that is too long for a cookie is not."""
    if len(url.encode()) > _MAX_URL:
        return
    name = cookie_name(WANTED_COOKIE)
    response.set_signed_cookie(
        name,
        url,
        salt=_SALT,
        max_age=_KEPT,
        secure=request.is_secure() or name.startswith("__Host-"),
        httponly=True,
        samesite="Lax",
    )


def recall(request: HttpRequest) -> str:
    """Return what was remembered; "" for nothing, or what is no pod's address (any more)."""
    where = conf.USERPODS_URL
    if where is None:
        return ""
    name = cookie_name(WANTED_COOKIE)
    url = request.get_signed_cookie(name, default="", salt=_SALT, max_age=_KEPT)
    return url if url and where.split(url) is not None else ""


def forget(request: HttpRequest, response: HttpResponse) -> None:
    """Remember nothing any more: it is meant once."""
    name = cookie_name(WANTED_COOKIE)
    if name in request.COOKIES:
        # As it was set: browsers take no "__Host-" without Secure.
        response.set_cookie(name, max_age=0, secure=name.startswith("__Host-"), samesite="Lax")
