"""Which pod a request is about: what the router says of the host or path that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.conf import conf
from django_userpods.core.addresses import MAIN, Way

if TYPE_CHECKING:
    from django.http import HttpRequest

#: The cookies on pods' hosts: the session, what binds a ticket to a browser, whose pod it was last.
SESSION_COOKIE, NONCE_COOKIE, OWNER_COOKIE = "userpods", "userpods_nonce", "userpods_owner"
#: The cookie on the site's host: the pod's page that was wanted before the login.
WANTED_COOKIE = "userpods_wanted"
#: The ``Host`` that the browser asked for, as it came.
HOST_HEADER = "X-Userpods-Host"
#: The path of the request line up to the question mark, as it came: where pods are paths.
PATH_HEADER = "X-Userpods-Path"


def asked_pod(request: HttpRequest, *, at: str | None = None) -> str | None:
    """Return the name of the pod that a request is about, "" for the user's main pod.

    None where what was asked for is the address of no pod. Where pods are paths and the router
    names none, ``at`` may. Nothing has to trust either: what a user may reach does not depend on
    them.
    """
    where = conf.USERPODS_URL
    if where is None:
        return ""
    is_path = where.way is Way.PATHS
    given = request.headers.get(PATH_HEADER, at) if is_path else request.headers.get(HOST_HEADER)
    if given is None:
        return ""
    label = where.at("", given) if is_path else where.at(given)
    if label is MAIN:
        return ""
    return None if label is None else conf.USERPODS_NAME_PREFIX + str(label)


def cookie_name(name: str) -> str:
    """Return one of the cookies' names as browsers have it.

    With TLS it has the prefix that keeps other hosts from setting it (RFC 6265bis, section 4.1.3).
    """
    where = conf.USERPODS_URL
    return f"__Host-{name}" if where is not None and where.is_secure else name
