"""Reading one list of a cluster whole, whatever becomes of its pages meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.exceptions import Expired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Kind, Manifest


def whole_list(
    cluster: Cluster,
    kind: Kind,
    *,
    namespace: str | None,
    labels: Mapping[str, str | frozenset[str]],
    remaining: Callable[[], float | None],
) -> Iterator[Manifest]:
    """Yield a list, begun again where its page token expired on the way."""
    seen: set[str] = set()
    for attempt in range(3):
        try:
            for found in cluster.list(
                kind, namespace=namespace, labels=labels, timeout=remaining()
            ):
                if found["metadata"]["uid"] not in seen:
                    seen.add(found["metadata"]["uid"])
                    yield found
        except Expired:
            if attempt == 2:
                raise
        else:
            return
