"""Pages that say no to a person, each with a way on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.shortcuts import render, resolve_url
from django.utils.translation import gettext

from django_userpods.conf import conf
from django_userpods.core.addresses import RESERVED_PREFIX
from django_userpods.pages import assets
from django_userpods.pages.asking import Refusal
from django_userpods.pages.links import is_on_pods_host, to_view

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


def refused(
    request: HttpRequest,
    title: str,
    *,
    status: int,
    again: str = "",
    label: str = "",
    may_sign_out: bool = False,
) -> HttpResponse:
    """Return a page that says what is the matter, with a link to go on by."""
    context: dict[str, Any] = {
        **assets.context(request),
        **(sign_out(request) if may_sign_out else {}),
        "title": title,
        "again": again,
        "again_label": label,
    }
    response = render(request, "userpods/refused.html", context, status=status)
    if may_sign_out:
        # A form without an origin is refused.
        response["Referrer-Policy"] = "same-origin"
    return response


def page_of(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Return the page for somebody who is not let in."""
    status = refusal.status
    if refusal is Refusal.NOT_LET_IN:
        title = gettext("There is no workspace for your account")
        return refused(request, title, status=status, may_sign_out=True)
    if refusal is Refusal.ANOTHERS:
        title = gettext("This is not your workspace")
        again, label = f"{site_url()}{to_view(request, 'enter')}", gettext("Open my workspace")
        return refused(request, title, status=status, again=again, label=label, may_sign_out=True)
    title = (
        gettext("You are signed out")
        if refusal is Refusal.NOBODY
        else gettext("Your access token is no longer valid")
    )
    return refused(request, title, status=status, again=_login(request), label=gettext("Sign in"))


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
