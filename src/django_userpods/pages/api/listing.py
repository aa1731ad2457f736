"""Lists, a page at a time: what comes after a key, so pages stay right while rows come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest, JsonResponse

from django_userpods.exceptions import RequestRefused
from django_userpods.pages.asking import is_storable

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet

#: The number of items on a page: unless said otherwise, and at most.
LIMIT, MOST = 50, 200


def page(
    request: HttpRequest,
    rows: QuerySet[Any],
    item: Callable[[Any], dict[str, Any]],
    *,
    key: Callable[[str], Any] = str,
) -> JsonResponse:
    """Answer ``{"items", "next"}``: one query, whatever there is. ``key`` reads ``after``."""
    try:
        limit = int(request.GET.get("limit", LIMIT))
        after = key(request.GET["after"]) if "after" in request.GET else None
    except (ValueError, OverflowError) as error:
        raise RequestRefused(400, "limit and after have to be as in the answer before") from error
    if not is_storable(request.GET.get("after", "")):
        raise RequestRefused(400, "after has to be as in the answer before")
    if not 1 <= limit <= MOST:
        raise RequestRefused(400, f"limit has to be from 1 to {MOST}")
    rows = rows.order_by("pk")
    if after is not None:
        rows = rows.filter(pk__gt=after)
    found = list(rows[: limit + 1])
    following = None
    if len(found) > limit:
        found = found[:limit]
        query = {**request.GET.dict(), "after": found[-1].pk, "limit": limit}
        following = f"{request.path}?{urlencode(query)}"
    return JsonResponse({"items": [item(row) for row in found], "next": following})
