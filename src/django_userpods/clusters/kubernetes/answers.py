"""What an answer holds: the object that was asked for, the version of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.clusters.kubernetes import errors
from django_userpods.exceptions import BadAnswer

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest, Ref


def one_object(body: bytes, ref: Ref, *, what: str, server: str) -> Manifest:
    """Parse an answer that has to be the object ``ref``."""
    found = errors.decode(body, what=what, server=server)
    metadata = found.get("metadata")
    if (
        found.get("kind") != ref.kind.kind
        or not isinstance(metadata, dict)
        or metadata.get("name") != ref.name
        or not metadata.get("uid")
    ):
        raise BadAnswer(f"{what}: {server} answered with something other than {ref}")
    return found


def trimmed(manifest: Manifest) -> Manifest:
    """Take out who manages which field, which is as long as the rest; return the manifest."""
    manifest["metadata"].pop("managedFields", None)
    return manifest


def list_version(body: bytes, *, what: str, server: str) -> str:
    """Return the resourceVersion of a list."""
    metadata = errors.decode(body, what=what, server=server).get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if not version:
        raise BadAnswer(f"{what}: {server} answered with what is not a list")
    return str(version)
