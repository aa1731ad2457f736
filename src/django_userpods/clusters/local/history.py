"""What happened to the objects of a local cluster: versions, and what was deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from django_userpods.core.objects import Kind, Manifest
from django_userpods.exceptions import Expired

if TYPE_CHECKING:
    import sqlite3

#: Deletions that are remembered.
_KEPT = 1000


class Change(NamedTuple):
    """An object as it is since a version, or was when it was deleted then."""

    version: int
    manifest: Manifest
    is_deleted: bool


def version(db: sqlite3.Connection) -> int:
    """Return the number of the last change."""
    return _number(db, "version")


def note_deletion(db: sqlite3.Connection, manifest: Manifest, *, version: int) -> None:
    """Remember that an object was deleted, and forget the oldest of them."""
    kind, metadata = Kind.of(manifest), manifest["metadata"]
    db.execute(
        "INSERT INTO deleted VALUES (?, ?, ?, ?, ?)",
        (version, *kind, metadata["namespace"], json.dumps(metadata)),
    )
    forgotten = db.execute(
        "DELETE FROM deleted WHERE version <= (SELECT version FROM deleted"
        " ORDER BY version DESC LIMIT 1 OFFSET ?) RETURNING version",
        (_KEPT,),
    ).fetchall()
    if forgotten:
        last = str(max(row[0] for row in forgotten))
        db.execute("INSERT OR REPLACE INTO meta VALUES ('forgotten', ?)", (last,))


def deletions(db: sqlite3.Connection, kind: Kind, since: int) -> list[Change]:
    """Return what was deleted after a version; Expired where that is no longer known."""
    if not _number(db, "forgotten") <= since <= version(db):
        msg = f"too old resource version: {since}"
        raise Expired(msg, status=410)
    rows = db.execute(
        "SELECT version, metadata FROM deleted WHERE api_version = ? AND kind = ? AND version > ?",
        (*kind, since),
    ).fetchall()
    names = {"apiVersion": kind.api_version, "kind": kind.kind}
    return [Change(row[0], {**names, "metadata": json.loads(row[1])}, True) for row in rows]


def _number(db: sqlite3.Connection, key: str) -> int:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return 0 if row is None else int(row[0])
