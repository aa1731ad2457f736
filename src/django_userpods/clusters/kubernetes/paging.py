"""Reading a list page by page, the next page on its way while the caller works on this one."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from django_userpods.clusters.kubernetes import errors
from django_userpods.clusters.kubernetes.errand import Errand
from django_userpods.clusters.kubernetes.jsontext import split_list
from django_userpods.exceptions import BadAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.core.objects import Kind, Manifest


def read_pages(
    fetch: Callable[[str], bytes], *, kind: Kind, what: str, server: Callable[[], str]
) -> Iterator[Manifest]:
    """Yield the items of all pages. ``fetch`` gets the token of a page, "" for the first."""
    body, tokens = fetch(""), set[str]()
    api_version, name = kind.api_version, kind.kind
    while True:
        page, items = _parse(body, what=what, server=server())
        del body
        token = (page.get("metadata") or {}).get("continue") or ""
        if token in tokens:
            raise BadAnswer(f"{what}: {server()} gives the same page again and again")
        tokens.update({token} if token else ())
        ahead = Errand(partial(fetch, token), name="next-page") if token else None
        try:
            for item in items:
                item["apiVersion"] = api_version
                item["kind"] = name
                item["metadata"].pop("managedFields", None)
                yield item
        except ValueError as error:
            raise BadAnswer(f"{what}: {server()} answered with what is not JSON") from error
        if ahead is None:
            return
        # It has a timeout of its own.
        body = ahead.wait(threading.TIMEOUT_MAX)


def _parse(body: bytes, *, what: str, server: str) -> tuple[dict[str, Any], Iterator[Any]]:
    try:
        page, items = split_list(body)
    except ValueError:
        # Says what is wrong with what is not even JSON.
        errors.decode(body, what=what, server=server)
        page, items = {}, iter(())
    if not str(page.get("kind", "")).endswith("List"):
        raise BadAnswer(f"{what}: {server} answered with what is not a list")
    return page, items
