"""A call to an API server, as it is before it is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A call, built and not yet sent. ``what`` says in an error's text what was being done."""

    method: str
    path: str
    what: str
    body: bytes | None = None
    content_type: str = "application/json"
    compress: bool = False
    #: Whether a 409 Conflict is the server's own race (with a quota, say) and not a refusal.
    conflict_passes: bool = False
