"""The addresses of our own views, wherever the project has mounted them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from django_userpods.access.addresses import HOST_HEADER
from django_userpods.conf import conf
from django_userpods.core.addresses import RESERVED_PREFIX, Way

if TYPE_CHECKING:
    from django.http import HttpRequest


def to_view(request: HttpRequest, name: str) -> str:
    """Return the path of one of our views on the site's host.

    Its siblings are where the view is that answers: ``django_userpods.urls`` may be included below
    another application's namespace, or under a name of its own.
    """
    match = request.resolver_match
    namespace = match.namespace if match is not None else ""
    return reverse(f"{namespace or 'userpods'}:{name}")


def beside_page(request: HttpRequest, name: str) -> str:
    """Return the path of a view that a page asks: on a pod's own host that is there."""
    where = conf.USERPODS_URL
    if where is None or where.way is Way.PATHS or HOST_HEADER not in request.headers:
        return to_view(request, name)
    return f"{RESERVED_PREFIX}{name}/"
