"""The addresses of our own views, wherever the project has mounted them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.shortcuts import resolve_url
from django.urls import reverse

from django_userpods.access.addresses import HOST_HEADER
from django_userpods.conf import conf
from django_userpods.core.addresses import RESERVED_PREFIX, Way

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


def to_view(request: HttpRequest, name: str, *arguments: str) -> str:
    """Return the path of one of our views on the site's host.

    Its siblings are where the view is that answers: ``django_userpods.urls`` may be included below
    another application's namespace, or under a name of its own.
    """
    return reverse(f"{namespace(request)}:{name}", args=arguments)


def namespace(request: HttpRequest) -> str:
    """Return the namespace that our views are in."""
    match = request.resolver_match
    return (match.namespace if match is not None else "") or "userpods"


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


def to_login(request: HttpRequest, back: str = "") -> HttpResponse:
    """Send a browser to the project's login, which leads back to this page, or to that named."""
    login = resolve_url(conf.USERPODS_LOGIN_URL)
    back = back or request.get_full_path()
    if urlsplit(login).netloc and conf.USERPODS_SITE_URL:
        back = conf.USERPODS_SITE_URL.removesuffix("/") + back
    return redirect_to_login(back, login)
