"""Leads people back to their pod after a login that does not know ``next``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from django.contrib.auth.signals import user_logged_in
from django.http.response import HttpResponseRedirectBase
from django.utils.deprecation import MiddlewareMixin

from django_userpods.exceptions import SettingError
from django_userpods.pages import wanted_page

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

__all__ = ["BackToPodMiddleware"]

_LOGGED_IN = "_userpods_logged_in"


class BackToPodMiddleware(MiddlewareMixin):
    """Have the redirect that ends a login lead to the pod that the visitor had asked for.

    A login that keeps ``next`` is left alone, and so is
    one that nobody was sent to from a pod.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Change where a redirect leads in whose request somebody signed in."""
        if not hasattr(request, _LOGGED_IN) or not isinstance(response, HttpResponseRedirectBase):
            return response
        try:
            url = wanted_page.recall(request)
        except SettingError:
            # The system check says so; a login is not the place.
            return response
        if url:
            wanted_page.forget(request, response)
        # Also where another page comes in between that leads there.
        if url and "userpods/enter/" not in unquote(unquote(response.url)):
            response["Location"] = url
        return response


def _note_login(*, request: HttpRequest | None = None, **_: object) -> None:
    if request is not None:
        setattr(request, _LOGGED_IN, True)


user_logged_in.connect(_note_login, dispatch_uid="userpods_back_to_pod")
