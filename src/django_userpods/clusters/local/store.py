"""Objects and ports of a local cluster in SQLite, used by any number of processes at once.

What is stored of an object is what was declared; what the cluster adds (identity, status, the
address) has columns of its own, so that no apply can touch it.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django_userpods.clusters.local import history
from django_userpods.clusters.local.ports import LOOPBACK, Ports
from django_userpods.clusters.local.validation import validate
from django_userpods.core.objects import SERVICE, Kind, Manifest, Ref, matches
from django_userpods.exceptions import (
    AlreadyExists,
    ClusterConfigurationError,
    ClusterTimeout,
    ClusterUnavailable,
    Conflict,
    NotFound,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from django_userpods.clusters.local.paths import StateDir

#: Annotation of a Service that says where it really is, ``127.0.0.1:20017``.
PEER = "django-userpods/peer"
_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  api_version TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  uid TEXT NOT NULL UNIQUE, created TEXT NOT NULL, resource_version INTEGER NOT NULL,
  generation INTEGER NOT NULL, declared TEXT NOT NULL, status TEXT, port INTEGER,
  PRIMARY KEY (api_version, kind, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ports (
  port INTEGER PRIMARY KEY, namespace TEXT NOT NULL, selector TEXT NOT NULL, released REAL,
  UNIQUE (namespace, selector)
);
CREATE TABLE IF NOT EXISTS deleted (
  version INTEGER PRIMARY KEY, api_version TEXT NOT NULL, kind TEXT NOT NULL,
  namespace TEXT NOT NULL, metadata TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = (
    "api_version, kind, namespace, name, uid, created, resource_version, generation, declared, "
    "status, port"
)


def _allow() -> None:
    """Let every write pass."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it lies in the store; ``port`` is that of its Deployment's process."""

    ref: Ref
    uid: str
    created: str
    resource_version: int
    generation: int
    declared: Manifest
    status: dict[str, Any] | None
    port: int | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Stored:
        """Read a database row."""
        api_version, kind, namespace, name, uid, created, version, generation = row[:8]
        return cls(
            ref=Ref(Kind(api_version, kind), namespace, name),
            uid=uid,
            created=created,
            resource_version=version,
            generation=generation,
            declared=json.loads(row[8]),
            status=json.loads(row[9]) if row[9] else None,
            port=row[10],
        )

    def manifest(self) -> Manifest:
        """Return the object as the API shows it."""
        shown: Manifest = {**self.declared, "metadata": {**self.declared["metadata"]}}
        metadata = shown["metadata"]
        metadata.update(
            uid=self.uid,
            resourceVersion=str(self.resource_version),
            generation=self.generation,
            creationTimestamp=self.created,
        )
        if self.ref.kind == SERVICE and self.port is not None:
            annotations = metadata.get("annotations") or {}
            metadata["annotations"] = {**annotations, PEER: f"{LOOPBACK}:{self.port}"}
            shown["spec"] = {"clusterIP": LOOPBACK, **shown["spec"]}
        if self.status is not None:
            shown["status"] = self.status
        return shown


