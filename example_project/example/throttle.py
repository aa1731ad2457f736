"""Who has tried too many passwords: what django-axes asks this project, and what it answers.

Failures count for an account and a source together, so that whoever knows a name keeps nobody out
from elsewhere. The number of attempts from one source, for all accounts, is the router's to bound.
"""

from __future__ import annotations

import ipaddress
import math
from typing import TYPE_CHECKING, Any

from axes.models import AccessAttempt
from django.conf import settings as django_settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext

if TYPE_CHECKING:
    from django.http import HttpRequest

settings: Any = django_settings


def source(request: HttpRequest) -> str:
    """Return where a request comes from: an address, or an IPv6 network, of which many have a /64.

    ``CLIENT_ADDRESS_HEADER`` is believed, so it has to be one that the proxy in front always sets.
    """
    text = request.META.get(settings.CLIENT_ADDRESS_HEADER) or request.META.get("REMOTE_ADDR", "")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "::"  # a Unix socket, or a proxy that says nothing of use: all are one
    if address.version == 6:
        network = ipaddress.ip_network((int(address), 64), strict=False)
        return str(network.network_address)
    return str(address)


def refuse(
    request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """Answer an attempt that comes too soon: 429, with the seconds to wait."""
    del response
    seconds = _seconds_left(request, credentials or {})
    minutes = math.ceil(seconds / 60)
    answer: HttpResponse
    if request.path.startswith("/api/"):
        error = f"Too many failed attempts. Try again in {minutes} min."
        answer = JsonResponse({"error": error}, status=429)
    else:
        text = gettext("Too many failed attempts. Try again in %(minutes)s min.")
        message = text % {"minutes": minutes}
        answer = render(request, "registration/too_many.html", {"message": message}, status=429)
    answer["Retry-After"] = str(seconds)
    answer["Cache-Control"] = "no-store"
    return answer


def _seconds_left(request: HttpRequest, credentials: dict[str, Any]) -> int:
    tried = AccessAttempt.objects.filter(
        username=credentials.get("username"), ip_address=source(request)
    )
    last = tried.order_by("-attempt_time").values_list("attempt_time", flat=True).first()
    until = (last or timezone.now()) + settings.AXES_COOLOFF_TIME
    left: float = (until - timezone.now()).total_seconds()
    return max(1, math.ceil(left))
