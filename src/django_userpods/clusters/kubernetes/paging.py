"""Reading a list page by page, the next page on its way while the caller works on this one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django_userpods.clusters.kubernetes import errors
from django_userpods.clusters.kubernetes.jsontext import split_list
from django_userpods.exceptions import BadAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.core.objects import Kind, Manifest

_T = TypeVar("_T")


def read_pages(
    fetch: Callable[[str], bytes], *, kind: Kind, what: str, server: Callable[[], str]
) -> Iterator[Manifest]:
    """Yield the items of all pages. ``fetch`` gets the token of a page, "" for the first."""
    body = fetch("")
    api_version, name = kind.api_version, kind.kind
    while True:
        page, items = _parse(body, what=what, server=server())
        del body
        token = (page.get("metadata") or {}).get("continue") or ""
        ahead = _Ahead(fetch, token) if token else None
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
        body = ahead.result()


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


class _Ahead(Generic[_T]):
    """One page being fetched by a thread."""

    def __init__(self, fetch: Callable[[str], _T], token: str) -> None:
        self._results: list[_T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(
            target=self._run, args=(fetch, token), name="userpods-next-page", daemon=True
        )
        self._thread.start()

    def _run(self, fetch: Callable[[str], _T], token: str) -> None:
        try:
            self._results.append(fetch(token))
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            self._errors.append(error)

    def result(self) -> _T:
        """Wait for the page, which has a timeout of its own, and return it."""
        self._thread.join()
        if self._errors:
            raise self._errors[0]
        return self._results.pop()
