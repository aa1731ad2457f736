"""What of a request is ours: cookies, all of one name, and bearer tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest

#: The attribute of a request in which an authenticator may put the time (aware) until which the
#: request's credentials are good.
VALID_UNTIL = "userpods_valid_until"
#: Maximum number of cookies of one name that are looked at. More are an attack, and cost no query.
_MOST = 8


def cookie_values(request: HttpRequest, name: str) -> list[str]:
    """Return the values of all cookies of this name, in order.

    Django keeps the last alone: a page of a sibling host, or one with a longer path, could hide
    the cookie that counts behind one of its own (RFC 6265, section 8.6).
    """
    values = []
    for pair in request.META.get("HTTP_COOKIE", "").split(";"):
        key, mark, value = pair.partition("=")
        if mark and key.strip(" \t") == name:
            values.append(value.strip(" \t"))
    return values[:_MOST]


def bearer(request: HttpRequest) -> str:
    """Return the text of ``Authorization: Bearer <text>`` (RFC 6750), else nothing."""
    scheme, _, text = request.headers.get("Authorization", "").strip().partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""
