"""Views whose modules are imported by the first request for one of them, not by the start.

URLs are read by each ``check`` and ``migrate``, by workers and by the first request of a process,
whichever that is for; all pages together would be a third of what this app adds to that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def view(where: str) -> Callable[..., HttpResponse]:
    """Return a view that calls the one at ``where`` (``home.add``) below this package.

    It has to be a plain function. What Django's middleware reads of a view before it is called is
    the same for all of ours: they find out themselves who is asking, and check the CSRF token
    themselves where one is needed.
    """
    module, _, name = where.rpartition(".")
    module = f"{__package__}.{module}"

    def call(request: HttpRequest, **arguments: Any) -> HttpResponse:  # noqa: ANN401
        answer: HttpResponse = getattr(import_module(module), name)(request, **arguments)
        return answer

    # What error pages and tools that list URLs say.
    call.__module__, call.__name__, call.__qualname__ = module, name, name
    call.csrf_exempt = True  # type: ignore[attr-defined]
    call.login_required = False  # type: ignore[attr-defined]
    return call
