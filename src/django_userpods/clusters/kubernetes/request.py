"""A call to an API server, as it is before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: What is asked for where of each object its metadata is enough ("API concepts", metadata-only
#: fetches); whole objects of a server that cannot leave out the rest.
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = METADATA.replace("PartialObjectMetadata;", "PartialObjectMetadataList;")


class ApiCall(NamedTuple):
    """A call, built and not yet sent. ``what`` says in an error's text what was being done."""

    method: str
    path: str
    what: str
    body: bytes | None = None
    content_type: str = "application/json"
    compress: bool = False
    #: Whether a 409 Conflict is the server's own race (with a quota, say) and not a refusal.
    conflict_passes: bool = False
    accept: str = "application/json"
    #: Called right before bytes of the call are sent, over a connection that is there by then, for
    #: each try and each piece; raises where that may not be.
    guard: Callable[[], None] | None = None
    #: Whether a success is plain text and not JSON.
    is_text: bool = False
