"""Pages that say no to a person, each with a way on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.shortcuts import render, resolve_url
from django.utils.translation import gettext

from django_userpods.access import reach
from django_userpods.conf import conf
from django_userpods.core.addresses import RESERVED_PREFIX
from django_userpods.pages import assets
from django_userpods.pages.asking import RETRY_AFTER, Refusal, is_navigation
from django_userpods.pages.links import came_from, is_on_pods_host, to_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def refused(
    request: HttpRequest,
    title: str,
    *,
    status: int,
    text: str = "",
    again: str = "",
    label: str = "",
    may_sign_out: bool = False,
) -> HttpResponse:
    """Return a page that says what is the matter, with a link to go on by.

    ``text`` says more of it. Who ``may_sign_out`` is somebody: they read as whom they are signed
    in, as far as it is the site that they are signed in to.
    """
    context: dict[str, Any] = {
        **assets.context(request),
        **(sign_out(request) if may_sign_out else {}),
        "title": title,
        "text": text,
        "username": _username(request) if may_sign_out else "",
        "again": again,
        "again_label": label,
    }
    response = render(request, "userpods/refused.html", context, status=status)
    if may_sign_out:
        # A form without an origin is refused.
        response["Referrer-Policy"] = "same-origin"
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def for_browsers(request: HttpRequest) -> Callable[[Refusal], HttpResponse] | None:
    """Return what makes the pages for somebody who is not let in; None for programs."""
    return partial(page_of, request) if is_navigation(request) else None


def page_of(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Return the page for somebody who is not let in."""
    status = refusal.status
    if status == 503:
        return _later(request, refusal)
    if refusal is Refusal.NOT_LET_IN:
        title = gettext("There is no workspace for your account")
        return refused(request, title, status=status, may_sign_out=True)
    if refusal is Refusal.ANOTHERS:
        return _not_theirs(request, status)
    title = (
        gettext("You are signed out")
        if refusal is Refusal.NOBODY
        else gettext("Your access token is no longer valid")
    )
    return refused(request, title, status=status, again=_login(request), label=gettext("Sign in"))


def _not_theirs(request: HttpRequest, status: int) -> HttpResponse:
    """Return the page for somebody who is signed in, at a pod that they may not reach.

    It is the same whether the pod was shared with them before, is another's or is not there at all.
    """
    text = ""
    if reach.is_on():
        text = gettext(
            "It is not shared with you now. If it was, that has ended: ask its owner to share it "
            "again."
        )
    return refused(
        request,
        gettext("This is not your workspace"),
        status=status,
        text=text,
        again=f"{site_url()}{to_view(request, 'home')}",
        label=gettext("My workspaces"),
        may_sign_out=True,
    )


def _username(request: HttpRequest) -> str:
    """Return as whom they are signed in at the site, "" where that cannot be told."""
    user: Any = getattr(request, "user", None)
    if is_on_pods_host(request) or user is None or not user.is_authenticated:
        return ""
    return str(user.get_username())


def _later(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Return the page that says to come again.

    No form to sign out is on it: that would ask the database, too.
    """
    here, text = _here(request), gettext("Please try again in a moment.")
    if refusal is Refusal.NOT_READY:
        title = gettext("Your workspace is not ready yet")
    else:
        title = gettext("This page is not available right now")
    if request.method == "POST":
        # A link sends no form.
        here = came_from(request, "/" if is_on_pods_host(request) else to_view(request, "home"))
        text = gettext("What you asked for may not have been done. Please look, and try again.")
    return refused(request, title, status=503, text=text, again=here, label=gettext("Try again"))


def _here(request: HttpRequest) -> str:
    """Return the path and query that the browser asked for."""
    path = request.get_full_path()
    if is_on_pods_host(request):
        # Wherever the project has mounted our views.
        return RESERVED_PREFIX + path.partition(RESERVED_PREFIX)[2]
    return path


def sign_out(request: HttpRequest) -> dict[str, Any]:
    """Return what the template ``userpods/sign_out.html`` needs.

    On a pod's host that ends the session there, by its origin; nothing of the site's is there.
    """
    if is_on_pods_host(request):
        return {"sign_out_url": f"{RESERVED_PREFIX}sign-out", "sign_out_needs_token": False}
    return {"sign_out_url": to_view(request, "sign-out"), "sign_out_needs_token": True}


def site_url() -> str:
    """Return the site's address without a slash at its end; "" where nobody said."""
    return (conf.USERPODS_SITE_URL or "").removesuffix("/")


def _login(request: HttpRequest) -> str:
    if is_on_pods_host(request):
        return f"{RESERVED_PREFIX}sign-in"
    return resolve_url(conf.USERPODS_LOGIN_URL)
