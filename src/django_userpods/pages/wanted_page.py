"""Where somebody wanted to go before they were asked to sign in, for sites that forget ``next``.

Kept in the session, which a login goes on with. Only pods' own addresses are kept, so nothing that
was put there can lead anywhere else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django_userpods.conf import conf

if TYPE_CHECKING:
    from django.http import HttpRequest

_KEY = "_userpods_wanted_page"
#: Seconds after which it is not meant any more.
_KEPT = 3600


def remember(request: HttpRequest, url: str) -> None:
    """Remember the address of a pod's page; without sessions there is nowhere to."""
    session: Any = getattr(request, "session", None)
    if session is not None:
        session[_KEY] = [url, int(time.time())]


def recall(request: HttpRequest) -> str:
    """Return what was remembered, once; "" for nothing, or what is no pod's address (any more)."""
    session: Any = getattr(request, "session", None)
    if session is None or _KEY not in session:
        return ""
    found = session.pop(_KEY)
    where = conf.USERPODS_URL
    if not (isinstance(found, list) and len(found) == 2) or where is None:
        return ""
    url, since = found
    return url if time.time() - since < _KEPT and where.split(url) is not None else ""
