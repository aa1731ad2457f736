"""The style and the script of our pages.

They are answered by Django itself and not from ``STATIC_URL``: on a pod's host nothing is Django's
but ``/.userpods/``, and a Content-Security-Policy that allows ``'self'`` allows them there. So no
page of ours has a line of script or style inside.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from django_userpods.pages.links import beside_page

if TYPE_CHECKING:
    from typing import Any

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
#: By names without a dot: on pods' hosts the router lets no other path of ours pass.
_FILES = {name: (Path(__file__).parent / f"pages.{name}").read_bytes() for name in _TYPES}
#: What is in an address, so that a browser may keep a file for good.
_VERSION = hashlib.sha256(b"".join(_FILES.values())).hexdigest()[:12]


@login_not_required
@require_safe
def asset(request: HttpRequest, name: str) -> HttpResponse:
    """Answer one of the files, the same to everybody."""
    content = _FILES.get(name)
    if content is None:
        raise Http404
    response = HttpResponse(content, content_type=_TYPES[name])
    is_this = request.GET.get("v") == _VERSION
    response["Cache-Control"] = f"public, max-age={31536000 if is_this else 60}"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def context(request: HttpRequest) -> dict[str, Any]:
    """Return what the template ``userpods/page.html`` needs."""
    urls = {f"{name}_url": f"{beside_page(request, 'asset', name)}?v={_VERSION}" for name in _FILES}
    return {**urls, "nonce": _nonce(request)}


def _nonce(request: HttpRequest) -> Any:  # noqa: ANN401 - a lazy text
    """Return the nonce that a policy may ask for: Django's (6.0) or django-csp's; None without."""
    # Neither is true before it is written into a page.
    return getattr(request, "_csp_nonce", getattr(request, "csp_nonce", None))
