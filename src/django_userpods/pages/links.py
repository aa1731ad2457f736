"""The addresses of our own views, wherever the project has mounted them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.urls import reverse

from django_userpods.access.addresses import HOST_HEADER
from django_userpods.conf import conf
from django_userpods.core.addresses import RESERVED_PREFIX, Way

if TYPE_CHECKING:
    from django.http import HttpRequest


def to_view(request: HttpRequest, name: str, *arguments: str) -> str:
    """Return the path of one of our views on the site's host.

    Its siblings are where the view is that answers: ``django_userpods.urls`` may be included below
    another application's namespace, or under a name of its own.
    """
    match = request.resolver_match
    namespace = match.namespace if match is not None else ""
    return reverse(f"{namespace or 'userpods'}:{name}", args=arguments)


def is_on_pods_host(request: HttpRequest) -> bool:
    """Tell whether the browser is at a pod's own host, of which only ``/.userpods/`` is ours."""
    where = conf.USERPODS_URL
    return where is not None and where.way is not Way.PATHS and HOST_HEADER in request.headers


def beside_page(request: HttpRequest, name: str, *arguments: str) -> str:
    """Return the path of what a page asks for: on the host that the browser is at."""
    if not is_on_pods_host(request):
        return to_view(request, name, *arguments)
    return (
        RESERVED_PREFIX + to_view(request, f"pod-{name}", *arguments).partition(RESERVED_PREFIX)[2]
    )


def came_from(request: HttpRequest, otherwise: str) -> str:
    """Return the path and query of the page that a form was sent from, on this host alone."""
    page = urlsplit(request.headers.get("Referer", ""))
    here = request.headers.get(HOST_HEADER) if is_on_pods_host(request) else request.get_host()
    if page.netloc != here or not page.path.startswith("/") or page.path.startswith("//"):
        return otherwise
    return page.path + (f"?{page.query}" if page.query else "")