class Store:
    """The database of one state directory.

    Every call opens the file anew, so a store may be shared by threads and survives a fork.
    """

    def __init__(self, state: StateDir, *, ports: tuple[int, int]) -> None:
        self._state = state
        self._ports = Ports(ports, root=str(state.root))

    def prepare(self, *, timeout: float) -> None:
        """Create what is missing."""
        with self._transaction(timeout, journal="WAL") as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            self._set_default(db, "state_id", secrets.token_hex(8))

    def exists(self) -> bool:
        """Say whether the database is there: somebody may have removed the state directory."""
        return self._state.objects.exists()

    def list(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str | frozenset[str]],
        timeout: float,
    ) -> Iterator[Stored]:
        """Yield objects in the order of their names, all from one moment."""
        query = f"SELECT {_COLUMNS} FROM objects WHERE api_version = ? AND kind = ?"  # noqa: S608 - constants
        parameters = [kind.api_version, kind.kind]
        if namespace is not None:
            query += " AND namespace = ?"
            parameters.append(namespace)
        with self._open(timeout) as db:
            rows = db.execute(query, parameters).fetchall()
        for row in rows:
            stored = Stored.of(row)
            found = stored.declared["metadata"].get("labels") or {}
            if matches(found, labels):
                yield stored

    def get(self, ref: Ref, *, timeout: float) -> Stored | None:
        """Return one object."""
        with self._open(timeout) as db:
            return self._get(db, ref)

    def create(
        self, manifest: Manifest, *, timeout: float, guard: Callable[[], None] = _allow
    ) -> Stored:
        """Store a new object; ``guard``, here as below, is asked once nobody else writes."""
        declared = validate(manifest)
        ref = Ref.of(declared)
        with self._transaction(timeout) as db:
            guard()
            if self._get(db, ref) is not None:
                msg = f"{ref} exists already"
                raise AlreadyExists(msg, status=409)
            return self._insert(db, ref, _clean(declared))

    def apply(
        self,
        manifest: Manifest,
        *,
        makes: bool = True,
        timeout: float,
        guard: Callable[[], None] = _allow,
    ) -> Stored:
        """Store what is declared in place of what was declared before.

        Without ``makes`` there has to be something.
        """
        declared = validate(manifest)
        ref = Ref.of(declared)
        with self._transaction(timeout) as db:
            guard()
            before = self._get(db, ref)
            if before is None and not makes:
                msg = f"{ref} is not there"
                raise NotFound(msg, status=404)
            _check_precondition(declared["metadata"], before, ref)
            declared = _clean(declared)
            if before is None:
                return self._insert(db, ref, declared)
            if declared == before.declared:
                return before
            validate(declared, before=before.declared)
            changed = _without_metadata(declared) != _without_metadata(before.declared)
            db.execute(
                "UPDATE objects SET declared = ?, generation = generation + ?, port = ?,"
                " resource_version = ? WHERE uid = ?",
                (
                    json.dumps(declared),
                    int(changed),
                    self._ports.of(db, ref, declared),
                    self._next_version(db),
                    before.uid,
                ),
            )
            self._ports.release(db)
            after = self._get(db, ref)
        assert after is not None  # noqa: S101 - written in this very transaction
        return after

    def delete(
        self, ref: Ref, *, uid: str, timeout: float, guard: Callable[[], None] = _allow
    ) -> bool:
        """Remove the object if it still has this UID; say whether it was there."""
        with self._transaction(timeout) as db:
            guard()
            before = self._get(db, ref)
            if before is None:
                return False
            if before.uid != uid:
                msg = f"{ref} has the UID {before.uid}, not {uid}: another object by now"
                raise Conflict(msg, status=409)
            db.execute("DELETE FROM objects WHERE uid = ?", (uid,))
            history.note_deletion(db, before.manifest(), version=self._next_version(db))
            self._ports.release(db)
        return True

    def version(self, *, timeout: float) -> int:
        """Return the number of the last change."""
        with self._open(timeout) as db:
            return history.version(db)

    def changes(self, kind: Kind, since: int, *, timeout: float) -> Sequence[history.Change]:
        """Return what happened to a kind's objects after a version, oldest first.

        Of an object that changed several times the last is told. Raises Expired where deletions
        that long ago are forgotten, or the version is one of another store.
        """
        with self._open(timeout) as db:
            db.execute("BEGIN")  # all from one moment
            gone = history.deletions(db, kind, since)
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM objects"  # noqa: S608 - constants
                " WHERE api_version = ? AND kind = ? AND resource_version > ?",
                (*kind, since),
            ).fetchall()
        found = [Stored.of(row) for row in rows]
        there = [history.Change(item.resource_version, item.manifest(), False) for item in found]
        return sorted([*gone, *there], key=lambda change: change.version)

    def set_status(self, uid: str, status: dict[str, Any], *, timeout: float) -> None:
        """Write an object's status, if the object is still there."""
        with self._transaction(timeout) as db:
            db.execute(
                "UPDATE objects SET status = ?, resource_version = ? WHERE uid = ?",
                (json.dumps(status), self._next_version(db), uid),
            )

    def get_meta(self, key: str, *, timeout: float) -> str | None:
        """Return a setting that all processes of this state directory share."""
        with self._open(timeout) as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str, *, timeout: float) -> None:
        """Write a shared setting; a write only where it differs."""
        if self.get_meta(key, timeout=timeout) != value:
            with self._transaction(timeout) as db:
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _get(self, db: sqlite3.Connection, ref: Ref) -> Stored | None:
        row = db.execute(
            f"SELECT {_COLUMNS} FROM objects"  # noqa: S608 - constants
            " WHERE api_version = ? AND kind = ? AND namespace = ? AND name = ?",
            (ref.kind.api_version, ref.kind.kind, ref.namespace, ref.name),
        ).fetchone()
        return None if row is None else Stored.of(row)

    def _insert(self, db: sqlite3.Connection, ref: Ref, declared: Manifest) -> Stored:
        stored = Stored(
            ref=ref,
            uid=str(uuid.uuid4()),
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            resource_version=self._next_version(db),
            generation=1,
            declared=declared,
            status=None,
            port=self._ports.of(db, ref, declared),
        )
        db.execute(
            f"INSERT INTO objects ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
            (
                *(ref.kind.api_version, ref.kind.kind, ref.namespace, ref.name, stored.uid),
                *(stored.created, stored.resource_version, stored.generation),
                *(json.dumps(declared), None, stored.port),
            ),
        )
        return stored

    def _next_version(self, db: sqlite3.Connection) -> int:
        row = db.execute(
            "INSERT INTO meta VALUES ('version', '1')"
            " ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value"
        ).fetchone()
        return int(row[0])

    def _set_default(self, db: sqlite3.Connection, key: str, value: str) -> None:
        db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))

    @contextmanager
    def _open(self, timeout: float) -> Iterator[sqlite3.Connection]:
        path = self._state.objects
        try:
            with closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = NORMAL")
                yield db
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                msg = f"{path} was locked by another process for {timeout:g} s"
                raise ClusterTimeout(msg) from error
            msg = f"the local cluster cannot use {path}: {error}"
            raise ClusterUnavailable(msg) from error
        except sqlite3.DatabaseError as error:
            msg = (
                f"the local cluster's {path} is damaged ({error}). Remove the state_dir and run "
                "sync_userpods: everything in it is made again"
            )
            raise ClusterConfigurationError(msg) from error

    @contextmanager
    def _transaction(self, timeout: float, journal: str = "") -> Iterator[sqlite3.Connection]:
        with self._open(timeout) as db:
            if journal:
                db.execute(f"PRAGMA journal_mode = {journal}")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                # SQLite has taken it back by itself where the disk is full.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _clean(declared: Manifest) -> Manifest:
    """Drop what only the cluster may say, as when an object that was read is sent back."""
    metadata = {k: v for k, v in declared["metadata"].items() if k not in _SERVER_FIELDS}
    if PEER in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != PEER}
    cleaned = {**declared, "metadata": metadata}
    cleaned.pop("status", None)
    return cleaned


def _without_metadata(manifest: Manifest) -> Manifest:
    return {key: value for key, value in manifest.items() if key != "metadata"}


def _check_precondition(metadata: Manifest, before: Stored | None, ref: Ref) -> None:
    for field, now in (
        ("uid", None if before is None else before.uid),
        ("resourceVersion", None if before is None else str(before.resource_version)),
    ):
        wanted = metadata.get(field)
        if wanted and wanted != now:
            msg = f"{ref} has {field} {now}, not {wanted}: it was changed meanwhile"
            raise Conflict(msg, status=409)
