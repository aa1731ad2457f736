"""How a pod is doing, told as it changes: server-sent events for the waiting page, under ASGI.

Under WSGI a stream would hold one of few threads, so there the answer is 204: a browser then asks
no more, and the page polls. It polls, too, where as many streams are open as may be.

A stream is a coroutine that waits. Of each process one thread asks the database, once a second for
all streams together; a stream has no connection of its own, and ends soon, so that whoever may not
hear any more is found out when the browser comes again.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from django_userpods.pages.asking import as_json, expected, for_visitor
from django_userpods.pages.standing import standing_of
from django_userpods.pages.streams import Streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from django_userpods.access.authenticators import Visitor
    from django_userpods.models import UserPod
    from django_userpods.pages.streams import Stream

#: Seconds that a stream lasts, and between two signs of life. A router waits 20 s for a byte.
LASTS, BEATS = 25.0, 8.0
#: Milliseconds after which a browser comes again once a stream has ended.
_AGAIN = 1000

streams = Streams()


def can_stream(request: HttpRequest) -> bool:
    """Tell whether a request came by ASGI, where whoever waits holds no thread up."""
    return hasattr(request, "scope")


@login_not_required
@never_cache
@expected
@require_GET
def stream(request: HttpRequest) -> HttpResponseBase:
    """Answer how the asking user's pod is doing, as ``status`` does, and again when it changes."""
    if not can_stream(request):
        return HttpResponse(status=204)

    def answer(visitor: Visitor, pod: UserPod) -> HttpResponseBase:
        found = streams.begin(visitor, pod, get_language() or "", _seconds(visitor))
        if found is None:
            return as_json({"error": "unavailable"}, status=503)
        first = standing_of(visitor, pod)
        response = StreamingHttpResponse(_told(found, first), content_type="text/event-stream")
        # For nginx, which otherwise keeps an answer until there is enough of it.
        response["X-Accel-Buffering"] = "no"
        # For GZipMiddleware, whose pieces (Django 5.2) browsers read no further than the first.
        response["Content-Encoding"] = "identity"
        return response

    return for_visitor(request, answer)


def _seconds(visitor: Visitor) -> float:
    if visitor.until is None:
        return LASTS
    return min(LASTS, (visitor.until - timezone.now()).total_seconds())


async def _told(found: Stream, first: dict[str, object]) -> AsyncIterator[bytes]:
    """Yield a stream's events: of a pod, and signs of life that a page can see."""
    try:
        # The thread of this request has nothing more to ask the database.
        await sync_to_async(_let_go)()
        found.listen()
        yield f"retry: {_AGAIN}\ndata: {json.dumps(first)}\n\n".encode()
        while not found.is_over and (left := found.ends - time.monotonic()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(found.news.wait(), min(BEATS, left))
            said = found.take()
            yield f"data: {json.dumps(said)}\n\n".encode() if said else b"event: beat\ndata:\n\n"
    finally:
        streams.end(found)


def _let_go() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
